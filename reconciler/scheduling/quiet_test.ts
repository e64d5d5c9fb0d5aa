/** Nothing ends and nothing comes: the stops must cease, whatever the cluster and its rules. */
import assert from "node:assert/strict";
import { DEFAULT_SCHEDULING, type Queue, type Scheduling } from "../../cluster/cluster.ts";
import { schedule } from "./schedule.ts";
import { HOUR, NOW, occupy, request, room } from "./testing.ts";
import type { Holding, Request, Room } from "./types.ts";

/** A small generator, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6D2B79F5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

interface World {
  readonly rooms: () => Room[];
  readonly jobs: readonly Request[];
  readonly queues: readonly Queue[];
  readonly scheduling: Scheduling;
}

function worldOf(seed: number): World {
  const random = randomOf(seed);
  const int = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]) => list[int(list.length)] as T;
  const nodes = Array.from({ length: 1 + int(4) }, (_, i) => ({
    name: `n${i}`,
    gpus: pick([2, 4, 8]),
    cpuCores: pick([undefined, 16]),
    labels: { rack: `r${int(2)}`, [`only${i}`]: "1" },
  }));
  const quotas = random() < 0.7;
  const queues = ["a", "b", "c"].map((name): Queue => ({
    name,
    priority: pick([0, 0, 10]),
    ...(quotas && random() < 0.7 ? { quotaGpus: int(9) } : {}),
    ...(random() < 0.1 ? { preemptible: false } : {}),
    ...(random() < 0.2 ? { maxGpus: 2 + int(8) } : {}),
  }));
  const jobs = Array.from({ length: 2 + int(8) }, (_, i) => {
    const least = 1 + int(3);
    const isElastic = random() < 0.35;
    const isShared = random() < 0.1;
    return request(`j${i}`, {
      queue: pick(["a", "b", "c"]),
      user: `u${int(3)}`,
      priority: pick([-100, 0, 0, 100, 1000]),
      submittedMs: NOW - HOUR - int(3000),
      need: {
        nodes: least,
        ...(isElastic ? { maxNodes: least + 1 + int(3) } : {}),
        gpusPerNode: isShared ? 1 : pick([1, 1, 2, 4, 6]),
        ...(isShared ? { gpuShare: pick([0.25, 0.5]) } : {}),
        ...(random() < 0.15
          ? { nodeSelector: { [`only${int(nodes.length)}`]: "1" }, nodes: 1 }
          : {}),
        ...(random() < 0.1 ? { within: "rack" } : {}),
        ...(random() < 0.2 ? { cpuCores: pick([1, 8, 12]) } : {}),
      },
    });
  });
  return {
    rooms: () =>
      nodes.map(({ name, gpus, labels, cpuCores }) =>
        room(name, {
          gpus,
          labels,
          ...(cpuCores ? { cpuLeft: cpuCores, node: { hardware: { cpuCores } } } : {}),
        })
      ),
    jobs,
    queues,
    scheduling: {
      ...DEFAULT_SCHEDULING,
      policy: pick(["default", "default", "backfill", "fairshare", "priority"]),
      preemption: {
        byPriority: random() < 0.7,
        reclaim: random() < 0.9,
        protectMs: 600_000,
      },
    },
  };
}

const ROUNDS = 60;

/** The last round in which somebody was stopped. */
function lastStop({ rooms: freshRooms, jobs, queues, scheduling }: World): number {
  let now = NOW;
  let holdings: Holding[] = [];
  let waiting = [...jobs];
  const resized = new Map<string, number>();
  let last = 0;
  for (let round = 0; round < ROUNDS && round - last <= 20; round++) {
    const rooms = freshRooms();
    occupy(rooms, holdings);
    for (const { cpuLeft = 0 } of rooms) assert.ok(cpuLeft >= 0, "CPU cores are given twice");
    const result = schedule({
      requests: waiting,
      holdings,
      rooms,
      queues,
      users: [],
      groups: [],
      scheduling,
      usage: { decayed: new Map(), week: new Map() },
      now,
      limit: Infinity,
      confirm: () => ({ kind: "go" }),
    });
    for (const { request, placement } of result.placed) {
      waiting = waiting.filter(({ name }) => name !== request.name);
      const before = resized.get(request.name) ?? 0;
      const grewInVain = before >= placement.length;
      const started = { startedMs: now, leaving: false, lostMs: 30_000, grewInVain };
      holdings.push({ ...request, placement, ...started });
    }
    for (const { job, by } of result.evictions) {
      const gone = holdings.find(({ name }) => name === job);
      if (gone) resized.set(job, job === by ? gone.placement.length : 0);
      holdings = holdings.filter(({ name }) => name !== job);
      waiting.push(...jobs.filter(({ name }) => name === job));
      last = round;
    }
    now += result.evictions.length > 0 ? 5_000 : 660_000;
  }
  return last;
}

Deno.test("over an unchanged set of jobs the stops cease", () => {
  const seeds = [...Array.from({ length: 600 }, (_, seed) => seed), 2486, 4263, 6798, 7400];
  for (const seed of seeds) {
    const last = lastStop(worldOf(seed));
    assert.ok(last < ROUNDS - 21, `seed ${seed}: somebody is stopped in round ${last}`);
  }
});
