/**
 * What earlier runs tell of the next one: how long it will hold its GPUs and how much of their
 * memory it will use.
 *
 * @example
 * lengthOf(job, status, siblings); // { ms: 5_400_000, basis: "history" }
 * peakGbOf(status, siblings); // 21.3
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import type { Length } from "./scheduling/types.ts";

/** Succeeded runs that are looked at, newest first. */
const LOOKED_AT = 5;
/** The next run may take somewhat longer than the longest of them. */
const ALLOWANCE = 1.2;
const MINUTE_MS = 60_000;

/**
 * How long a job will hold its GPUs: its `maxDuration`, else a little more than the longest of its
 * last succeeded runs, or of those of its siblings (jobs of the same parent) when it has none of
 * its own. undefined: nobody knows. Give all jobs of one parent the same list of siblings: what it
 * tells is worked out once.
 */
export function lengthOf(
  job: DesiredJob,
  status: JobStatus,
  siblings: readonly JobStatus[] = [],
): Length | undefined {
  const { maxDurationMs } = job.spec;
  if (maxDurationMs !== undefined) return { ms: maxDurationMs, basis: "limit" };
  const ms = longest(runsOf(status)) ?? ofSiblings(siblings).longestMs;
  if (ms === undefined) return undefined;
  return { ms: Math.ceil(ms * ALLOWANCE / MINUTE_MS) * MINUTE_MS, basis: "history" };
}

/**
 * The most memory in GB (of 1024 MiB, as cards are sold) that an attempt of the job, or of a
 * sibling, was seen to use on one GPU. An attempt that failed tells nothing: it may not have come
 * to its largest step.
 */
export function peakGbOf(
  status: JobStatus,
  siblings: readonly JobStatus[] = [],
): number | undefined {
  return ownPeakGb(status) ?? ofSiblings(siblings).peakGb;
}

/**
 * A warning when a job will hardly fit the GPUs chosen for it; what was seen goes before what was
 * estimated.
 */
export function memoryNote(
  estimateGb: number | undefined,
  peakGb: number | undefined,
  gpuGb: number | undefined,
): string | undefined {
  if (gpuGb === undefined) return undefined;
  const have = `the GPUs chosen have ${tenths(gpuGb)} GB`;
  if (peakGb !== undefined) {
    return peakGb > gpuGb ? `used up to ${tenths(peakGb)} GB of a GPU before; ${have}` : undefined;
  }
  if (estimateGb === undefined || estimateGb <= gpuGb) return undefined;
  return `weights, gradients and optimizer need about ${
    tenths(estimateGb)
  } GB of each GPU; ${have}`;
}

function tenths(gb: number): number {
  return Math.round(gb * 10) / 10;
}

/** One succeeded run. */
interface Run {
  readonly ms: number;
  readonly endedMs: number;
}

const runsByStatus = new WeakMap<JobStatus, readonly Run[]>();

/** The succeeded runs of a job in order; a status is gone through once, for a new one is new. */
function runsOf(status: JobStatus): readonly Run[] {
  if (status.attempts.length === 0) return [];
  let runs = runsByStatus.get(status);
  if (!runs) runsByStatus.set(status, runs = findRuns(status.attempts));
  return runs;
}

/** A run that went on from a checkpoint took the time of the attempts before it as well. */
function findRuns(attempts: readonly Attempt[]): Run[] {
  const runs: Run[] = [];
  let beforeMs = 0;
  for (const attempt of attempts) {
    const endedMs = Date.parse(attempt.endedAt ?? "");
    const ms = endedMs - Date.parse(attempt.startedAt ?? "");
    if (!(ms >= 0)) continue;
    if (!attempt.resumedFrom) beforeMs = 0;
    beforeMs += ms;
    if (attempt.end !== "succeeded") continue;
    if (beforeMs > 0) runs.push({ ms: beforeMs, endedMs });
    beforeMs = 0;
  }
  return runs;
}

function longest(runs: readonly Run[]): number | undefined {
  return runs.length === 0 ? undefined : Math.max(...runs.slice(-LOOKED_AT).map((run) => run.ms));
}

function ownPeakGb({ attempts }: JobStatus): number | undefined {
  let peakMiB = 0;
  for (const attempt of attempts) {
    if (attempt.end !== "failed") peakMiB = Math.max(peakMiB, attempt.peakMiB ?? 0);
  }
  return peakMiB > 0 ? peakMiB / 1024 : undefined;
}

/** What the jobs of one parent tell together. */
interface Told {
  readonly longestMs: number | undefined;
  readonly peakGb: number | undefined;
}

const toldBy = new WeakMap<readonly JobStatus[], Told>();

function ofSiblings(siblings: readonly JobStatus[]): Told {
  let told = toldBy.get(siblings);
  if (!told) {
    const runs = siblings.flatMap(runsOf).sort((a, b) => a.endedMs - b.endedMs || a.ms - b.ms);
    const peaks = siblings.flatMap((status) => ownPeakGb(status) ?? []);
    const peakGb = peaks.length === 0 ? undefined : peaks.reduce((a, b) => Math.max(a, b));
    toldBy.set(siblings, told = { longestMs: longest(runs), peakGb });
  }
  return told;
}
