import assert from "node:assert/strict";
import {
  DEFAULT_SCHEDULING,
  type Queue,
  type Scheduling,
  type User,
} from "../../cluster/cluster.ts";
import { schedule } from "./schedule.ts";
import { holding, HOUR, limited, NOW, occupy, request, room, type Seats } from "./testing.ts";
import type { Confirmation, Holding, Request, Room, Schedule } from "./types.ts";

interface World {
  readonly rooms: Room[];
  readonly holdings?: readonly Holding[];
  readonly queues?: readonly Queue[];
  readonly users?: readonly User[];
  readonly scheduling?: Partial<Scheduling>;
  readonly limit?: number;
  readonly confirm?: (request: Request, nodes: readonly string[]) => Confirmation;
}

function serve(requests: readonly Request[], world: World): Schedule {
  const { rooms, holdings = [], queues = [], users = [], limit = Infinity } = world;
  occupy(rooms, holdings);
  return schedule({
    requests,
    holdings,
    rooms,
    queues,
    users,
    groups: [],
    scheduling: { ...DEFAULT_SCHEDULING, ...world.scheduling },
    usage: { decayed: new Map(), week: new Map() },
    now: NOW,
    limit,
    confirm: world.confirm ?? (() => ({ kind: "go" })),
  });
}

/** Four nodes of one GPU. */
function four(): Room[] {
  return ["n1", "n2", "n3", "n4"].map((name) => room(name));
}

function runs(name: string, seats: Seats, hours: number | undefined, started = 1): Holding {
  return holding(name, seats, {
    startedMs: NOW - started * HOUR,
    length: hours === undefined ? undefined : limited(hours * HOUR),
  });
}

function asks(name: string, nodes: number, hours?: number, older = 0): Request {
  return request(name, {
    need: { nodes },
    submittedMs: NOW - HOUR - older,
    length: hours === undefined ? undefined : limited(hours * HOUR),
  });
}

function placed({ placed }: Schedule): string {
  return placed.map(({ request, placement }) =>
    `${request.name}@${placement.map(({ node }) => node).join("+")}`
  ).join(" ");
}

function waits({ waiting }: Schedule): string {
  return waiting.map(({ request, reason }) => `${request.name}:${reason}`).join(" ");
}

Deno.test("a gang gets all of its nodes or none", () => {
  const busy = runs("busy", { n1: [0] }, 2);
  const result = serve([asks("wide", 4)], { rooms: four(), holdings: [busy] });
  assert.equal(placed(result), "");
  assert.equal(waits(result), "wide:Resources");
});

Deno.test("a wide job keeps a start time, and only who is gone by then runs before it", () => {
  // n1 is free in an hour, so wide starts then.
  const busy = runs("busy", { n1: [0] }, 2);
  const requests = [
    asks("wide", 4, undefined, 9),
    asks("long", 1, 5, 8),
    asks("endless", 1, undefined, 7),
    asks("short", 1, 0.5, 6),
  ];
  const result = serve(requests, { rooms: four(), holdings: [busy] });
  assert.equal(placed(result), "short@n2");
  assert.equal(waits(result), "wide:Resources long:Priority endless:Priority");
  assert.deepEqual(result.reservations.map(({ job, start }) => [job, start]), [
    ["wide", { atMs: NOW + HOUR, basis: "limit" }],
    ["long", { atMs: NOW + 2 * HOUR, basis: "guess" }],
    ["endless", { atMs: NOW + 2 * HOUR, basis: "guess" }],
  ]);
  assert.match(result.waiting[1]?.detail ?? "", /kept for wide/);
});

Deno.test("who leaves enough for the reservation may run as long as it likes", () => {
  const rooms = [room("n1", { gpus: 4 }), room("n2", { gpus: 4 })];
  const busy = runs("busy", { n1: [0, 1], n2: [0] }, 2);
  const wide = request("wide", { need: { nodes: 2, gpusPerNode: 3 }, submittedMs: NOW - 9 * HOUR });
  const result = serve([wide, asks("one", 1), asks("two", 1)], { rooms, holdings: [busy] });
  assert.equal(placed(result), "one@n1 two@n2");
});

Deno.test("a job of unknown length is guessed to go on as long as it has run", () => {
  const busy = runs("busy", { n1: [0] }, undefined, 10);
  const result = serve([asks("wide", 4, 1, 9), asks("short", 1, 9)], {
    rooms: four(),
    holdings: [busy],
  });
  assert.deepEqual(result.waiting[0]?.expected, { atMs: NOW + 10 * HOUR, basis: "guess" });
  assert.equal(placed(result), "short@n2");
});

Deno.test("a job that waits for a node that does not answer holds up nobody", () => {
  const rooms = [room("n1"), room("n2", { closed: "cannot be asked (timeout)" })];
  const result = serve([asks("wide", 2, 1, 9), asks("small", 1)], { rooms });
  assert.equal(placed(result), "small@n1");
  assert.equal(waits(result), "wide:Resources");
  assert.match(result.waiting[0]?.detail ?? "", /n2 cannot be asked \(timeout\)/);
});

Deno.test("a job that no set of nodes can ever hold says so and holds up nobody", () => {
  const result = serve([asks("huge", 5, 1, 9), asks("small", 1)], {
    rooms: four(),
    scheduling: { policy: "fifo" },
  });
  assert.equal(waits(result), "huge:Unschedulable");
  assert.equal(placed(result), "small@n1");
});

Deno.test("cordoned nodes that would do are named", () => {
  const rooms = [room("n1"), room("n2", { closed: "is cordoned (fan)", cordoned: true })];
  const result = serve([asks("wide", 2)], { rooms });
  assert.equal(waits(result), "wide:Cordoned");
  assert.match(result.waiting[0]?.message ?? "", /cordoned \(n2\)/);
});

Deno.test("a cordoned GPU of a node that would do with it is named", () => {
  const rooms = [{ ...room("n1", { gpus: 7, cordoned: true }), total: 8 }];
  const result = serve([request("a", { need: { gpusPerNode: 8 } })], { rooms });
  assert.equal(waits(result), "a:Cordoned");
});

Deno.test("unlike GPUs form a gang only when the job says so, and the weakest is named", () => {
  const rooms = () => [
    room("big", { model: "RTX 4070", memoryMiB: 12_282 }),
    room("a", { model: "RTX 3060", memoryMiB: 8_192 }),
    room("b", { model: "RTX 3060", memoryMiB: 8_192 }),
  ];
  const strict = serve([asks("job", 3)], { rooms: rooms() });
  assert.match(strict.waiting[0]?.message ?? "", /mixedGpus/);
  const mixed = serve([request("job", { need: { nodes: 3, mixedGpus: true } })], {
    rooms: rooms(),
  });
  assert.equal(placed(mixed), "job@big+a+b");
  assert.match(mixed.placed[0]?.because ?? "", /RTX 3060 \(8 GB\) on b/);
});

Deno.test("fifo and priority let nobody pass; fifo does not look at priorities", () => {
  const busy = runs("busy", { n1: [0] }, 2);
  const requests = [asks("wide", 4, 1, 9), request("high", { priority: 100, length: limited(1) })];
  const world = (policy: Scheduling["policy"]) => ({
    rooms: four(),
    holdings: [busy],
    scheduling: { policy },
  });
  assert.equal(waits(serve(requests, world("fifo"))), "wide:Resources high:Priority");
  assert.equal(placed(serve(requests, world("priority"))), "high@n2");
  assert.equal(placed(serve(requests, world("backfill"))), "high@n2");
});

Deno.test("what somebody's limit holds back holds up nobody else, whatever the policy", () => {
  const users = [{ name: "ada", groups: [], share: 1, maxGpus: 1 }];
  const requests = [
    request("a1", { user: "ada", submittedMs: NOW - 9 * HOUR }),
    request("a2", { user: "ada", submittedMs: NOW - 8 * HOUR }),
    request("b1", { user: "bob" }),
  ];
  const result = serve(requests, { rooms: four(), users, scheduling: { policy: "fifo" } });
  assert.equal(placed(result), "a1@n1 b1@n2");
  assert.equal(waits(result), "a2:Quota");
  assert.deepEqual(result.reservations, []);
});

Deno.test("no more jobs are launched than the limit allows", () => {
  const result = serve([asks("a", 1), asks("b", 1), asks("c", 1)], { rooms: four(), limit: 2 });
  assert.equal(placed(result), "a@n1 b@n2");
  assert.equal(waits(result), "c:LaunchLimit");
});

Deno.test("a job whose checkpoints are not known yet keeps its room while they are looked at", () => {
  const result = serve([asks("a", 4, 1, 9), asks("b", 1)], {
    rooms: four(),
    confirm: () => ({ kind: "ask" }),
  });
  assert.deepEqual(result.asked, ["a"]);
  assert.equal(placed(result), "");
  assert.equal(waits(result), "b:Resources");
});

Deno.test("ranks are in the order in which the checkpoint wants them", () => {
  const result = serve([asks("a", 2)], {
    rooms: four(),
    confirm: () => ({ kind: "go", order: [1, 0], note: "resumes from step 7" }),
  });
  assert.equal(placed(result), "a@n2+n1");
  assert.match(result.placed[0]?.because ?? "", /; resumes from step 7$/);
});

Deno.test("an elastic job takes what nobody else can use, after everybody had a turn", () => {
  const elastic = request("el", { need: { nodes: 1, maxNodes: 4 }, submittedMs: NOW - 9 * HOUR });
  const alone = serve([elastic], { rooms: four() });
  assert.equal(placed(alone), "el@n1+n2+n3+n4");
  const shared = serve([elastic, asks("small", 1)], { rooms: four() });
  assert.equal(placed(shared), "el@n1+n3+n4 small@n2");
});

Deno.test("a waiting job of a higher priority makes others save and stop, when the cluster allows", () => {
  const preemption = { byPriority: true, reclaim: true, protectMs: 0 };
  const low = (name: string, node: string, lostMs: number) =>
    holding(name, { [node]: [0] }, { priority: -100, lostMs });
  const holdings = [low("x", "n1", 50_000), low("y", "n2", 10_000), low("z", "n3", 90_000)];
  const rooms = four().slice(0, 3);
  const urgent = request("urgent", { priority: 1000 });
  const off = serve([urgent], { rooms: four().slice(0, 3), holdings });
  assert.deepEqual(off.evictions, []);
  const result = serve([urgent, request("later", { priority: -100, submittedMs: NOW })], {
    rooms,
    holdings,
    scheduling: { preemption },
  });
  assert.deepEqual(result.evictions.map(({ job, by, reason }) => [job, by, reason]), [
    ["y", "urgent", "Preempted"],
  ]);
  assert.equal(waits(result), "urgent:Preempting later:Resources");
});

Deno.test("while victims save and stop nobody else is stopped, and nobody takes their room", () => {
  const preemption = { byPriority: true, reclaim: true, protectMs: 0 };
  const holdings = [
    holding("x", { n1: [0] }, { priority: -100, lostMs: 0, leaving: true }),
    holding("y", { n2: [0] }, { priority: -100, lostMs: 0 }),
  ];
  const urgent = request("urgent", { priority: 1000, submittedMs: NOW });
  const rooms = four().slice(0, 2);
  const waiting = serve([urgent], { rooms, holdings, scheduling: { preemption } });
  assert.deepEqual(waiting.evictions, []);
  assert.equal(waits(waiting), "urgent:Preempting");
});

Deno.test("who may not go on elsewhere keeps room where its checkpoint is", () => {
  const urgent = holding("urgent", { n1: [0] }, { priority: 100 });
  const low = request("low", {
    need: { nodes: 2 },
    submittedMs: NOW - 2 * HOUR,
    preferred: new Map([["n1", 3], ["n2", 3]]),
  });
  const result = serve([low, request("later-1"), request("later-2")], {
    rooms: four().slice(0, 3),
    holdings: [urgent],
    confirm: ({ name }, nodes) =>
      name === "low" && nodes.join() !== "n1,n2"
        ? { kind: "refused", reason: "CheckpointNotShared", message: "it is on n1, n2" }
        : { kind: "go" },
  });
  assert.equal(placed(result), "later-1@n3");
  assert.equal(waits(result), "low:CheckpointNotShared later-2:Priority");
});

Deno.test("what is told of a start rests on limits where it can, and then does not move", () => {
  const served = (nodes: number, hours: number) => {
    const open = runs("open", { n1: [0] }, undefined, hours);
    const closed = runs("closed", { n2: [0] }, 3 + hours, hours);
    const given = { rooms: four().slice(0, 2), holdings: [open, closed] };
    return serve([asks("job", nodes, 1)], given).waiting[0]?.expected;
  };
  for (const hours of [1, 2, 5]) {
    assert.deepEqual(served(1, hours), { atMs: NOW + 3 * HOUR, basis: "limit" });
  }
  // Nobody knows when `open` ends.
  assert.equal(served(2, 1)?.basis, "guess");
});
