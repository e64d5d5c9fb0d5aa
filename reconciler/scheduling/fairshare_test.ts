/** Two users with endless work on a small cluster, served pass after pass by line and ledger. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_SCHEDULING, type SchedulingPolicy } from "../../cluster/cluster.ts";
import { gpusOf, Ledger } from "./ledger.ts";
import { Line } from "./order.ts";
import { holding, HOUR, NOW, request } from "./testing.ts";
import type { Holding, Request } from "./types.ts";

const TICK_MS = HOUR / 4;
const HALF_LIFE_MS = 48 * HOUR;

interface Endless {
  readonly policy?: SchedulingPolicy;
  /** Of the cluster. */
  readonly gpus: number;
  readonly jobTicks: number;
  readonly jobGpus: number;
  /** Ada's; bob's is 1. */
  readonly share: number;
  /** GPU-hours that ada has used before bob comes. */
  readonly ahead: number;
  /** All were submitted at the beginning, so that patience soon runs out for all of them. */
  readonly backlog: boolean;
}

/** GPU-hours of each user in the last `days` of so many. */
function simulate(world: Endless, days: number, lastDays: number): Record<string, number> {
  const { policy = "default", gpus, jobTicks, jobGpus, share, ahead, backlog } = world;
  const users = [{ name: "ada", groups: [], share }, { name: "bob", groups: [], share: 1 }];
  const queues = [{ name: "default", priority: 0 }];
  const need = { gpusPerNode: jobGpus };
  const decayed = new Map([["ada", ahead]]);
  const had: Record<string, number> = { ada: 0, bob: 0 };
  let running: (Holding & { readonly endTick: number })[] = [];
  const ticks = days * 24 * HOUR / TICK_MS;
  for (let tick = 0; tick < ticks; tick++) {
    const now = NOW + tick * TICK_MS;
    running = running.filter((job) => job.endTick > tick);
    const ledger = new Ledger(
      { queues, users, groups: [], usage: { decayed, week: new Map() } },
      running,
    );
    const submittedMs = backlog ? NOW : now;
    const waiting = Array.from({ length: gpus }, (_, i): Request[] => [
      request(`a${tick}-${i}`, { user: "ada", submittedMs: submittedMs - 2 * HOUR, need }),
      request(`b${tick}-${i}`, { user: "bob", submittedMs: submittedMs - HOUR, need }),
    ]).flat();
    const scheduling = { ...DEFAULT_SCHEDULING, policy };
    const line = new Line(waiting, ledger, { queues, scheduling, now });
    for (let next = line.next(); next; next = line.next()) {
      if (ledger.queueGpus("default") + jobGpus > gpus) break;
      ledger.add(next, gpusOf(next.need));
      const seats = { n1: Array.from({ length: jobGpus }, (_, i) => i) };
      running.push({
        ...holding(next.name, seats, { user: next.user }),
        endTick: tick + jobTicks,
      });
    }
    for (const { name } of users) {
      const hours = ledger.userGpus(name) * TICK_MS / HOUR;
      decayed.set(name, ((decayed.get(name) ?? 0) + hours) * 2 ** (-TICK_MS / HALF_LIFE_MS));
      if (tick >= ticks * (1 - lastDays / days)) had[name] = (had[name] ?? 0) + hours;
    }
  }
  return had;
}

const anyWorld = fc.record({
  policy: fc.constantFrom<SchedulingPolicy>("fairshare", "default"),
  gpus: fc.integer({ min: 2, max: 6 }),
  jobTicks: fc.integer({ min: 1, max: 12 }),
  jobGpus: fc.integer({ min: 1, max: 2 }),
  ahead: fc.integer({ min: 0, max: 100 }),
  backlog: fc.boolean(),
});

for (const share of [1, 2]) {
  Deno.test(`property: two users with endless equal jobs and shares ${share}:1 get ${share}:1`, () => {
    fc.assert(
      fc.property(anyWorld, (world) => {
        // Where there is room for two jobs only, patience gives one to each.
        fc.pre(share === 1 || world.gpus >= 3 * world.jobGpus);
        const { ada = 0, bob = 0 } = simulate({ ...world, share }, 20, 6);
        const ratio = ada / bob / share;
        assert.ok(ratio > 0.95 && ratio < 1.05, `${ada} : ${bob} GPU-hours`);
      }),
      { numRuns: 15 },
    );
  });
}

Deno.test("without fair share the one who came first would get everything", () => {
  const world = { gpus: 2, jobTicks: 2, jobGpus: 1, share: 1, ahead: 0, backlog: true };
  assert.equal(simulate({ ...world, policy: "backfill" }, 1, 1)["bob"], 0);
});

Deno.test("with room for two jobs, whose users have waited for a day, each gets one", () => {
  const world = { gpus: 2, jobTicks: 2, jobGpus: 1, share: 2, ahead: 0, backlog: true };
  const { ada, bob } = simulate(world, 10, 5);
  assert.equal(ada, bob);
});
