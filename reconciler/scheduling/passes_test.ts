/** What must not happen between passes: asking without end, stops in vain, starvation. */
import assert from "node:assert/strict";
import {
  DEFAULT_SCHEDULING,
  type Queue,
  type Scheduling,
  type User,
} from "../../cluster/cluster.ts";
import { schedule } from "./schedule.ts";
import { holding, HOUR, limited, NOW, occupy, request, room, seat } from "./testing.ts";
import type { Confirmation, Holding, Request, Room, Schedule } from "./types.ts";

interface World {
  readonly rooms: Room[];
  readonly holdings?: readonly Holding[];
  readonly queues?: readonly Queue[];
  readonly users?: readonly User[];
  readonly scheduling?: Partial<Scheduling>;
  readonly now?: number;
  readonly confirm?: (request: Request, nodes: readonly string[]) => Confirmation;
}
function serve(requests: readonly Request[], world: World): Schedule {
  const { rooms, holdings = [], queues = [], users = [] } = world;
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
    now: world.now ?? NOW,
    limit: Infinity,
    confirm: world.confirm ?? (() => ({ kind: "go" })),
  });
}
const PREEMPT = { byPriority: true, reclaim: true, protectMs: 600_000 };

/** Passes as the controller makes them: what a pass asks about is known in the next one, and only there. */
function passes(
  count: number,
  make: (asked: ReadonlySet<string>) => Schedule,
): { evicted: string[]; asks: string[][] } {
  let asked: ReadonlySet<string> = new Set();
  const asks: string[][] = [];
  for (let i = 0; i < count; i++) {
    const done = make(asked);
    if (done.evictions.length > 0) return { evicted: done.evictions.map((e) => e.job), asks };
    asks.push([...done.asked]);
    asked = new Set(done.asked);
  }
  return { evicted: [], asks };
}

Deno.test("a job that ran before (its checkpoints must be known) can preempt", () => {
  const found = passes(8, (asked) =>
    serve([request("high", { priority: 100 })], {
      rooms: [room("n1")],
      holdings: [holding("low", { n1: [0] }, { lostMs: asked.has("low") ? 60_000 : undefined })],
      scheduling: { preemption: PREEMPT },
      confirm: ({ name }) => asked.has(name) ? { kind: "go" } : { kind: "ask" },
    }));
  assert.deepEqual(found.evicted, ["low"], JSON.stringify(found.asks));
});

Deno.test("a wide job can preempt more than 32 small ones", () => {
  const names = ["n1", "n2", "n3", "n4", "n5"];
  const found = passes(
    8,
    (asked) =>
      serve([request("wide", { priority: 100, need: { nodes: 5, gpusPerNode: 8 } })], {
        rooms: names.map((name) => room(name, { gpus: 8 })),
        holdings: names.flatMap((n) =>
          Array.from({ length: 8 }, (_, i) =>
            holding(`s-${n}-${i}`, { [n]: [i] }, {
              lostMs: asked.has(`s-${n}-${i}`) ? 60_000 : undefined,
            }))
        ),
        scheduling: { preemption: PREEMPT },
      }),
  );
  assert.equal(found.evicted.length, 40, JSON.stringify(found.asks.map((a) => a.length)));
});

Deno.test("within one queue, who is stopped by priority does not come back before the one that stopped it", () => {
  const queues = [{ name: "b", priority: 0, quotaGpus: 4 }];
  const high = request("high", { queue: "b", priority: 100, need: { gpusPerNode: 6 } });
  const world = { queues, scheduling: { preemption: PREEMPT } };
  const victim = holding("low", { n1: [0, 1, 2, 3] }, { queue: "b", lostMs: 0 });
  const first = serve([high], { ...world, rooms: [room("n1", { gpus: 8 })], holdings: [victim] });
  const evicted = first.evictions.map((e) => e.job);
  if (evicted.length === 0) return;
  // It has stopped, and both ask.
  const again = request("low", { queue: "b", need: { gpusPerNode: 4 } });
  const second = serve([high, again], { ...world, rooms: [room("n1", { gpus: 8 })] });
  assert.deepEqual(second.placed.map((p) => p.request.name), ["high"]);
});

Deno.test("sixteen jobs for which nobody can make room do not keep a seventeenth from it", () => {
  const stuck = Array.from(
    { length: 16 },
    (_, i) => request(`h200-${i}`, { priority: 100, need: { gpuModel: "H200" } }),
  );
  const can = request("can", { priority: 50 });
  const done = serve([...stuck, can], {
    rooms: [room("a"), room("b", { model: "H200" })],
    holdings: [
      holding("low", { a: [0] }, { lostMs: 0 }),
      holding("top", { b: [0] }, { priority: 100, lostMs: 0 }),
    ],
    scheduling: { preemption: PREEMPT },
  });
  assert.deepEqual(done.evictions.map((e) => e.job), ["low"]);
});

Deno.test("CPU cores and RAM that a reservation needs are not taken by who passes", () => {
  const x = holding("x", { n1: [0, 1, 2, 3, 4, 5] }, {
    length: limited(2 * HOUR),
    need: { cpuCores: 1 },
  });
  const wide = request("wide", {
    need: { gpusPerNode: 4, cpuCores: 60 },
    submittedMs: NOW - 2 * HOUR,
  });
  const passing = request("passing", { need: { gpusPerNode: 2, cpuCores: 32 } });
  const rooms = () => [room("n1", { gpus: 8, cpuLeft: 64, node: { hardware: { cpuCores: 64 } } })];
  const alone = serve([wide], { rooms: rooms(), holdings: [x] });
  assert.equal(alone.reservations[0]?.start.atMs, NOW + HOUR);
  const both = serve([wide, passing], { rooms: rooms(), holdings: [x] });
  assert.deepEqual(both.placed.map((p) => p.request.name), []);
});

Deno.test("a limit at once holds for parts of GPUs that are booked by their memory", () => {
  const users = [{ name: "ada", groups: [], share: 1, maxGpus: 1 }];
  const jobs = Array.from(
    { length: 10 },
    (_, i) => request(`p${i}`, { user: "ada", need: { gpuShare: 0.1, vramGb: 40 } }),
  );
  const done = serve(jobs, { users, rooms: [room("n1", { gpus: 8 })] });
  const held = done.placed.reduce((s, p) => s + (p.placement[0]?.share ?? 1), 0);
  assert.ok(
    held <= 1.51, // less than one job's part too much
    `ada may use 1 GPU at once and has ${held}`,
  );
});

Deno.test("a wide job is not starved by others in a queue with maxGpus", () => {
  const queues = [{ name: "dev", priority: 0, maxGpus: 8 }];
  const wide = request("wide", {
    queue: "dev",
    user: "ada",
    need: { gpusPerNode: 8 },
    submittedMs: NOW - 30 * 24 * HOUR,
  });
  const small = request("small", { queue: "dev", user: "bob" });
  const done = serve([wide, small], {
    queues,
    rooms: [room("n1", { gpus: 8 }), room("n2", { gpus: 8 })],
    holdings: [holding("others", { n1: [0, 1, 2, 3, 4, 5, 6] }, { queue: "dev", user: "bob" })],
  });
  assert.deepEqual(
    done.placed.map((p) => p.request.name),
    [],
    "bob's job takes what ada has waited a month for",
  );
});

Deno.test("every elastic job is asked in turn, and then there is quiet", () => {
  const names = Array.from({ length: 9 }, (_, i) => `e${i}`);
  const seen = new Set<string>();
  let quiet = 0;
  let asked: ReadonlySet<string> = new Set();
  for (let pass = 0; pass < 20; pass++) {
    const done = serve([], {
      now: NOW + pass * 20_000,
      rooms: [
        ...names.map((n) => room(n)),
        ...Array.from({ length: 9 }, (_, i) => room(`free${i}`)),
      ],
      holdings: names.map((n) =>
        holding(n, { [n]: [0] }, { need: { maxNodes: 2 }, lostMs: asked.has(n) ? HOUR : undefined })
      ),
    });
    for (const n of done.asked) seen.add(n);
    if (done.asked.every((n) => asked.has(n))) quiet++;
    asked = new Set(done.asked);
  }
  assert.ok(quiet > 0, `no quiet pass of 20; asked: ${[...seen].sort()}`);
  assert.equal(seen.size, 9);
});

Deno.test("with a strict policy, a job whose checkpoint is on no node that answers does not hold up everybody", () => {
  const lost = request("lost", { submittedMs: NOW - 2 * HOUR });
  const done = serve([lost, request("next")], {
    rooms: [room("n1"), room("n2"), room("gone", { closed: "cannot be asked" })],
    scheduling: { policy: "priority" },
    confirm: ({ name }) =>
      name === "lost"
        ? { kind: "refused", reason: "CheckpointNotShared", message: "m" }
        : { kind: "go" },
  });
  assert.deepEqual(done.placed.map((p) => p.request.name), ["next"]);
});

Deno.test("a gang with a node that cannot be asked is left alone, be that node cordoned or not", () => {
  // As roomsOf makes them: a cordoned node that does not answer.
  const away = {
    ...room("n2", { gpus: 1 }),
    free: [],
    slots: new Map(),
    closed: "is cordoned (fan)",
    cordoned: true,
  };
  const done = schedule({
    requests: [request("high", { priority: 100 })],
    holdings: [holding("gang", [seat("n1", [0]), seat("n2", [0])], { lostMs: 0, unsure: true })],
    rooms: [room("n1", { gpus: 1, free: 0 }), away],
    queues: [],
    users: [],
    groups: [],
    scheduling: { ...DEFAULT_SCHEDULING, preemption: PREEMPT },
    usage: { decayed: new Map(), week: new Map() },
    now: NOW,
    limit: Infinity,
    confirm: () => ({ kind: "go" }),
  });
  assert.deepEqual(done.evictions.map((e) => e.job), []);
});

Deno.test("in a full queue, a job that is within its quota once several small ones are gone may stop them", () => {
  const queues = [{ name: "b", priority: 0, quotaGpus: 8 }];
  const lows = Array.from(
    { length: 8 },
    (_, i) => holding(`low${i}`, { n1: [i] }, { queue: "b", lostMs: 0 }),
  );
  const done = serve([request("high", { queue: "b", priority: 100, need: { gpusPerNode: 4 } })], {
    queues,
    rooms: [room("n1", { gpus: 8 })],
    holdings: lows,
    scheduling: { preemption: PREEMPT },
  });
  assert.equal(done.evictions.length, 4);
});
