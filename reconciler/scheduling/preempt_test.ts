import assert from "node:assert/strict";
import type { Preemption, Queue } from "../../cluster/cluster.ts";
import { DEFAULT_SCHEDULING } from "../../cluster/cluster.ts";
import { Ledger } from "./ledger.ts";
import { makeRoom, type RoomMade } from "./preempt.ts";
import { holding, HOUR, NOW, occupy, request, room, seat } from "./testing.ts";
import type { Holding, Request, Room } from "./types.ts";

const MINUTE = 60_000;

interface World {
  readonly queues?: readonly Queue[];
  readonly preemption?: Partial<Preemption>;
}

/** What is decided when these jobs, and nobody else, run in these rooms. */
function made(
  asks: Request,
  rooms: Room[],
  holdings: readonly Holding[],
  { queues = [], preemption = {} }: World = {},
): RoomMade {
  const scheduling = {
    ...DEFAULT_SCHEDULING,
    preemption: { ...DEFAULT_SCHEDULING.preemption, byPriority: true, ...preemption },
  };
  const usage = { decayed: new Map(), week: new Map() };
  const ledger = new Ledger({ queues, users: [], groups: [], usage }, holdings);
  occupy(rooms, holdings);
  return makeRoom(asks, {
    rooms,
    holdings,
    ledger,
    input: { queues, scheduling, now: NOW, rooms },
  });
}

/** `job job @ node node`, or what else was decided. */
function show(result: RoomMade): string {
  if (result.kind === "none") return "none";
  if (result.kind === "ask") return `ask ${result.jobs.join(" ")}`;
  if (result.kind === "coming") {
    return `coming ${result.from.join(" ")} @ ${result.nodes.join(" ")}`;
  }
  const names = result.victims.map(({ holding }) => holding.name).sort();
  return `${names.join(" ")} @ ${result.nodes.join(" ")}`;
}

const urgent = (need = {}) => request("urgent", { priority: 10, need });
const saved = (name: string, seats: Readonly<Record<string, readonly number[]>>, minutes: number) =>
  holding(name, seats, { lostMs: minutes * MINUTE });

Deno.test("who has just saved goes first", () => {
  const rooms = [room("n1", { gpus: 1 }), room("n2", { gpus: 1 }), room("n3", { gpus: 1 })];
  const jobs = [
    saved("a", { n1: [0] }, 20),
    saved("b", { n2: [0] }, 1),
    saved("c", { n3: [0] }, 9),
  ];
  assert.equal(show(made(urgent(), rooms, jobs)), "b @ n2");
});

Deno.test("a gang of 4 is dearer than four singles: all that it loses counts", () => {
  const rooms = [room("n1", { gpus: 4 }), room("n2", { gpus: 2 }), room("n3", { gpus: 2 })];
  const gang = saved("gang", { n2: [0, 1], n3: [0, 1] }, 10);
  const singles = [0, 1, 2, 3].map((i) => saved(`s${i}`, { n1: [i] }, 15));
  const two = urgent({ gpusPerNode: 2 });
  assert.equal(show(made(two, rooms, [gang, ...singles])), "s0 s1 @ n1");
});

Deno.test("one gang that frees all nodes is found where its parts alone look dear", () => {
  const rooms = ["n1", "n2", "n3", "n4"].map((name) => room(name));
  const gang = saved("gang", { n1: [0], n2: [0] }, 10);
  const singles = [saved("s3", { n3: [0] }, 12), saved("s4", { n4: [0] }, 12)];
  assert.equal(show(made(urgent({ nodes: 2 }), rooms, [gang, ...singles])), "gang @ n1 n2");
  const cheap = [saved("s3", { n3: [0] }, 9), saved("s4", { n4: [0] }, 9)];
  const again = ["n1", "n2", "n3", "n4"].map((name) => room(name));
  assert.equal(show(made(urgent({ nodes: 2 }), again, [gang, ...cheap])), "s3 s4 @ n3 n4");
});

Deno.test("what a chosen gang frees elsewhere makes that node cheaper", () => {
  const rooms = ["n1", "n2", "n3"].map((name) => room(name, { gpus: 2 }));
  const gang = saved("gang", { n1: [0], n2: [0] }, 10);
  const jobs = [gang, saved("little", { n2: [1] }, 3), saved("other", { n3: [0, 1] }, 5.5)];
  const two = urgent({ nodes: 2, gpusPerNode: 2 });
  assert.equal(show(made(two, rooms, jobs)), "gang little @ n1 n2");
});

Deno.test("of equally dear ones: the lower priority, the latest started, then the name", () => {
  const at = (name: string, node: string, changes: Partial<Holding>) =>
    holding(name, { [node]: [0] }, { lostMs: MINUTE, ...changes, need: {} });
  const rooms = () => [room("n1"), room("n2")];
  const pairs: readonly (readonly [Partial<Holding>, Partial<Holding>, string])[] = [
    [{ priority: 1 }, { priority: 0, startedMs: NOW - 9 * HOUR }, "b @ n2"],
    [{ startedMs: NOW - 3 * HOUR }, { startedMs: NOW - 2 * HOUR }, "b @ n2"],
    [{}, {}, "a @ n1"],
  ];
  for (const [a, b, wanted] of pairs) {
    assert.equal(show(made(urgent(), rooms(), [at("a", "n1", a), at("b", "n2", b)])), wanted);
  }
});

Deno.test("what is free already is used, and only the rest is taken", () => {
  const rooms = [room("n1", { gpus: 4 }), room("n2", { gpus: 4 })];
  const jobs = [
    saved("a", { n1: [0] }, 10),
    saved("b", { n1: [1] }, 10),
    saved("c", { n2: [0, 1, 2] }, 1),
  ];
  assert.equal(show(made(urgent({ gpusPerNode: 3 }), rooms, jobs)), "c @ n2");
  const again = [room("n1", { gpus: 4 }), room("n2", { gpus: 4 })];
  assert.equal(
    show(made(
      urgent({ gpusPerNode: 3 }),
      again,
      [...jobs.slice(0, 2), jobs[2] as Holding]
        .map((job) => ({ ...job, lostMs: 10 * MINUTE })),
    )),
    "a @ n1",
  );
});

Deno.test("coming room stops nobody else, in this pass and in the next", () => {
  const rooms = () => [room("n1"), room("n2"), room("n3")];
  const jobs = [saved("a", { n1: [0] }, 1), saved("b", { n2: [0] }, 2), saved("c", { n3: [0] }, 3)];
  assert.equal(show(made(urgent(), rooms(), jobs)), "a @ n1");
  const leaving = jobs.map((job) => job.name === "a" ? { ...job, leaving: true } : job);
  assert.equal(show(made(urgent(), rooms(), leaving)), "coming a @ n1");
  assert.equal(show(made(urgent({ nodes: 2 }), rooms(), leaving)), "b @ n1 n2", "one more is due");
});

Deno.test("a job that is being stopped for itself makes room as well", () => {
  const rooms = [room("n1"), room("n2")];
  const jobs = [
    holding("protected", { n1: [0] }, { priority: 99 }),
    holding("old", { n2: [0] }, { priority: 99, leaving: true }),
  ];
  assert.equal(show(made(request("any"), rooms, jobs)), "coming old @ n2");
});

Deno.test("the protected stay, and it is said when they have only just started", () => {
  const young = holding("young", { n1: [0] }, { startedMs: NOW - MINUTE, lostMs: MINUTE });
  const result = made(urgent(), [room("n1")], [young]);
  assert.deepEqual(result, {
    kind: "none",
    why: "jobs that could make room have only just started",
  });
  const high = holding("high", { n1: [0] }, { priority: 10, lostMs: 0 });
  assert.deepEqual(made(urgent(), [room("n1")], [high]), { kind: "none" });
});

Deno.test("nobody is stopped when not even all together would make enough room", () => {
  const jobs = [saved("a", { n1: [0] }, 1), holding("b", { n2: [0] }, { priority: 10 })];
  assert.equal(show(made(urgent({ nodes: 2 }), [room("n1"), room("n2")], jobs)), "none");
});

Deno.test("nobody is stopped for GPUs that are busy for another reason", () => {
  // GPU 1 of n1 is neither free nor held by one of ours.
  const rooms = [room("n1", { gpus: 2, free: 1 })];
  rooms[0]!.free = rooms[0]!.slots.has("n1:0") ? [rooms[0]!.slots.get("n1:0")!] : [];
  const jobs = [saved("a", { n1: [0] }, 1)];
  assert.equal(show(made(urgent({ gpusPerNode: 2 }), rooms, jobs)), "none");
});

Deno.test("a job with a node that cannot be asked is not stopped: nobody could tell that it has", () => {
  const lost = room("n2", { closed: "cannot be asked (timeout)" });
  const gang = saved("gang", { n1: [0], n2: [0] }, 1);
  assert.equal(show(made(urgent(), [room("n1"), lost], [gang])), "none");
  const cordoned = room("n2", { closed: "is cordoned (fan)", cordoned: true });
  assert.equal(show(made(urgent(), [room("n1"), cordoned], [gang])), "gang @ n1");
});

Deno.test("a gang is made room for on GPUs of one kind and in one place", () => {
  const rooms = [
    room("n1", { model: "A100" }),
    room("n2", { model: "H100", labels: { rack: "r1" } }),
    room("n3", { model: "H100", labels: { rack: "r2" } }),
    room("n4", { model: "H100", labels: { rack: "r2" } }),
  ];
  const jobs = [
    saved("a", { n1: [0] }, 0),
    saved("b", { n2: [0] }, 1),
    saved("c", { n3: [0] }, 2),
    saved("d", { n4: [0] }, 9),
  ];
  const fresh = () => rooms.map((one) => ({ ...one, free: [...one.free] }));
  assert.equal(show(made(urgent({ nodes: 2 }), fresh(), jobs)), "b c @ n2 n3");
  assert.equal(show(made(urgent({ nodes: 2, within: "rack" }), fresh(), jobs)), "c d @ n3 n4");
  assert.equal(show(made(urgent({ nodes: 2, mixedGpus: true }), fresh(), jobs)), "a b @ n1 n2");
  assert.equal(show(made(urgent({ gpuModel: "A100" }), fresh(), jobs)), "a @ n1");
});

Deno.test("CPU cores and RAM must come free too", () => {
  const rooms = [room("n1", { gpus: 2, cpuLeft: 16, ramLeftGb: 100 })];
  const jobs = [holding("cpu", { n1: [0] }, { lostMs: MINUTE, need: { cpuCores: 12 } })];
  assert.equal(show(made(urgent({ cpuCores: 8 }), rooms, jobs)), "cpu @ n1");
  const small = [room("n1", { gpus: 2, cpuLeft: 16, ramLeftGb: 100 })];
  assert.equal(show(made(urgent({ cpuCores: 20 }), small, jobs)), "none");
});

Deno.test("a shared GPU is whole again when all who share it have gone", () => {
  const half = (name: string, minutes: number) =>
    holding(name, [seat("n1", [0], 0.5)], { lostMs: minutes * MINUTE });
  const rooms = () => [room("n1")];
  assert.equal(show(made(urgent(), rooms(), [half("a", 1), half("b", 2)])), "a b @ n1");
  const shared = urgent({ gpuShare: 0.5 });
  assert.equal(show(made(shared, rooms(), [half("a", 1), half("b", 2)])), "a @ n1");
});

Deno.test("jobs whose checkpoints nobody has looked at are asked first, and then decided on", () => {
  const rooms = () => [room("n1"), room("n2"), room("n3")];
  const jobs = [
    holding("a", { n1: [0] }, { startedMs: NOW - 2 * HOUR }),
    holding("b", { n2: [0] }, { startedMs: NOW - 3 * HOUR }),
    saved("c", { n3: [0] }, 190),
  ];
  assert.equal(show(made(urgent(), rooms(), jobs)), "ask a b");
  const looked = [{ ...jobs[0]!, lostMs: 90 * MINUTE }, { ...jobs[1]!, lostMs: MINUTE }, jobs[2]!];
  assert.equal(show(made(urgent(), rooms(), looked)), "b @ n2");
  const cheaper = saved("c", { n3: [0] }, 1);
  assert.equal(show(made(urgent(), rooms(), [...jobs.slice(0, 2), cheaper])), "c @ n3");
});

Deno.test("at most 32 others are asked beside those found, and the second call decides", () => {
  const names = Array.from({ length: 50 }, (_, i) => `n${i}`);
  const rooms = () => names.map((name) => room(name));
  const jobs = names.map((name, i) =>
    holding(`j${i}`, { [name]: [0] }, { startedMs: NOW - (i + 1) * HOUR })
  );
  const first = made(urgent({ nodes: 2 }), rooms(), jobs);
  assert.equal(first.kind === "ask" && first.jobs.length, 34);
  const asked = new Set(first.kind === "ask" ? first.jobs : []);
  const looked = jobs.map((job) => asked.has(job.name) ? { ...job, lostMs: 30 * MINUTE } : job);
  assert.equal(made(urgent({ nodes: 2 }), rooms(), looked).kind, "evict");
});

Deno.test("reclaim never takes a queue below its quota", () => {
  const queues = [
    { name: "a", priority: 0, quotaGpus: 4 },
    { name: "b", priority: 0, quotaGpus: 2 },
  ];
  const rooms = () => [room("n1", { gpus: 4 })];
  const jobs = [0, 1, 2, 3].map((i) =>
    holding(`b${i}`, { n1: [i] }, { queue: "b", lostMs: (4 - i) * MINUTE })
  );
  const world = { queues, preemption: { byPriority: false } };
  const asks = (gpusPerNode: number) => request("asks", { queue: "a", need: { gpusPerNode } });
  const two = made(asks(2), rooms(), jobs, world);
  assert.equal(show(two), "b2 b3 @ n1");
  assert.ok(two.kind === "evict" && two.victims.every(({ reason }) => reason === "Reclaimed"));
  assert.equal(show(made(asks(3), rooms(), jobs, world)), "none");
  const leaving = jobs.map((job) => job.name === "b3" ? { ...job, leaving: true } : job);
  assert.equal(show(made(asks(2), rooms(), leaving, world)), "b2 @ n1");
  assert.equal(show(made(asks(3), rooms(), leaving, world)), "none", "b3 counts as gone");
});

Deno.test("a node whose queue can spare no more gives way to the next", () => {
  const queues = [
    { name: "a", priority: 0, quotaGpus: 4 },
    { name: "b", priority: 0, quotaGpus: 2 },
    { name: "c", priority: 0, quotaGpus: 0 },
  ];
  const rooms = [room("n1"), room("n2"), room("n3"), room("n4")];
  const jobs = [
    holding("b1", { n1: [0] }, { queue: "b", lostMs: 1 * MINUTE }),
    holding("b2", { n2: [0] }, { queue: "b", lostMs: 2 * MINUTE }),
    holding("b3", { n3: [0] }, { queue: "b", lostMs: 3 * MINUTE }),
    holding("c1", { n4: [0] }, { queue: "c", lostMs: 50 * MINUTE }),
  ];
  const asks = request("asks", { queue: "a", need: { nodes: 2 } });
  assert.equal(show(made(asks, rooms, jobs, { queues })), "b1 c1 @ n1 n4");
});

Deno.test("an elastic job gives back to anybody what it has beyond its least size, and no more", () => {
  const rooms = () => [room("n1"), room("n2"), room("n3")];
  const need = { nodes: 1, maxNodes: 3 };
  const grown = holding("grown", { n1: [0], n2: [0], n3: [0] }, { priority: 99, lostMs: 0, need });
  const asks = (nodes: number) => request("asks", { need: { nodes } });
  const two = made(asks(2), rooms(), [grown]);
  assert.equal(show(two), "grown @ n2 n3");
  assert.ok(two.kind === "evict" && two.victims[0]?.reason === "Resized");
  assert.equal(two.victims[0].holding, grown);
  assert.equal(show(made(asks(3), rooms(), [grown])), "none");
  assert.equal(show(made(asks(2), rooms(), [{ ...grown, lostMs: undefined }])), "ask grown");
});
