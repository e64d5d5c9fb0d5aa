import assert from "node:assert/strict";
import { DEFAULT_SCHEDULING } from "../../cluster/cluster.ts";
import { optionsOn } from "./fit.ts";
import { extraNodes, growing } from "./grow.ts";
import { holding, needs, NOW, occupy, room, seat } from "./testing.ts";
import type { Holding, Room } from "./types.ts";

const MINUTE = 60_000;

/** `kind job` for each step, when these jobs run in these rooms and nobody waits. */
function steps(
  rooms: Room[],
  holdings: readonly Holding[],
  allowed: (holding: Holding, nodes: number) => number = (_, nodes) => nodes,
): string[] {
  occupy(rooms, holdings);
  return growing({
    rooms,
    holdings,
    optionsOf: ({ need }) => rooms.flatMap((one) => optionsOn(one, need, Infinity)),
    allowed,
    confirmed: () => true,
    input: { scheduling: DEFAULT_SCHEDULING, now: NOW },
  }).map(({ kind, job }) => `${kind} ${job}`);
}

const three = () => [room("n1"), room("n2"), room("n3")];

type Changes = Parameters<typeof holding>[2];

function elastic(name: string, node: string, changes: Changes = {}): Holding {
  const need = { maxNodes: 4, ...changes.need };
  return holding(name, { [node]: [0] }, { lostMs: MINUTE, ...changes, need });
}

Deno.test("an elastic job that has just saved takes what nobody else can use", () => {
  assert.deepEqual(steps(three(), [elastic("a", "n1")]), ["resize a"]);
});

Deno.test("it is asked about first when nobody has looked at its checkpoints", () => {
  assert.deepEqual(steps(three(), [elastic("a", "n1", { lostMs: undefined })]), ["ask a"]);
});

Deno.test("who would lose more than a minute is asked again, until it has saved", () => {
  assert.deepEqual(steps(three(), [elastic("a", "n1", { lostMs: MINUTE + 1 })]), ["ask a"]);
});

Deno.test("a job stays as it is where growing does not pay or cannot be", () => {
  const cases: readonly (readonly [string, Changes])[] = [
    ["it has just started", { startedMs: NOW - 599_999 }],
    ["it is being stopped", { leaving: true }],
    ["it was stopped for that before, in vain", { grewInVain: true }],
    ["it is as large as it may be", { need: { maxNodes: 1 } }],
    ["the others are of another model", { need: { maxNodes: 4, gpuModel: "A100" } }],
    ["it must lie within one rack, and n1 names none", { need: { within: "rack" } }],
  ];
  for (const [why, changes] of cases) {
    assert.deepEqual(steps(three(), [elastic("a", "n1", changes)]), [], why);
  }
  const rigid = holding("a", { n1: [0] }, { lostMs: 0 });
  assert.deepEqual(steps(three(), [rigid]), [], "it is not elastic");
  assert.deepEqual(steps([room("n1")], [elastic("a", "n1")]), [], "nothing is free");
  const odd = [room("n1"), room("n2", { model: "A100" })];
  assert.deepEqual(steps(odd, [elastic("a", "n1")]), [], "no GPU of its kind is free");
  const mixed = elastic("a", "n1", { need: { maxNodes: 4, mixedGpus: true } });
  const unlike = [room("n1"), room("n2", { model: "A100" })];
  assert.deepEqual(steps(unlike, [mixed]), ["resize a"], "but it may take unlike ones");
});

Deno.test("a job on a node that takes no new work would lose it, and is left alone", () => {
  const rooms = [room("n1", { closed: "is cordoned (fan)", cordoned: true }), room("n2")];
  assert.deepEqual(steps(rooms, [elastic("a", "n1")]), []);
});

Deno.test("limits hold: a job grows only by what its queue, user and groups allow", () => {
  const asked: number[] = [];
  const none = steps(three(), [elastic("a", "n1")], (_, nodes) => {
    asked.push(nodes);
    return 0;
  });
  assert.deepEqual([none, asked], [[], [2]]);
});

Deno.test("two jobs do not count on the same node; the first by name has it", () => {
  const jobs = [elastic("b", "n1"), elastic("a", "n2")];
  assert.deepEqual(steps(three(), jobs), ["resize a"]);
  const one = (_: Holding, nodes: number) => Math.min(nodes, 1);
  const four = ["n1", "n2", "n3", "n4"].map((name) => room(name));
  assert.deepEqual(steps(four, jobs, one), ["resize a", "resize b"]);
});

Deno.test("at most four jobs a pass", () => {
  const names = Array.from({ length: 12 }, (_, i) => `n${i + 10}`);
  const jobs = names.slice(0, 6).map((node) =>
    elastic(`on-${node}`, node, { need: { maxNodes: 2 } })
  );
  const found = steps(names.map((name) => room(name)), jobs);
  assert.deepEqual(found, [10, 11, 12, 13].map((i) => `resize on-n${i}`));
});

Deno.test("the message says from how many to how many, for the record", () => {
  const rooms = three();
  const jobs = [elastic("a", "n1")];
  occupy(rooms, jobs);
  const [step] = growing({
    rooms,
    holdings: jobs,
    optionsOf: ({ need }) => rooms.flatMap((one) => optionsOn(one, need, Infinity)),
    confirmed: () => true,
    allowed: (_, nodes) => nodes,
    input: { scheduling: DEFAULT_SCHEDULING, now: NOW },
  });
  assert.equal(
    step?.message,
    "has just saved, and goes on with 3 nodes instead of 1: nobody else can use them",
  );
});

Deno.test("extra nodes are of the same kind, in the same place, others than its own, up to the most", () => {
  const rooms = [
    room("n1", { gpus: 2, labels: { rack: "r1" } }),
    room("n2", { labels: { rack: "r2" } }),
    room("n3", { model: "A100", labels: { rack: "r1" } }),
    room("n4", { labels: { rack: "r1" } }),
    room("n5", { labels: { rack: "r1" } }),
    room("n6"),
  ];
  const placement = [seat("n1", [0])];
  const extra = (changes: Parameters<typeof needs>[0]) => {
    const need = needs({ maxNodes: 4, ...changes });
    const options = rooms.flatMap((one) => optionsOn(one, need, Infinity));
    return extraNodes(placement, options, need, rooms).map((option) => option.room.node.name);
  };
  assert.deepEqual(extra({}), ["n2", "n4", "n5"]);
  assert.deepEqual(extra({ within: "rack" }), ["n4", "n5"]);
  assert.deepEqual(extra({ maxNodes: 2 }), ["n2"]);
  assert.deepEqual(extra({ mixedGpus: true }), ["n2", "n3", "n4"]);
  assert.deepEqual(extra({ maxNodes: 1 }), []);
});
