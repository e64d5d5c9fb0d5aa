/**
 * From a seed to a scenario. Pure: the same seed gives the same scenario.
 *
 * @example
 * const scenario = generate(42);
 *
 * @module
 */
import type { Behaviour } from "../../providers/sim/behaviour.ts";
import { faultsFor, type Setting } from "./generate_faults.ts";
import { enrich } from "./generate_queue.ts";
import { Random } from "./random.ts";
import type {
  JobDoc,
  Scenario,
  ScenarioController,
  ScenarioJob,
  ScenarioNode,
  ScenarioPolicy,
} from "./scenario.ts";

/** Every so many seeds, one with hundreds of nodes and jobs. */
const LARGE_EVERY = 64;

const MINUTE_MS = 60_000;

/** True when a seed makes a large scenario. */
export function isLarge(seed: number): boolean {
  return seed % LARGE_EVERY === LARGE_EVERY - 1;
}

/** The scenario of a seed. */
export function generate(seed: number): Scenario {
  const random = new Random(seed);
  const plain = isLarge(seed) ? large(seed, random) : small(seed, random);
  return masked(enrich(plain, new Random(seed + 1_000_003)));
}

/** Takes out what cannot be told right from wrong. */
function masked(scenario: Scenario): Scenario {
  const { faults, jobs } = scenario;
  if (!faults.some(({ kind }) => kind === "controller-skew")) return scenario;
  // Nobody can tell how long a job has run when the clock that says so is set meanwhile.
  const plain = jobs.map((job) => {
    const { maxDurationS: _, startAfterS: _from, deadlineS: _until, ...doc } = job.doc;
    return { ...job, doc };
  });
  return { ...scenario, jobs: plain };
}

function small(seed: number, random: Random): Scenario {
  const standby = random.chance(0.35);
  const calmAtMs = random.int(10, standby ? 40 : 120) * MINUTE_MS;
  const nodes = nodesFor(random, random.int(2, 6), [1, 2, 4, 8]);
  const jobs = jobsFor(random, random.int(3, 12), nodes, calmAtMs, 30);
  const controllers = controllersFor(random, standby);
  const setting: Setting = { nodes, jobs, controllers, calmAtMs };
  const policy: ScenarioPolicy = {
    pollS: random.pick([10, 20, 30, 60]),
    nodeLostAfterS: random.pick([5, 30, 60, 60, 300]),
    maxStopsPerPass: random.pick([1, 2, 10, 10]),
    maxLaunchesPerPass: random.pick([1, 200, 200, 200]),
  };
  const faults = faultsFor(random, setting, random.int(0, 24));
  return { seed, nodes, policy, jobs, controllers, faults, calmAtMs };
}

function large(seed: number, random: Random): Scenario {
  const calmAtMs = random.int(20, 36) * 60 * MINUTE_MS;
  const nodes = nodesFor(random, random.int(100, 200), [8]);
  const jobs = jobsFor(random, random.int(100, 160), nodes, calmAtMs, 600);
  const controllers = controllersFor(random, false);
  const setting: Setting = { nodes, jobs, controllers, calmAtMs };
  const policy: ScenarioPolicy = {
    pollS: random.pick([600, 900]),
    nodeLostAfterS: 300,
    maxStopsPerPass: 10,
    maxLaunchesPerPass: 200,
  };
  const faults = faultsFor(random, setting, random.int(20, 60));
  return { seed, nodes, policy, jobs, controllers, faults, calmAtMs };
}

function nodesFor(random: Random, count: number, sizes: readonly number[]): ScenarioNode[] {
  const skewed = random.chance(0.2);
  return Array.from({ length: count }, (_, i): ScenarioNode => {
    const cpuOnly = random.chance(0.05);
    return {
      name: `n${i + 1}`,
      gpus: cpuOnly ? 0 : random.pick(sizes),
      ...(cpuOnly ? { cpuSlots: random.int(1, 4) } : {}),
      ...(skewed ? { skewMs: random.int(-120_000, 120_000) } : {}),
    };
  });
}

function jobsFor(
  random: Random,
  count: number,
  nodes: readonly ScenarioNode[],
  calmAtMs: number,
  longestMin: number,
): ScenarioJob[] {
  return Array.from({ length: count }, (_, i): ScenarioJob => ({
    name: `job-${i + 1}`,
    atMs: random.chance(0.5) ? 0 : random.int(0, Math.floor(calmAtMs * 0.7)),
    doc: docFor(random, nodes),
    behaviour: behaviourFor(random, longestMin),
  }));
}

function docFor(random: Random, nodes: readonly ScenarioNode[]): JobDoc {
  const wide = random.chance(0.35) ? random.int(2, Math.min(4, nodes.length)) : 1;
  const most = Math.max(...nodes.map(({ gpus }) => gpus), 1);
  const gpus = random.chance(0.04) ? most + 1 : random.int(1, most);
  return {
    nodes: random.chance(0.03) ? nodes.length + 1 : wide,
    gpus,
    maxRetries: random.pick([0, 1, 3, 3, 10]),
    graceS: random.pick([1, 5, 30, 60]),
    ...(random.chance(0.05) ? { state: random.pick(["suspended", "cancelled"] as const) } : {}),
    ...(random.chance(0.3) ? { priority: random.int(-10, 100) } : {}),
    ...(random.chance(0.06) ? { maxDurationS: random.pick([60, 600]) } : {}),
    ...(random.chance(0.2) ? { code: random.pick(["repository", "git"] as const) } : {}),
    ...(random.chance(0.2) ? { neededBy: "rank0" as const } : {}),
  };
}

function behaviourFor(random: Random, longestMin: number): Partial<Behaviour> {
  const durationMs = Math.round(MINUTE_MS * longestMin ** random.next());
  const fails = random.chance(0.2);
  return {
    durationMs,
    checkpointEveryMs: random.pick([0, 30_000, 60_000, 300_000]),
    sharedCheckpoints: random.chance(0.6),
    startMs: random.pick([300, 300, 2000, 20_000]),
    ...(fails
      ? {
        failAfterMs: random.int(0, durationMs),
        failAttempts: random.pick([1, 2, 4, 1000]),
        failRank: random.int(0, 3),
      }
      : {}),
    ...(random.chance(0.06)
      ? { failAtEndRank: random.int(0, 2), failAttempts: random.pick([1, 2]) }
      : {}),
    ...(random.chance(0.03) ? { startFails: true } : {}),
    onPeerDeath: random.chance(0.4) ? "hang" : "fail",
    peerDelayMs: random.pick([0, 500, 5000, 30_000]),
    stopMs: random.pick([0, 800, 800, 10_000, 10_000_000]),
    killMs: random.pick([0, 0, 500, 5000]),
    saveOnStop: random.chance(0.3),
  };
}

function controllersFor(random: Random, standby: boolean): ScenarioController[] {
  const skew = () => random.chance(0.15) ? { skewMs: random.int(-10_000, 10_000) } : {};
  const restartMs = random.int(1000, 30_000);
  const first = { standby: false, startAtMs: random.int(0, 5000), restartMs, ...skew() };
  if (!standby) return [first];
  // Somebody starts a second one by mistake: the newer claim wins, the older one must end.
  if (random.chance(0.2)) {
    return [first, {
      standby: false,
      startAtMs: random.int(0, 600_000),
      restartMs: null,
      ...skew(),
    }];
  }
  const second = {
    standby: true,
    startAtMs: random.int(0, 60_000),
    restartMs: random.int(1000, 20_000),
    ...skew(),
  };
  return random.chance(0.15) ? [first, second, { ...second, startAtMs: 90_000 }] : [first, second];
}
