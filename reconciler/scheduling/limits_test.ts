import assert from "node:assert/strict";
import type { Group, Queue, User } from "../../cluster/cluster.ts";
import { Ledger } from "./ledger.ts";
import { limitOf } from "./limits.ts";
import { holding, request } from "./testing.ts";

interface Case {
  readonly queue?: Partial<Queue>;
  readonly others?: readonly Queue[];
  readonly user?: Partial<User>;
  readonly groups?: readonly Group[];
  /** GPUs that the user's jobs, in the same queue, have. */
  readonly has?: number;
  readonly week?: Readonly<Record<string, number>>;
  readonly owner?: string;
}

/** The limit that a job of ada with so many GPUs meets. */
function limit(gpus: number, given: Case) {
  const queue = { name: "default", priority: 0, ...given.queue };
  const user = { name: "ada", share: 1, groups: given.groups?.map((g) => g.name) ?? [] };
  const input = {
    queues: [queue, ...given.others ?? []],
    users: [{ ...user, ...given.user }, { name: "bob", share: 1, groups: user.groups }],
    groups: given.groups ?? [],
    usage: { decayed: new Map(), week: new Map(Object.entries(given.week ?? {})) },
  };
  const seats = { n1: Array.from({ length: given.has ?? 0 }, (_, i) => i) };
  const ledger = new Ledger(input, [holding("running", seats, { user: "ada" })]);
  return limitOf(request("a", { user: given.owner ?? "ada" }), gpus, ledger, input);
}

Deno.test("a job that stays within every limit meets none", () => {
  assert.equal(limit(4, {}), undefined);
  const groups = [{ name: "vision", maxGpus: 8, gpuHoursPerWeek: 10 }];
  const user = { maxGpus: 8, gpuHoursPerWeek: 10 };
  const queue = { maxGpus: 8, quotaGpus: 8, borrow: false };
  assert.equal(limit(4, { queue, user, groups, has: 4, week: { ada: 9.9 } }), undefined);
});

Deno.test("what is said of a limit names it, and stands while only numbers change", () => {
  const user = { maxGpus: 8 };
  const [six, seven] = [6, 7].map((has) => limit(4, { user, has }));
  assert.equal(six?.message, "user ada may use 8 GPUs at once; with this job's 4 it would be more");
  assert.equal(seven?.message, six?.message);
  assert.equal(six?.detail, "user ada may use 8 GPUs at once and has 6 now; this job needs 4");
  assert.deepEqual(six?.numbers, { limit: 8, used: 6, needed: 4 });
});

Deno.test("a job that no end of another could help is told so", () => {
  const found = limit(16, { user: { maxGpus: 8 } });
  assert.equal(
    found?.message,
    "can never start: it needs 16 GPUs, and user ada may use 8 GPUs at once",
  );
});

const TABLE: readonly [string, number, Case, string][] = [
  [
    "its queue's GPUs",
    3,
    { queue: { maxGpus: 4 }, has: 2 },
    "queue default may use 4 GPUs at once",
  ],
  [
    "its queue's quota, where it may not borrow",
    3,
    { queue: { quotaGpus: 4, borrow: false }, has: 2 },
    "queue default, which may not borrow, may use 4 GPUs at once",
  ],
  [
    "a queue that may not borrow and has no quota where others have",
    1,
    { queue: { borrow: false }, others: [{ name: "sure", priority: 0, quotaGpus: 4 }] },
    "can never start: it needs 1 GPU, and queue default, which may not borrow, may use 0 GPUs",
  ],
  ["its user's GPUs", 1, { user: { maxGpus: 1 }, has: 1 }, "user ada may use 1 GPU at once"],
  ["a share of a GPU", 0.5, { user: { maxGpus: 1 }, has: 1 }, "with this job's 0.5 it would be"],
  [
    "its user's week",
    1,
    { user: { gpuHoursPerWeek: 10 }, week: { ada: 10 } },
    "user ada may use 10 GPU-hours in seven days and has used them",
  ],
  [
    "a week of no hours at all",
    1,
    { user: { gpuHoursPerWeek: 0 } },
    "can never start: user ada may use 0 GPU-hours in seven days",
  ],
  [
    "the GPUs of a group, although another group has enough",
    2,
    { groups: [{ name: "all" }, { name: "vision", maxGpus: 4 }], has: 3 },
    "group vision may use 4 GPUs at once",
  ],
  [
    "the week of a group's members together",
    1,
    { groups: [{ name: "vision", gpuHoursPerWeek: 10 }], week: { ada: 4, bob: 6 } },
    "group vision may use 10 GPU-hours in seven days and has used them",
  ],
];

for (const [name, gpus, given, message] of TABLE) {
  Deno.test(`a limit: ${name}`, () => {
    const found = limit(gpus, given);
    assert.ok(found?.message.includes(message), found?.message ?? "it met none");
  });
}

Deno.test("a week's numbers are in the detail, rounded, and go out to programs as they are", () => {
  const found = limit(1, { user: { gpuHoursPerWeek: 10 }, week: { ada: 10.123 } });
  assert.equal(found?.detail, "user ada may use 10 GPU-hours in seven days and has used 10.12");
  assert.deepEqual(found?.numbers, { limitHours: 10, usedHours: 10.123 });
});

Deno.test("borrow: false means nothing where no queue has a quota", () => {
  assert.equal(limit(4, { queue: { borrow: false }, has: 4 }), undefined);
});

Deno.test("a queue that may borrow goes past its quota", () => {
  assert.equal(limit(4, { queue: { quotaGpus: 1 }, has: 4 }), undefined);
});

Deno.test("who is not listed has no limits of her own", () => {
  const user = { maxGpus: 1 };
  assert.equal(limit(4, { user, owner: "stranger" }), undefined);
  assert.equal(limit(4, { user, owner: "" }), undefined);
});
