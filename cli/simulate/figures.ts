/**
 * The figures of a replay. docs/simulate.md defines each of them in words.
 *
 * @module
 */
import type { Outcome, Run } from "./replay.ts";

/** How a time is spread over the jobs that ended. */
export interface Spread {
  readonly meanSeconds: number;
  readonly medianSeconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
}

/** What a policy made of a trace. */
export interface Figures {
  readonly jobs: number;
  /** Jobs that never ran: the cluster, or a limit, has no room for them. */
  readonly neverStarted: number;
  /** Jobs that were queued far longer than all others under the same policy. */
  readonly farBehind: number;
  /** From submission to the end. */
  readonly completion: Spread;
  /** The part of it without GPUs. */
  readonly queueing: Spread;
  /** GPU time held in proportion to what there was, from the first to the last submission. */
  readonly utilisation: number;
  /** GPU time that was free while somebody waited, in proportion to the same. */
  readonly idle: number;
  /** The part of `idle` that nobody who waited could have used: too few on a node, or unfit. */
  readonly fragmentation: number;
  /** Jain's index over what the users got of what they were entitled to: 1 when all got alike. */
  readonly shareFairness: number;
  /** Jain's index over the users' mean slowdowns: 1 when all are slowed alike. */
  readonly slowdownFairness: number;
  readonly preemptions: number;
  /** GPU time that was held for work that had to be done again. */
  readonly lostGpuHours: number;
  /** From the first submission to the last end. */
  readonly makespanSeconds: number;
  readonly passes: number;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Far behind: queued longer than a day, and than so many times the 99th percentile. */
const FAR_TIMES = 10;
/** Shorter jobs count as if they took so long: a minute's wait of a job of a second is no disaster. */
const SHORTEST_MS = 600_000;

/** Computes all figures. */
export function figuresOf(run: Run): Figures {
  const ended = run.outcomes.filter((o): o is Ended => o.endMs !== undefined);
  const completion = spreadOf(ended.map(completionMs));
  const queueing = spreadOf(ended.map(queuedMs));
  const neverStarted = run.outcomes.filter((o) => o.startMs === undefined).length;
  const { fromMs, toMs } = run.window;
  const gpuMs = Math.max(1, run.capacity * (toMs - fromMs));
  const farMs = Math.max(DAY_MS, FAR_TIMES * queueing.p99Seconds * 1000);
  return {
    jobs: run.outcomes.length,
    neverStarted,
    farBehind: ended.filter((o) => queuedMs(o) > farMs).length,
    completion,
    queueing,
    utilisation: heldGpuMs(run) / gpuMs,
    idle: run.idleGpuMs / gpuMs,
    fragmentation: run.unusableGpuMs / gpuMs,
    shareFairness: jain(sharesByUser(run)),
    slowdownFairness: jain(slowdownsByUser(ended)),
    preemptions: sum(run.outcomes.map((o) => o.evictions)),
    lostGpuHours: sum(run.outcomes.map(lostGpuMs)) / HOUR_MS,
    makespanSeconds: Math.max(0, run.lastEndMs - fromMs) / 1000,
    passes: run.passes,
  };
}

type Ended = Outcome & { readonly endMs: number };

function completionMs({ job, endMs }: Ended): number {
  return endMs - job.submitMs;
}

function queuedMs(outcome: Ended): number {
  return completionMs(outcome) - outcome.heldMs;
}

function lostGpuMs({ job: { need }, lostMs }: Outcome): number {
  return lostMs * need.nodes * need.gpusPerNode;
}

/** GPU time held in the window. */
function heldGpuMs({ stays, window: { fromMs, toMs } }: Run): number {
  return sum(
    stays.map(({ startMs, endMs, gpus }) =>
      gpus * Math.max(0, Math.min(endMs, toMs) - Math.max(startMs, fromMs))
    ),
  );
}

/** What each user got of the GPU time that she was entitled to. Work done again is not counted. */
function sharesByUser({ outcomes, entitledGpuMs }: Run): number[] {
  const got = new Map<string, number>();
  for (const { job, heldMs, lostMs } of outcomes) {
    const gpus = job.need.nodes * job.need.gpusPerNode;
    got.set(job.user, (got.get(job.user) ?? 0) + (heldMs - lostMs) * gpus);
  }
  return [...entitledGpuMs].filter(([, ms]) => ms > 0)
    .map(([user, ms]) => (got.get(user) ?? 0) / ms);
}

/** The mean over each user's jobs of completion time over duration, both at least ten minutes. */
function slowdownsByUser(ended: readonly Ended[]): number[] {
  const users = new Map<string, { total: number; jobs: number }>();
  for (const outcome of ended) {
    const { user, durationMs } = outcome.job;
    const seen = users.get(user) ?? { total: 0, jobs: 0 };
    seen.total += Math.max(1, completionMs(outcome) / Math.max(durationMs, SHORTEST_MS));
    seen.jobs++;
    users.set(user, seen);
  }
  return [...users.values()].map(({ total, jobs }) => total / jobs);
}

/** Jain's index of fairness, (Σx)² / (n Σx²): from 1/n, one has it all, to 1, all have the same. */
export function jain(values: readonly number[]): number {
  const squares = sum(values.map((x) => x * x));
  return squares > 0 ? sum(values) ** 2 / (values.length * squares) : 1;
}

/** The spread of times. */
export function spreadOf(timesMs: readonly number[]): Spread {
  const sorted = timesMs.toSorted((a, b) => a - b);
  return {
    meanSeconds: sorted.length > 0 ? sum(sorted) / sorted.length / 1000 : 0,
    medianSeconds: quantile(sorted, 0.5) / 1000,
    p99Seconds: quantile(sorted, 0.99) / 1000,
    maxSeconds: (sorted.at(-1) ?? 0) / 1000,
  };
}

/** The quantile of sorted values, between two of them in proportion; 0 of none. */
export function quantile(sorted: readonly number[], p: number): number {
  const at = p * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? 0;
  const above = sorted[Math.ceil(at)] ?? 0;
  return below + (above - below) * (at - Math.floor(at));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
