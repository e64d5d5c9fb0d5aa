import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_SCHEDULING, type Queue } from "../../cluster/cluster.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import { gangs, optionsOn } from "./fit.ts";
import { heldGpus, Ledger } from "./ledger.ts";
import { makeRoom, type RoomMade } from "./preempt.ts";
import { mayEvict, surplusOf } from "./preempt_policy.ts";
import { holding, NOW, occupy, request, room } from "./testing.ts";
import type { Holding, Request, Room } from "./types.ts";

const RUNS = { numRuns: 2000 };
const MINUTE = 60_000;

const someNode = fc.record({
  gpus: fc.integer({ min: 1, max: 4 }),
  model: fc.constantFrom("H100", "H100", "A100"),
  rack: fc.constantFrom("r1", "r2"),
  cores: fc.constantFrom(undefined, undefined, 12),
});

const someNeed = fc.record({
  nodes: fc.integer({ min: 1, max: 3 }),
  gpusPerNode: fc.integer({ min: 1, max: 3 }),
  share: fc.constantFrom(undefined, undefined, undefined, 0.5),
  within: fc.boolean(),
  mixed: fc.boolean(),
  cores: fc.constantFrom(undefined, undefined, 4),
});

const someJob = fc.record({
  need: someNeed,
  queue: fc.constantFrom("a", "b", "c"),
  priority: fc.integer({ min: 0, max: 3 }),
  ranMinutes: fc.constantFrom(5, 30, 100),
  lostMinutes: fc.constantFrom(undefined, 0, 1, 1, 7),
  leaving: fc.constantFrom(false, false, false, true),
  /** Nodes beyond its least size. */
  surplus: fc.constantFrom(0, 0, 1, 2),
});

const world = fc.record({
  nodes: fc.array(someNode, { minLength: 1, maxLength: 5 }),
  jobs: fc.array(someJob, { maxLength: 10 }),
  asks: fc.record({ need: someNeed, queue: fc.constantFrom("a", "b"), priority: fc.nat(4) }),
  quotas: fc.boolean(),
  byPriority: fc.boolean(),
});

type Drawn = typeof world extends fc.Arbitrary<infer T> ? T : never;

function needOf(drawn: Drawn["asks"]["need"]): Resources {
  const { nodes, gpusPerNode, share, within, mixed, cores } = drawn;
  return {
    nodes,
    gpusPerNode: share ? 1 : gpusPerNode,
    nodeSelector: {},
    ...(share ? { gpuShare: share } : {}),
    ...(within ? { within: "rack" } : {}),
    ...(mixed ? { mixedGpus: true as const } : {}),
    ...(cores ? { cpuCores: cores } : {}),
  };
}

function emptyRooms({ nodes }: Drawn): Room[] {
  return nodes.map(({ gpus, model, rack, cores }, i) =>
    room(`n${i}`, {
      gpus,
      model,
      labels: { rack },
      ...(cores === undefined ? {} : { cpuLeft: cores }),
    })
  );
}

/** Jobs where they find room, one after the other. */
function holdingsOf(drawn: Drawn): Holding[] {
  const rooms = emptyRooms(drawn);
  return drawn.jobs.flatMap((job, i): Holding[] => {
    const need = needOf(job.need);
    const set = gangs(rooms.flatMap((one) => optionsOn(one, need, Infinity)), need)[0];
    if (!set) return [];
    const nodes = new Map(set.map((option) => [option.room.node.name as string, option]));
    const placement = [...nodes.values()].slice(0, need.nodes).map((
      { room, slots },
    ): PlacedRank => ({
      node: room.node.name,
      gpus: slots.map(({ uuid }) => uuid),
      ...(need.gpuShare ? { share: need.gpuShare } : {}),
    }));
    const one = holding(`j${i}`, placement, {
      queue: job.queue,
      priority: job.priority,
      startedMs: NOW - job.ranMinutes * MINUTE,
      lostMs: job.lostMinutes === undefined ? undefined : job.lostMinutes * MINUTE,
      leaving: job.leaving,
      need: { ...need, nodes: Math.max(1, need.nodes - job.surplus), maxNodes: need.nodes },
    });
    occupy(rooms, [one]);
    return [one];
  });
}

/** What of a job is there: all of it, its least size, or nothing. */
type What = (job: Holding) => "all" | "least" | "none";

class World {
  readonly asks: Request;
  readonly queues: readonly Queue[];
  readonly scheduling;

  constructor(readonly drawn: Drawn, readonly holdings: readonly Holding[]) {
    const { need, ...asks } = drawn.asks;
    this.asks = request("asks", { ...asks, need: needOf(need) });
    const quota = (quotaGpus: number) => drawn.quotas ? { quotaGpus } : {};
    this.queues = [
      { name: "a", priority: 0, ...quota(6) },
      { name: "b", priority: 0, ...quota(2) },
      { name: "c", priority: 0 },
    ];
    const preemption = { ...DEFAULT_SCHEDULING.preemption, byPriority: drawn.byPriority };
    this.scheduling = { ...DEFAULT_SCHEDULING, preemption };
  }

  get ledger(): Ledger {
    const usage = { decayed: new Map(), week: new Map() };
    return new Ledger({ queues: this.queues, users: [], groups: [], usage }, this.holdings);
  }

  get input() {
    return { queues: this.queues, scheduling: this.scheduling, now: NOW, rooms: this.rooms() };
  }

  rooms(what: What = () => "all"): Room[] {
    const rooms = emptyRooms(this.drawn);
    occupy(
      rooms,
      this.holdings.map((job) => {
        const stays = { all: job.placement.length, least: job.need.nodes, none: 0 }[what(job)];
        return { ...job, placement: job.placement.slice(0, stays) };
      }),
    );
    return rooms;
  }

  /** What of a job stays when these victims and those that are being stopped have gone. */
  after(victims: ReturnType<typeof victimsOf>): What {
    return (job) => {
      const victim = victims.find(({ holding }) => holding === job);
      return victim?.reason === "Resized" ? "least" : victim || job.leaving ? "none" : "all";
    };
  }

  fits(what: What, among: (node: string) => boolean = () => true): boolean {
    const { need } = this.asks;
    const options = this.rooms(what).filter(({ node }) => among(node.name))
      .flatMap((one) => optionsOn(one, need, Infinity));
    return gangs(options, need).length > 0;
  }

  made(holdings = this.holdings): RoomMade {
    const { asks, ledger, input } = this;
    return makeRoom(asks, { rooms: input.rooms, holdings, ledger, input });
  }
}

/** Worlds in which the request does not fit into what is free. */
function check(property: (world: World, result: RoomMade) => void): void {
  const counts: Record<string, number> = {};
  fc.assert(
    fc.property(world, (drawn) => {
      const made = new World(drawn, holdingsOf(drawn));
      if (made.fits(() => "all")) return;
      const result = made.made();
      counts[result.kind] = (counts[result.kind] ?? 0) + 1;
      property(made, result);
    }),
    RUNS,
  );
  for (const kind of ["none", "coming", "ask", "evict"]) {
    assert.ok(counts[kind], `no ${kind} drawn`);
  }
}

const victimsOf = (result: RoomMade) => result.kind === "evict" ? result.victims : [];

Deno.test("after the victims have gone the request fits on the nodes named, and none is superfluous", () => {
  check((world, result) => {
    const victims = victimsOf(result);
    if (result.kind !== "evict") return;
    assert.ok(victims.length > 0);
    assert.equal(new Set(victims.map((v) => v.holding.name)).size, victims.length, "nobody twice");
    assert.ok(world.fits(world.after(victims), (node) => result.nodes.some((n) => n === node)));
    assert.equal(result.nodes.length, world.asks.need.nodes);
    for (const spared of victims) {
      assert.ok(!world.fits(world.after(victims.filter((victim) => victim !== spared))));
    }
  });
});

Deno.test("nobody is a victim whom the policy protects, or whose checkpoints nobody has looked at", () => {
  check((world, result) => {
    for (const { holding, reason } of victimsOf(result)) {
      assert.ok(!holding.leaving && holding.startedMs <= NOW - 10 * MINUTE, holding.name);
      const may = reason === "Resized" ? holding.placement.length > holding.need.nodes : mayEvict(
        holding,
        world.asks,
        world.ledger,
        world.input,
      );
      assert.ok(may, holding.name);
      assert.notEqual(holding.lostMs, undefined);
      assert.equal(reason === "Reclaimed" && !world.drawn.quotas, false);
    }
  });
});

Deno.test("reclaim takes no queue below its quota but by a job larger than all of it", () => {
  check((world, result) => {
    const left = new Map<string, number>();
    if (world.drawn.byPriority) return;
    // What elastic jobs give back is their own affair.
    const reclaimed = victimsOf(result).filter(({ reason }) => reason === "Reclaimed");
    for (const job of world.holdings) {
      const gone = job.leaving || reclaimed.some(({ holding }) => holding === job);
      left.set(job.queue, (left.get(job.queue) ?? 0) + (gone ? 0 : heldGpus(job)));
    }
    for (const { holding } of reclaimed) {
      const quota = world.ledger.quotaOf(holding.queue) ?? 0;
      const large = reclaimed.some((v) =>
        v.holding.queue === holding.queue && heldGpus(v.holding) > quota
      );
      assert.ok(large || (left.get(holding.queue) ?? 0) >= quota);
    }
  });
});

Deno.test("the result does not depend on the order of the holdings", () => {
  check((world, result) => {
    assert.deepEqual(world.made(world.holdings.toReversed()), result);
    const sorted = world.holdings.toSorted((a, b) => b.priority - a.priority);
    assert.deepEqual(world.made(sorted), result);
  });
});

Deno.test("in the next pass, while the victims save, nobody else is stopped", () => {
  check((world, result) => {
    const victims = victimsOf(result).map(({ holding }) => holding);
    if (victims.length === 0) return;
    const leaving = world.holdings.map((job) => ({
      ...job,
      leaving: job.leaving || victims.includes(job),
    }));
    const next = new World(world.drawn, leaving).made();
    assert.equal(next.kind, "coming");
    // Somebody else's victims may do as well, but one of these is among them.
    assert.ok(next.kind === "coming" && next.from.length > 0);
  });
});

Deno.test("without quotas somebody is found whenever all who may be stopped would do", () => {
  check((world, result) => {
    if (world.drawn.quotas) return;
    const may: What = (job) => {
      if (job.leaving || mayEvict(job, world.asks, world.ledger, world.input)) return "none";
      return surplusOf(job, world.input) ? "least" : "all";
    };
    assert.equal(result.kind !== "none", world.fits(may));
    assert.equal(result.kind === "coming", world.fits((job) => job.leaving ? "none" : "all"));
  });
});

Deno.test("those asked are told, and a few calls later it is decided", () => {
  check((world, result) => {
    if (result.kind !== "ask") return;
    assert.ok(result.jobs.length > 0 && result.jobs.length <= 32);
    let now = world;
    let made: RoomMade = result;
    for (let calls = 0; made.kind === "ask"; calls++) {
      assert.ok(calls < 2, "one look at up to 32 jobs is enough here");
      const { jobs } = made;
      const looked = now.holdings.map((job) =>
        jobs.includes(job.name) ? { ...job, lostMs: job.lostMs ?? MINUTE } : job
      );
      now = new World(now.drawn, looked);
      made = now.made();
    }
    assert.equal(made.kind, "evict");
  });
});
