import assert from "node:assert/strict";
import fc from "fast-check";
import { gpusOf, heldGpus, Ledger } from "./ledger.ts";
import { holding, needs, request, seat } from "./testing.ts";
import type { ScheduleInput } from "./types.ts";

type Input = Pick<ScheduleInput, "queues" | "users" | "groups" | "usage">;

function input(changes: Partial<Input> = {}): Input {
  return {
    queues: [{ name: "default", priority: 0 }],
    users: [],
    groups: [],
    usage: { decayed: new Map(), week: new Map() },
    ...changes,
  };
}

Deno.test("a need takes nodes times GPUs, or a part of one GPU", () => {
  assert.equal(gpusOf(needs({ nodes: 2, gpusPerNode: 4 })), 8);
  assert.equal(gpusOf(needs({ nodes: 1, maxNodes: 4, gpusPerNode: 2 })), 2);
  assert.equal(gpusOf(needs({ nodes: 1, maxNodes: 4, gpusPerNode: 2 }), 3), 6);
  assert.equal(gpusOf(needs({ nodes: 2, gpuShare: 0.25 })), 0.5);
});

Deno.test("a job has what it was given, whatever it asked for", () => {
  const elastic = holding("a", { n1: [0, 1], n2: [0, 1] }, { need: { nodes: 1, maxNodes: 4 } });
  assert.equal(heldGpus(elastic), 4);
  assert.equal(heldGpus(holding("b", [seat("n1", [0], 0.25)])), 0.25);
});

Deno.test("what jobs have counts for their queue, their user, and each of the user's groups", () => {
  const users = [
    { name: "ada", groups: ["vision", "all", "vision"], share: 1 },
    { name: "bob", groups: ["all"], share: 1 },
  ];
  const ledger = new Ledger(input({ users }), [
    holding("a", { n1: [0, 1] }, { user: "ada", queue: "q1" }),
    holding("b", { n1: [2] }, { user: "bob", queue: "q1" }),
    holding("c", { n1: [3] }, { user: "stranger", queue: "q2" }),
    holding("d", { n1: [4] }, { queue: "q2", leaving: true }),
  ]);
  assert.deepEqual(["q1", "q2", "q3"].map((name) => ledger.queueGpus(name)), [3, 2, 0]);
  assert.deepEqual(["ada", "bob", "stranger", ""].map((name) => ledger.userGpus(name)), [
    2,
    1,
    1,
    1,
  ]);
  assert.deepEqual(["vision", "all"].map((name) => ledger.groupGpus(name)), [2, 3]);
  const more = request("e", { user: "ada", queue: "q2" });
  ledger.add(more, 4);
  assert.deepEqual([ledger.queueGpus("q2"), ledger.userGpus("ada")], [6, 6]);
  assert.deepEqual(["vision", "all"].map((name) => ledger.groupGpus(name)), [6, 7]);
  ledger.remove(more, 4);
  assert.deepEqual([ledger.queueGpus("q2"), ledger.groupGpus("all")], [2, 3]);
});

Deno.test("where no queue has a quota, everybody is within it", () => {
  const ledger = new Ledger(input(), []);
  assert.equal(ledger.quotaOf("default"), undefined);
  assert.ok(ledger.isWithinQuota(request("a"), 1_000));
});

Deno.test("where some queue has a quota, those without one always borrow", () => {
  const queues = [{ name: "default", priority: 0 }, { name: "sure", priority: 0, quotaGpus: 4 }];
  const ledger = new Ledger(input({ queues }), [
    holding("h", { n1: [0, 1, 2] }, { queue: "sure" }),
  ]);
  assert.deepEqual(["default", "sure", "unknown"].map((name) => ledger.quotaOf(name)), [0, 4, 0]);
  assert.ok(!ledger.isWithinQuota(request("a"), 1));
  assert.ok(ledger.isWithinQuota(request("a", { queue: "sure" }), 1));
  assert.ok(!ledger.isWithinQuota(request("a", { queue: "sure" }), 2));
});

Deno.test("ten tenths of a GPU fill a quota of one", () => {
  const queues = [{ name: "default", priority: 0, quotaGpus: 1 }];
  const ledger = new Ledger(input({ queues }), []);
  for (let i = 0; i < 10; i++) {
    assert.ok(ledger.isWithinQuota(request("a"), 0.1), `tenth ${i + 1}`);
    ledger.add(request("a"), 0.1);
  }
  assert.ok(!ledger.isWithinQuota(request("a"), 0.1));
  assert.equal(ledger.queueGpus("default"), 1);
});

Deno.test("the score is what a user has had, and has for the hour ahead, by share", () => {
  const users = [
    { name: "ada", groups: [], share: 1 },
    { name: "bob", groups: [], share: 2 },
    { name: "none", groups: [], share: 0 },
  ];
  const usage = { decayed: new Map([["ada", 10], ["bob", 10], ["stranger", 3]]), week: new Map() };
  const ledger = new Ledger(input({ users, usage }), [holding("h", { n1: [0, 1] }, {
    user: "bob",
  })]);
  assert.equal(ledger.score("ada"), 10);
  assert.equal(ledger.score("bob"), (10 + 2) / 2);
  assert.equal(ledger.score("stranger"), 3);
  assert.equal(ledger.score(""), 0);
  assert.equal(ledger.score("none"), Infinity);
  ledger.add(request("a", { user: "ada" }), 0.5);
  assert.equal(ledger.score("ada"), 10.5);
});

Deno.test("a group's week is that of its members together", () => {
  const users = [
    { name: "ada", groups: ["vision", "all", "vision"], share: 1 },
    { name: "bob", groups: ["all"], share: 1 },
  ];
  const usage = { decayed: new Map(), week: new Map([["ada", 2], ["bob", 3], ["stranger", 9]]) };
  const ledger = new Ledger(input({ users, usage, groups: [{ name: "vision" }] }), []);
  assert.deepEqual(["vision", "all", "no"].map((name) => ledger.groupWeekHours(name)), [2, 5, 0]);
});

Deno.test("property: sums do not depend on the order, and what is taken off again leaves nothing", () => {
  const part = fc.record({
    user: fc.constantFrom("a", "b"),
    gpus: fc.double({ min: 0, max: 8, noNaN: true }),
  });
  fc.assert(fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
    const there = new Ledger(input(), []);
    const back = new Ledger(input(), []);
    for (const { user, gpus } of parts) there.add(request("x", { user }), gpus);
    for (const { user, gpus } of parts.toReversed()) back.add(request("x", { user }), gpus);
    assert.equal(there.score("a"), back.score("a"));
    assert.equal(there.queueGpus("default"), back.queueGpus("default"));
    for (const { user, gpus } of parts) there.remove(request("x", { user }), gpus);
    assert.equal(there.queueGpus("default"), 0);
    assert.equal(there.userGpus("a"), 0);
  }));
});
