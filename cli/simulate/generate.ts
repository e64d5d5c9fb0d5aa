/**
 * Makes traces with the shape that has been published of real training clusters: most jobs short
 * and on one GPU, a few of them long or wide, which take most of the GPU time.
 *
 * @example
 * const rows = generate({ count: 10_000, load: 0.9, seed: 1 }, rooms, cluster.users);
 *
 * @module
 */
import type { User } from "../../cluster/cluster.ts";
import { PRIORITIES } from "../../jobs/priority.ts";
import type { Room } from "../../reconciler/scheduling/types.ts";
import { evenly, mulberry32, normalQuantile, type Random } from "./random.ts";
import type { TraceRow } from "./trace.ts";
import { gpusOf, needsOn } from "./workload.ts";

/** What to make. */
export interface Wanted {
  readonly count: number;
  /** GPU time asked for, in proportion to what the cluster has until the last submission. */
  readonly load: number;
  readonly seed: number;
}

/**
 * Durations are log-normal and end at 30 days. With this median and this sigma what is left has the
 * median and the mean of Microsoft's Philly, 874 s and 18,006 s: sigma solves
 * E[min(X, LONGEST)] = 18,006. (Without the end, sqrt(2 ln(18006 / 874)) = 2.46 would do.)
 */
const MEDIAN_SECONDS = 874;
const SIGMA = 2.53547;
const LONGEST_SECONDS = 30 * 86_400;

/** How many of 1,000 jobs ask for so many GPUs: one for most, few for many. */
const WIDTHS: readonly (readonly [gpus: number, weight: number])[] = [
  [1, 740],
  [2, 100],
  [4, 80],
  [8, 60],
  [16, 12],
  [32, 5],
  [64, 3],
];

const CLASSES: readonly (readonly [priority: number, weight: number])[] = [
  [PRIORITIES.low, 5],
  [PRIORITIES.normal, 90],
  [PRIORITIES.high, 5],
];

/** Users of a cluster that names none. */
const MADE_UP_USERS = 32;

/** A trace in the order of submission; the same for the same arguments. Times are whole seconds. */
export function generate(
  wanted: Wanted,
  rooms: readonly Room[],
  users: readonly User[],
): TraceRow[] {
  const { count, load, seed } = wanted;
  const random = mulberry32(seed);
  const durations = evenly(count, random);
  const widths = evenly(count, random);
  const needOf = needsOn(rooms);
  const capacity = rooms.reduce((sum, room) => sum + room.slots.size, 0);
  const sizes = WIDTHS.filter(([gpus]) => gpus <= Math.max(1, capacity / 2));
  const owners = ownersOf(users);
  let gpuSeconds = 0;
  const jobs = Array.from({ length: count }, (_, i) => {
    const durationSeconds = durationOf(durations[i]!);
    const gpus = pick(sizes, widths[i]!);
    gpuSeconds += durationSeconds * gpusOf(needOf({ gpus }));
    return {
      durationSeconds,
      gpus,
      user: pick(owners, random()),
      priority: pick(CLASSES, random()),
    };
  });
  const arrivals = arrivalsOf(count, gpuSeconds / (load * capacity), random);
  return jobs.map((job, i) => ({ submitSeconds: arrivals[i]!, ...job }));
}

/** The duration below which a share `p` of all jobs are. */
function durationOf(p: number): number {
  const seconds = MEDIAN_SECONDS * Math.exp(SIGMA * normalQuantile(p));
  return Math.max(1, Math.round(Math.min(seconds, LONGEST_SECONDS)));
}

/** A Poisson process whose last arrival is at `spanSeconds`: so the load is met exactly. */
function arrivalsOf(count: number, spanSeconds: number, random: Random): number[] {
  let at = 0;
  const times = Array.from({ length: count }, (_, i) => i === 0 ? 0 : at -= Math.log(1 - random()));
  return times.map((time) => Math.round(at === 0 ? 0 : time / at * spanSeconds));
}

/** Users by Zipf's law: the second asks half as often as the first, the third a third as often. */
function ownersOf(users: readonly User[]): (readonly [user: string, weight: number])[] {
  const names = users.length > 0
    ? users.map((user) => user.name)
    : Array.from({ length: MADE_UP_USERS }, (_, i) => `user-${String(i + 1).padStart(2, "0")}`);
  return names.map((name, i) => [name, 1 / (i + 1)] as const);
}

/** The value at `p` in [0, 1) of the way through the weights. */
function pick<T>(values: readonly (readonly [value: T, weight: number])[], p: number): T {
  let rest = p * values.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [value, weight] of values) {
    rest -= weight;
    if (rest < 0) return value;
  }
  return values.at(-1)![0];
}
