import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_SCHEDULING, type Queue, type SchedulingPolicy } from "../../cluster/cluster.ts";
import { gangs, optionsOn } from "./fit.ts";
import { gpusOf, Ledger } from "./ledger.ts";
import { limitOf } from "./limits.ts";
import { schedule } from "./schedule.ts";
import { holding, HOUR, limited, NOW, occupy, request, room } from "./testing.ts";
import type { Holding, Request, Room, Schedule, ScheduleInput } from "./types.ts";

const NODES = 5;
const GPUS = 4;

interface JobDraw {
  readonly nodes: number;
  readonly gpusPerNode: number;
  readonly share: boolean;
  readonly vram: boolean;
  readonly hours: number | undefined;
  readonly priority: number;
  readonly user: number;
  readonly queue: number;
  readonly age: number;
}

const jobDraw: fc.Arbitrary<JobDraw> = fc.record({
  nodes: fc.integer({ min: 1, max: NODES }),
  gpusPerNode: fc.integer({ min: 1, max: GPUS }),
  share: fc.boolean(),
  vram: fc.boolean(),
  hours: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
  priority: fc.constantFrom(-100, 0, 100),
  user: fc.integer({ min: 0, max: 2 }),
  queue: fc.integer({ min: 0, max: 1 }),
  age: fc.integer({ min: 0, max: 100 }),
});

interface WorldDraw {
  readonly waiting: readonly JobDraw[];
  /** What runs: one node each, so many GPUs, started so many hours ago. */
  readonly running: readonly { readonly node: number; readonly job: JobDraw }[];
  /** Nodes with small GPUs, and a node that does not answer. */
  readonly small: readonly number[];
  readonly closed: number | undefined;
  readonly policy: SchedulingPolicy;
  readonly quotas: boolean;
  readonly preempts: boolean;
}

const worldDraw: fc.Arbitrary<WorldDraw> = fc.record({
  waiting: fc.array(jobDraw, { maxLength: 12 }),
  running: fc.array(fc.record({ node: fc.integer({ min: 0, max: NODES - 1 }), job: jobDraw }), {
    maxLength: 10,
  }),
  small: fc.subarray([0, 1, 2, 3, 4]),
  closed: fc.option(fc.integer({ min: 0, max: NODES - 1 }), { nil: undefined }),
  policy: fc.constantFrom("fifo", "priority", "fairshare", "backfill", "default"),
  quotas: fc.boolean(),
  preempts: fc.boolean(),
});

function requestFrom(job: JobDraw, index: number): Request {
  const share = job.share && job.nodes === 1;
  return request(`job-${String(index).padStart(2, "0")}`, {
    need: {
      nodes: job.nodes,
      gpusPerNode: share ? 1 : job.gpusPerNode,
      ...(share ? { gpuShare: 0.25 } : {}),
      ...(job.vram ? { vramGb: 20 } : {}),
    },
    length: job.hours === undefined ? undefined : limited(job.hours * HOUR),
    priority: job.priority,
    user: `user-${job.user}`,
    queue: ["default", "lab"][job.queue] ?? "default",
    submittedMs: NOW - job.age * HOUR,
  });
}

function roomsFrom(world: WorldDraw): Room[] {
  return Array.from({ length: NODES }, (_, i) =>
    room(`n${i}`, {
      gpus: GPUS,
      ...(world.small.includes(i) ? { model: "RTX 3060", memoryMiB: 12_288 } : {}),
      ...(world.closed === i ? { closed: "cannot be asked" } : {}),
    }));
}

/** Jobs on free GPUs, as many as there is room for. */
function holdingsFrom(world: WorldDraw): Holding[] {
  const used = new Map<number, number>();
  return world.running.flatMap(({ node, job }, i) => {
    const from = used.get(node) ?? 0;
    const count = Math.min(job.gpusPerNode, GPUS - from);
    if (count === 0 || world.closed === node) return [];
    used.set(node, from + count);
    const indices = Array.from({ length: count }, (_, k) => from + k);
    return [
      holding(`run-${i}`, { [`n${node}`]: indices }, {
        priority: job.priority,
        user: `user-${job.user}`,
        queue: ["default", "lab"][job.queue] ?? "default",
        startedMs: NOW - (job.age % 10) * HOUR,
        length: job.hours === undefined ? undefined : limited((10 + job.hours) * HOUR),
        lostMs: job.age * 1000,
      }),
    ];
  });
}

function inputFrom(world: WorldDraw, requests: readonly Request[]): ScheduleInput {
  const rooms = roomsFrom(world);
  const holdings = holdingsFrom(world);
  occupy(rooms, holdings);
  const queues: Queue[] = [
    { name: "default", priority: 0, ...(world.quotas ? { quotaGpus: 8 } : {}) },
    { name: "lab", priority: 1, ...(world.quotas ? { quotaGpus: 6 } : {}) },
  ];
  return {
    requests,
    holdings,
    rooms,
    queues,
    users: [],
    groups: [],
    scheduling: {
      ...DEFAULT_SCHEDULING,
      policy: world.policy,
      preemption: { byPriority: world.preempts, reclaim: true, protectMs: 0 },
    },
    usage: { decayed: new Map([["user-0", 40], ["user-1", 4]]), week: new Map() },
    now: NOW,
    limit: Infinity,
    confirm: () => ({ kind: "go" }),
  };
}

function requestsFrom(world: WorldDraw): Request[] {
  return world.waiting.map(requestFrom);
}

/** A world as it is after what was placed has started. */
function after(input: ScheduleInput, result: Schedule): ScheduleInput {
  const started = result.placed.map(({ request, placement }): Holding => ({
    ...request,
    placement,
    startedMs: NOW,
    leaving: false,
    lostMs: 0,
  }));
  const gone = new Set(started.map(({ name }) => name));
  return {
    ...input,
    requests: input.requests.filter(({ name }) => !gone.has(name)),
    holdings: [...input.holdings, ...started],
  };
}

function shown(result: Schedule) {
  const { placed, waiting, evictions, reservations } = result;
  return {
    placed: placed.map(({ request, placement }) => [request.name, placement]),
    waiting: waiting.map(({ request, reason, expected }) => [request.name, reason, expected]),
    evictions,
    reservations: reservations.map(({ job, start, nodes }) => [job, start, [...nodes]]),
  };
}

Deno.test("no GPU is given twice, none to a node that does not answer, and gangs are whole", () => {
  fc.assert(
    fc.property(worldDraw, (world) => {
      const input = inputFrom(world, requestsFrom(world));
      const used = new Map<string, number>();
      const take = (placement: Holding["placement"]) => {
        for (const { gpus, share = 1 } of placement) {
          for (const uuid of gpus) used.set(uuid, (used.get(uuid) ?? 0) + share);
        }
      };
      for (const { placement } of input.holdings) take(placement);
      const { placed, waiting, asked } = schedule(input);
      for (const { request: { need }, placement } of placed) {
        take(placement);
        assert.equal(new Set(placement.map(({ node }) => node)).size, need.nodes);
        for (const { node, gpus } of placement) {
          assert.equal(gpus.length, need.gpusPerNode);
          assert.notEqual(node, `n${world.closed}`);
          if (need.vramGb) assert.equal(world.small.some((i) => node === `n${i}`), false);
        }
      }
      for (const [uuid, part] of used) {
        assert.ok(part <= 1 + 1e-9, `${uuid} is given ${part} times`);
      }
      assert.equal(placed.length + waiting.length + asked.length, input.requests.length);
    }),
    { numRuns: 400 },
  );
});

Deno.test("the result does not depend on the order of files or of what runs", () => {
  fc.assert(
    fc.property(worldDraw, fc.infiniteStream(fc.nat()), (world, stream) => {
      const shuffle = <T>(items: readonly T[]) =>
        items.map((item) => ({ item, key: stream.next().value as number }))
          .toSorted((a, b) => a.key - b.key).map(({ item }) => item);
      const requests = requestsFrom(world);
      const one = inputFrom(world, requests);
      const other = inputFrom(world, shuffle(requests));
      assert.deepEqual(
        shown(schedule({ ...other, holdings: shuffle(other.holdings) })),
        shown(schedule(one)),
      );
    }),
    { numRuns: 300 },
  );
});

Deno.test("a reservation never moves later because of a job that passed it", () => {
  fc.assert(
    fc.property(worldDraw, (drawn) => {
      const world: WorldDraw = { ...drawn, quotas: false, preempts: false, policy: "backfill" };
      const requests = requestsFrom(world);
      const input = inputFrom(world, requests);
      const result = schedule(input);
      const first = result.reservations[0];
      if (!first) return;
      const at = result.waiting.findIndex(({ request }) => request.name === first.job);
      const ahead = new Set(result.waiting.slice(0, at).map(({ request }) => request.name));
      // The same world without those who came after it: only what runs or was before it.
      const passed = new Set(result.placed.map(({ request }) => request.name));
      const next = after(input, result);
      const rooms = roomsFrom(world);
      occupy(rooms, next.holdings);
      const again = schedule({ ...next, rooms });
      const moved = again.reservations.find(({ job }) => job === first.job);
      const started = again.placed.some(({ request }) => request.name === first.job);
      assert.ok(moved || started, `${first.job} lost its reservation`);
      assert.ok(ahead.size >= 0 && passed.size >= 0);
      if (moved) {
        assert.ok(
          moved.start.atMs <= first.start.atMs,
          `from ${first.start.atMs - NOW} to ${moved.start.atMs - NOW}`,
        );
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("nobody waits whose constraints are met when nothing before it can use the room", () => {
  fc.assert(
    fc.property(worldDraw, (drawn) => {
      const world: WorldDraw = { ...drawn, policy: "default" };
      const input = inputFrom(world, requestsFrom(world));
      const { rooms, queues, users, groups, usage } = input;
      const result = schedule(input);
      if (result.reservations.length > 0) return;
      // Without reservations nothing is kept: whoever fits in what is left should have it.
      const ledger = new Ledger({ queues, users, groups, usage }, input.holdings);
      for (const { request } of result.placed) ledger.add(request, gpusOf(request.need));
      for (const { request } of result.waiting) {
        const options = rooms.flatMap((r) => optionsOn(r, request.need, Infinity));
        const fits = gangs(options, request.need).length > 0;
        const limited = limitOf(request, gpusOf(request.need), ledger, input);
        assert.ok(!fits || limited, `${request.name} waits beside free room`);
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("a job that waits without a reservation could delay somebody, or does not fit", () => {
  fc.assert(
    fc.property(worldDraw, (drawn) => {
      const world: WorldDraw = { ...drawn, policy: "default", quotas: false, preempts: false };
      const requests = requestsFrom(world);
      const input = inputFrom(world, requests);
      const result = schedule(input);
      for (const { request, reason } of result.waiting) {
        if (reason !== "Priority") continue;
        // Put on what is free, it would push back a start time that somebody before it keeps.
        assert.ok(result.reservations.length > 0, `${request.name} is kept out by nobody`);
        const last = Math.max(...result.reservations.map(({ start }) => start.atMs));
        const ends = request.length ? NOW + request.length.ms + 60_000 : Infinity;
        assert.ok(ends > Math.min(...result.reservations.map(({ start }) => start.atMs)));
        assert.ok(last >= NOW);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("a wide job starts in the end, however many small ones keep coming", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 80, maxLength: 80 }), (h) => {
      const wide = request("wide", { need: { nodes: 4 }, submittedMs: NOW, user: "ada" });
      let holdings: Holding[] = [];
      let waiting: Request[] = [wide];
      for (const [hour, length] of h.entries()) {
        const now = NOW + hour * HOUR;
        holdings = holdings.filter((it) => it.startedMs + (it.length?.ms ?? 0) > now);
        waiting.push(
          request(`small-${hour}`, {
            submittedMs: now,
            user: "bob",
            length: limited(length * HOUR),
          }),
        );
        const rooms = ["n1", "n2", "n3", "n4"].map((name) => room(name));
        occupy(rooms, holdings);
        const result = schedule({
          ...inputFrom(EMPTY, waiting),
          holdings,
          rooms,
          now,
        });
        for (const { request, placement } of result.placed) {
          if (request.name === "wide") return;
          holdings.push({ ...request, placement, startedMs: now, leaving: false, lostMs: 0 });
        }
        const gone = new Set(result.placed.map(({ request }) => request.name));
        waiting = waiting.filter(({ name }) => !gone.has(name));
      }
      assert.fail("it never started");
    }),
    { numRuns: 50 },
  );
});

const EMPTY: WorldDraw = {
  waiting: [],
  running: [],
  small: [],
  closed: undefined,
  policy: "default",
  quotas: false,
  preempts: false,
};
