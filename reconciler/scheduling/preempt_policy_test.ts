import assert from "node:assert/strict";
import type { Preemption, Queue, SchedulingPolicy } from "../../cluster/cluster.ts";
import { DEFAULT_SCHEDULING } from "../../cluster/cluster.ts";
import { Ledger } from "./ledger.ts";
import { type Grounds, mayEvict, surplusOf } from "./preempt_policy.ts";
import { holding, NOW, request } from "./testing.ts";
import type { Holding, Request } from "./types.ts";

interface World {
  readonly queues?: readonly Queue[];
  readonly policy?: SchedulingPolicy;
  readonly preemption?: Partial<Preemption>;
  /** Other jobs that run. */
  readonly others?: readonly Holding[];
  readonly gone?: Readonly<Record<string, number>>;
}

function verdict(one: Holding, asks: Request, world: World = {}): Grounds | undefined {
  const { queues = [], policy = "default", preemption = {}, others = [], gone = {} } = world;
  const scheduling = {
    ...DEFAULT_SCHEDULING,
    policy,
    preemption: { ...DEFAULT_SCHEDULING.preemption, byPriority: true, ...preemption },
  };
  const usage = { decayed: new Map(), week: new Map() };
  const ledger = new Ledger({ queues, users: [], groups: [], usage }, [one, ...others]);
  const input = { queues, scheduling, now: NOW };
  return mayEvict(one, asks, ledger, input, new Map(Object.entries(gone)));
}

const low = holding("low", { n1: [0] });
const high = request("high", { priority: 10 });

Deno.test("a job of a lower priority may be preempted, one of the same may not", () => {
  assert.equal(verdict(low, high), "Preempted");
  assert.equal(verdict(holding("same", { n1: [0] }, { priority: 10 }), high), undefined);
  assert.equal(verdict(holding("higher", { n1: [0] }, { priority: 11 }), high), undefined);
});

Deno.test("the priority of the queue counts before that of the job", () => {
  const queues = [{ name: "urgent", priority: 5 }, { name: "default", priority: 0 }];
  assert.equal(
    verdict(low, request("a", { queue: "urgent", priority: -1 }), { queues }),
    "Preempted",
  );
  const there = holding("there", { n1: [0] }, { queue: "urgent" });
  assert.equal(verdict(there, request("b", { priority: 100 }), { queues }), undefined);
});

Deno.test("nobody is stopped who is protected", () => {
  const cases: readonly (readonly [string, Partial<Holding>, World])[] = [
    ["by priority, but the cluster does not want that", {}, { preemption: { byPriority: false } }],
    ["plain fifo stops nobody", {}, { policy: "fifo" }],
    ["it is being stopped already", { leaving: true }, {}],
    ["it has run for less than protectMs", { startedMs: NOW - 599_999 }, {}],
    ["protectPriority", { priority: 5 }, { preemption: { protectPriority: 5 } }],
    ["its queue is not preemptible", {}, {
      queues: [{ name: "default", priority: 0, preemptible: false }],
    }],
  ];
  for (const [why, changes, world] of cases) {
    assert.equal(verdict(holding("low", { n1: [0] }, changes), high, world), undefined, why);
  }
  const grown = holding("low", { n1: [0] }, { startedMs: NOW - 600_000, priority: 4 });
  assert.equal(verdict(grown, high, { preemption: { protectPriority: 5 } }), "Preempted");
});

Deno.test("the protected are protected from reclaim too", () => {
  const queues = [{ name: "lab", priority: 0, quotaGpus: 4 }, { name: "default", priority: 0 }];
  const asks = request("asks", { queue: "lab" });
  assert.equal(verdict(low, asks, { queues }), "Reclaimed");
  const young = holding("low", { n1: [0] }, { startedMs: NOW });
  assert.equal(verdict(young, asks, { queues }), undefined);
  assert.equal(verdict(low, asks, { queues, preemption: { reclaim: false } }), undefined);
});

const QUOTAS = [
  { name: "a", priority: 0, quotaGpus: 4 },
  { name: "b", priority: 0, quotaGpus: 4 },
];

Deno.test("a queue takes back what another one borrowed, and no more", () => {
  const asks = request("asks", { queue: "a", need: { gpusPerNode: 2 } });
  const one = holding("one", { n1: [0, 1] }, { queue: "b" });
  const others = [holding("two", { n2: [0, 1, 2, 3] }, { queue: "b" })];
  assert.equal(verdict(one, asks, { queues: QUOTAS, others }), "Reclaimed");
  assert.equal(verdict(one, asks, { queues: QUOTAS }), undefined, "b is within its quota");
  const gone = { b: 1 };
  assert.equal(verdict(one, asks, { queues: QUOTAS, others, gone }), undefined, "not below it");
});

Deno.test("who would borrow itself reclaims nothing, and nobody reclaims in the own queue", () => {
  const others = [holding("two", { n2: [0, 1, 2, 3] }, { queue: "b" })];
  const one = holding("one", { n1: [0, 1] }, { queue: "b" });
  const five = request("five", { queue: "a", need: { gpusPerNode: 5 } });
  assert.equal(verdict(one, five, { queues: QUOTAS, others }), undefined);
  const own = request("own", { queue: "b" });
  assert.equal(verdict(one, own, { queues: QUOTAS, others }), undefined);
});

Deno.test("a job larger than its queue's whole quota can be reclaimed, or it never could", () => {
  const wide = holding("wide", { n1: [0, 1, 2, 3, 4, 5] }, { queue: "b" });
  const asks = request("asks", { queue: "a" });
  assert.equal(verdict(wide, asks, { queues: QUOTAS }), "Reclaimed");
});

Deno.test("who borrows preempts nobody whose queue would take it back at once", () => {
  const queues = [{ name: "default", priority: 0, quotaGpus: 4 }, { name: "vip", priority: 9 }];
  const asks = request("asks", { queue: "vip" });
  assert.equal(verdict(low, asks, { queues }), undefined);
  const others = [holding("wide", { n2: [0, 1, 2, 3] })];
  assert.equal(verdict(low, asks, { queues, others }), "Preempted", "default borrows as well");
  assert.equal(verdict(low, asks, { queues, others, gone: { default: 1 } }), undefined);
});

Deno.test("what an elastic job has beyond its least size is anybody's, but for a new one's", () => {
  const input = { queues: [], scheduling: DEFAULT_SCHEDULING, now: NOW };
  const seats = { n1: [0], n2: [0], n3: [0] };
  const grown = holding("grown", seats, { priority: 99, need: { nodes: 1, maxNodes: 4 } });
  assert.deepEqual(surplusOf(grown, input)?.placement, grown.placement.slice(1));
  assert.equal(surplusOf({ ...grown, leaving: true }, input), undefined);
  assert.equal(surplusOf({ ...grown, startedMs: NOW }, input), undefined);
  assert.equal(surplusOf({ ...grown, need: { ...grown.need, nodes: 3 } }, input), undefined);
  assert.equal(surplusOf(holding("fixed", seats), input), undefined);
  const fifo = { ...input, scheduling: { ...DEFAULT_SCHEDULING, policy: "fifo" as const } };
  assert.equal(surplusOf(grown, fifo), undefined);
});
