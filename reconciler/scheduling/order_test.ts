import assert from "node:assert/strict";
import fc from "fast-check";
import {
  DEFAULT_SCHEDULING,
  type Queue,
  type SchedulingPolicy,
  type User,
} from "../../cluster/cluster.ts";
import { gpusOf, Ledger } from "./ledger.ts";
import { Line } from "./order.ts";
import { holding, HOUR, NOW, request } from "./testing.ts";
import type { Holding, Request } from "./types.ts";

const DAY = 24 * HOUR;
const POLICIES: readonly SchedulingPolicy[] = [
  "fifo",
  "priority",
  "backfill",
  "fairshare",
  "default",
];

interface World {
  readonly policy?: SchedulingPolicy;
  readonly queues?: readonly Queue[];
  readonly users?: readonly User[];
  readonly decayed?: Readonly<Record<string, number>>;
  readonly holdings?: readonly Holding[];
}

function ledgerOf({ queues = [], users = [], decayed = {}, holdings = [] }: World): Ledger {
  const usage = { decayed: new Map(Object.entries(decayed)), week: new Map() };
  return new Ledger({ queues, users, groups: [], usage }, holdings);
}

function inputOf({ policy = "default", queues = [] }: World) {
  return { queues, scheduling: { ...DEFAULT_SCHEDULING, policy }, now: NOW };
}

/** All requests in order; each is placed, and so added to the ledger, when `place` says so. */
function serve(requests: readonly Request[], given: World, place = (_: Request) => true) {
  const ledger = ledgerOf(given);
  const line = new Line(requests, ledger, inputOf(given));
  const order: Request[] = [];
  for (let next = line.next(); next; next = line.next()) {
    order.push(next);
    if (place(next)) ledger.add(next, gpusOf(next.need));
  }
  return order;
}

function names(...args: Parameters<typeof serve>): string {
  return serve(...args).map((r) => r.name).join(" ");
}

/** A job of a user, submitted so many hours ago. */
function of(name: string, hours: number, changes: Parameters<typeof request>[1] = {}): Request {
  return request(name, { submittedMs: NOW - hours * HOUR, ...changes });
}

const urgent = { name: "urgent", priority: 10 };

const TABLE: readonly [string, readonly Request[], World, string][] = [
  [
    "fifo: by submission, whatever else",
    [
      of("new", 1, { queue: "urgent", priority: 9 }),
      of("old", 2),
    ],
    { policy: "fifo", queues: [urgent] },
    "old new",
  ],
  [
    "fifo: a quota moves nobody",
    [
      of("sure", 1, { queue: "sure" }),
      of("old", 2),
    ],
    { policy: "fifo", queues: [{ name: "sure", priority: 0, quotaGpus: 8 }] },
    "old sure",
  ],
  ["names decide among those submitted at once", [of("b", 1), of("a", 1)], {}, "a b"],
  [
    "priority: queue, then priority, then submission, whatever users have had",
    [
      of("new", 1, { user: "bob" }),
      of("old", 2, { user: "ada" }),
      of("high", 1, { priority: 2 }),
      of("urgent", 1, { queue: "urgent" }),
    ],
    { policy: "priority", queues: [urgent], decayed: { ada: 100 } },
    "urgent high old new",
  ],
  [
    "fairshare: who has used least is first among equals",
    [
      of("much", 3, { user: "ada" }),
      of("some", 1, { user: "bob" }),
      of("none", 2, { user: "eve" }),
      of("high", 1, { user: "ada", priority: 1 }),
    ],
    { policy: "fairshare", decayed: { ada: 100, bob: 10 } },
    "high none some much",
  ],
  ["what a user has now counts for an hour", [
    of("a", 2, { user: "ada" }),
    of("b", 1, { user: "bob" }),
  ], {
    holdings: [holding("h", { n1: [0, 1] }, { user: "ada" })],
    decayed: { bob: 1.5 },
  }, "b a"],
  ["a share of two is worth twice the use", [
    of("a", 1, { user: "ada" }),
    of("b", 2, { user: "bob" }),
  ], {
    users: [{ name: "ada", groups: [], share: 2 }],
    decayed: { ada: 15, bob: 10 },
  }, "a b"],
  [
    "who has waited more than a day and has nothing goes first, by use",
    [
      of("none", 2, { user: "eve" }),
      of("much", 50, { user: "bob" }),
      of("some", 25, { user: "ada" }),
    ],
    { decayed: { ada: 10, bob: 100 } },
    "some much none",
  ],
  [
    "age is no merit of those who have GPUs",
    [
      of("old", 50, { user: "ada" }),
      of("new", 1, { user: "bob" }),
    ],
    { holdings: [holding("h", { n1: [0] }, { user: "ada" })] },
    "new old",
  ],
  [
    "patience is over with the first job that is placed",
    [
      of("old-1", 50, { user: "ada" }),
      of("old-2", 49, { user: "ada" }),
      of("new", 1, { user: "bob" }),
    ],
    { decayed: { ada: 10 } },
    "old-1 new old-2",
  ],
  [
    "patience passes no priority",
    [
      of("patient", 50),
      of("high", 1, { priority: 1 }),
    ],
    {},
    "high patient",
  ],
  [
    "who stays within a quota goes before who borrows, whatever the priority",
    [
      of("borrows", 9, { queue: "urgent", priority: 9 }),
      of("sure", 1, { queue: "sure" }),
    ],
    { queues: [urgent, { name: "sure", priority: 0, quotaGpus: 1 }] },
    "sure borrows",
  ],
  [
    "a queue that has used its quota up borrows like the others",
    [
      of("sure-1", 3, { queue: "sure" }),
      of("sure-2", 2, { queue: "sure" }),
      of("high", 1, { priority: 1 }),
    ],
    { queues: [{ name: "sure", priority: 0, quotaGpus: 1 }] },
    "sure-1 high sure-2",
  ],
  [
    "a job too wide for the quota borrows, and does not hide a smaller one that does not",
    [
      of("wide", 3, { queue: "sure", need: { gpusPerNode: 4 } }),
      of("small", 2, { queue: "sure" }),
      of("high", 1, { priority: 1 }),
    ],
    { queues: [{ name: "sure", priority: 0, quotaGpus: 2 }] },
    "small high wide",
  ],
];

for (const [name, requests, given, expected] of TABLE) {
  Deno.test(`the line: ${name}`, () => {
    assert.equal(names(requests, given), expected);
    assert.equal(names(requests.toReversed(), given), expected);
  });
}

Deno.test("equal users take turns within one pass", () => {
  const requests = [1, 2, 3].flatMap((i) => [
    of(`ada-${i}`, 20 - i, { user: "ada" }),
    of(`bob-${i}`, 10 - i, { user: "bob" }),
  ]);
  assert.equal(names(requests, {}), "ada-1 bob-1 ada-2 bob-2 ada-3 bob-3");
});

Deno.test("a user whose job does not fit keeps her place before the others", () => {
  const requests = [
    of("ada-1", 3, { user: "ada" }),
    of("ada-2", 2, { user: "ada" }),
    of("bob-1", 1, { user: "bob" }),
  ];
  assert.equal(names(requests, {}, () => false), "ada-1 ada-2 bob-1");
});

Deno.test("a user with twice the share gets two turns to the other's one", () => {
  const requests = Array.from({ length: 6 }, (_, i) => [
    of(`a${i}`, 20 - i, { user: "ada" }),
    of(`b${i}`, 20 - i, { user: "bob" }),
  ]).flat();
  const users = [{ name: "ada", groups: [], share: 2 }];
  const owners = serve(requests, { users }).slice(0, 9).map((r) => r.user);
  assert.equal(owners.filter((owner) => owner === "ada").length, 6);
});

const anyRequest = fc.record({
  queue: fc.constantFrom("default", "urgent", "sure"),
  priority: fc.integer({ min: 0, max: 2 }),
  user: fc.constantFrom("ada", "bob", "eve", ""),
  hours: fc.constantFrom(1, 2, 25, 26),
  gpus: fc.integer({ min: 1, max: 4 }),
});

const anyWorld = fc.record({
  policy: fc.constantFrom(...POLICIES),
  queues: fc.constantFrom<readonly Queue[]>(
    [urgent],
    [urgent, { name: "sure", priority: 0, quotaGpus: 5 }],
    [{ ...urgent, quotaGpus: 3 }, { name: "default", priority: 0, quotaGpus: 6 }],
  ),
  users: fc.constantFrom<readonly User[]>([], [{ name: "ada", groups: [], share: 2 }]),
  decayed: fc.dictionary(fc.constantFrom("ada", "bob"), fc.integer({ min: 0, max: 6 })),
});

/** Requests in an order that has nothing to do with theirs, and which of them can be placed. */
const anyRequests = fc.array(anyRequest, { maxLength: 25 }).chain((parts) => {
  const requests = parts.map(({ hours, gpus, ...rest }, i) =>
    of(`job-${i}`, hours, { ...rest, need: { gpusPerNode: gpus } })
  );
  return fc.record({
    requests: fc.constant(requests),
    shuffled: fc.shuffledSubarray(requests, { minLength: requests.length }),
    placed: fc.subarray(requests).map((some) => new Set(some.map((r) => r.name))),
  });
});

Deno.test("property: the order of the input never matters", () => {
  fc.assert(fc.property(anyWorld, anyRequests, (given, { requests, shuffled, placed }) => {
    const place = (r: Request) => placed.has(r.name);
    assert.equal(names(requests, given, place), names(shuffled, given, place));
  }));
});

const laneOf = (r: Request) => `${r.queue} ${r.priority} ${gpusOf(r.need)} ${r.user}`;
const earlier = (a: Request, b: Request) =>
  a.submittedMs - b.submittedMs || (a.name < b.name ? -1 : 1);

Deno.test("property: everybody comes once, in a lane first come first served", () => {
  fc.assert(fc.property(anyWorld, anyRequests, (given, { requests, placed }) => {
    const order = serve(requests, given, (r) => placed.has(r.name));
    assert.equal(new Set(order).size, requests.length);
    for (const [i, before] of order.entries()) {
      for (const after of order.slice(i + 1)) {
        if (laneOf(before) === laneOf(after)) assert.ok(earlier(before, after) < 0);
      }
    }
  }));
});

Deno.test("property: nobody borrows while the head of a lane stays within its quota", () => {
  fc.assert(fc.property(anyWorld, anyRequests, (given, { requests, placed }) => {
    if (given.policy === "fifo") return;
    const ledger = ledgerOf(given);
    const line = new Line(requests, ledger, inputOf(given));
    const left = new Set(requests);
    for (let next = line.next(); next; next = line.next()) {
      if (!ledger.isWithinQuota(next, gpusOf(next.need))) {
        for (const head of headsOf(left)) {
          assert.ok(!ledger.isWithinQuota(head, gpusOf(head.need)), `${head.name} had to wait`);
        }
      }
      left.delete(next);
      if (placed.has(next.name)) ledger.add(next, gpusOf(next.need));
    }
  }));
});

Deno.test("property: the line is as if all heads were compared anew each time", () => {
  fc.assert(fc.property(anyWorld, anyRequests, (given, { requests, placed }) => {
    const ledger = ledgerOf(given);
    const left = new Set(requests);
    const expected: string[] = [];
    while (left.size > 0) {
      const [first] = headsOf(left).sort((a, b) => compareSlowly(a, b, ledger, given));
      assert.ok(first);
      expected.push(first.name);
      left.delete(first);
      if (placed.has(first.name)) ledger.add(first, gpusOf(first.need));
    }
    assert.equal(names(requests, given, (r) => placed.has(r.name)), expected.join(" "));
  }));
});

function headsOf(requests: Iterable<Request>): Request[] {
  const heads = new Map<string, Request>();
  for (const one of requests) {
    const head = heads.get(laneOf(one));
    if (!head || earlier(one, head) < 0) heads.set(laneOf(one), one);
  }
  return [...heads.values()];
}

/** The specification, key by key. */
function compareSlowly(a: Request, b: Request, ledger: Ledger, given: World): number {
  if (given.policy === "fifo") return earlier(a, b);
  const borrows = (r: Request) => Number(!ledger.isWithinQuota(r, gpusOf(r.need)));
  const queue = (r: Request) => given.queues?.find((q) => q.name === r.queue)?.priority ?? 0;
  const strict = borrows(a) - borrows(b) || queue(b) - queue(a) || b.priority - a.priority;
  if (strict !== 0) return strict;
  if (given.policy === "priority" || given.policy === "backfill") return earlier(a, b);
  const [x, y] = [a, b].map((r) =>
    NOW - r.submittedMs > DAY / 2 && ledger.userGpus(r.user) < gpusOf(r.need)
  );
  if (x !== y) return x ? -1 : 1;
  return ledger.score(a.user) - ledger.score(b.user) || earlier(a, b);
}
