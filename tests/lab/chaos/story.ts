/**
 * Does the status branch tell the true story? Its histories against the lifecycle and against the
 * traces that the ranks themselves left. Pure: what is wrong comes back as sentences.
 *
 * @module
 */
import { STEPS } from "../../../jobs/lifecycle.ts";
import type { Attempt, JobStatus } from "../../../jobs/status.ts";
import type { Witness } from "../witness.ts";
import type { Entry } from "./branch.ts";

/** A time in which a host could not be asked. Milliseconds since the epoch. */
export interface Outage {
  readonly host: string;
  readonly beganMs: number;
  readonly endedMs: number;
}

/** A returning host is asked, and told to stop old runs, within this time. */
const RETURN_MS = 20_000;

/** What is wrong with the history of one job. */
export function historyProblems(name: string, history: readonly Entry[]): string[] {
  const problems: string[] = [];
  const ends = new Map<number, string>();
  let before: JobStatus | undefined;
  for (const { commit, status } of history) {
    const at = `${name} at ${commit.slice(0, 10)}`;
    if (before && before.phase !== status.phase && !STEPS[before.phase].includes(status.phase)) {
      problems.push(`${at}: ${before.phase} became ${status.phase}, which is no step`);
    }
    if (before && status.attempt < before.attempt) {
      problems.push(`${at}: attempt ${before.attempt} became ${status.attempt}`);
    }
    for (const { attempt, end } of status.attempts) {
      const known = ends.get(attempt);
      if (known !== undefined && end !== known) {
        problems.push(`${at}: attempt ${attempt} had ended (${known}) and now ${end ?? "lives"}`);
      }
      if (end !== undefined) ends.set(attempt, end);
      if (end === undefined && attempt < status.attempt) {
        problems.push(`${at}: attempt ${attempt} has not ended, yet ${status.attempt} follows`);
      }
    }
    before = status;
  }
  return problems;
}

/** Every attempt that a history ever told of, as it told last. */
function attemptsOf(history: readonly Entry[]): Map<number, Attempt> {
  const all = history.flatMap(({ status }) => status.attempts);
  return new Map(all.map((attempt) => [attempt.attempt, attempt]));
}

/** What one job's history says that its ranks contradict. `ranks`: the job's world size. */
export function truthProblems(
  name: string,
  history: readonly Entry[],
  traces: readonly Witness[],
  ranks: number,
): string[] {
  const problems: string[] = [];
  const attempts = attemptsOf(history);
  const gpusPerNode = (attempt: Attempt) => ranks / attempt.placement.length;
  for (const trace of traces) {
    const who = `${name}/${trace.attempt}, rank ${trace.rank}`;
    const attempt = attempts.get(trace.attempt);
    if (attempt === undefined) {
      problems.push(`${who} ran, but no commit tells of this attempt`);
      continue;
    }
    if (Date.parse(attempt.recordedAt) > startOf(trace)) {
      problems.push(`${who} started before its attempt was recorded`);
    }
    const place = attempt.placement[Math.floor(trace.rank / gpusPerNode(attempt))];
    if (place?.node !== trace.host) {
      problems.push(`${who} ran on ${trace.host}, but its place is ${place?.node}`);
    }
  }
  for (const attempt of attempts.values()) {
    const finished = traces.filter((t) => t.attempt === attempt.attempt && t.events.has("end"));
    const all = new Set(finished.map((trace) => trace.rank)).size === ranks;
    if (attempt.end === "succeeded" && !all) {
      problems.push(
        `${name}/${attempt.attempt} is said to have succeeded, but only ` +
          `${finished.length} of ${ranks} ranks finished`,
      );
    }
  }
  const succeeded = history.some(({ status }) => status.phase === "Succeeded");
  if (succeeded && ![...attempts.values()].some((attempt) => attempt.end === "succeeded")) {
    problems.push(`${name} is said to have succeeded, but none of its attempts did`);
  }
  return problems;
}

/**
 * Attempts that are said to have been stopped although nobody wanted so. `deeds`: the jobs that
 * people suspended, cancelled, deleted or changed.
 */
export function stopProblems(
  name: string,
  history: readonly Entry[],
  deeds: ReadonlySet<string>,
  outages: readonly Outage[],
): string[] {
  if (deeds.has(name)) return [];
  // When a node goes away while its gang is torn down, why that began is forgotten.
  const excused = (attempt: Attempt) =>
    outages.some((outage) =>
      attempt.placement.some(({ node }) => node === outage.host) &&
      outage.beganMs <= Date.parse(attempt.endedAt ?? "") + RETURN_MS &&
      outage.endedMs >= Date.parse(attempt.recordedAt)
    );
  return [...attemptsOf(history).values()]
    .filter((attempt) => attempt.end === "stopped" && !excused(attempt))
    .map(({ attempt }) => `${name}/${attempt} is said to have been stopped; nobody wanted so`);
}

/** Attempts of one job that lived side by side, and GPUs that two jobs had at once. */
export function overlapProblems(
  traces: readonly Witness[],
  outages: readonly Outage[],
): string[] {
  const problems = new Set<string>();
  const byJob = Map.groupBy(traces, (trace) => trace.job);
  for (const same of byJob.values()) {
    for (const [older, newer] of pairs(same)) {
      if (older.attempt === newer.attempt || lastOf(older) <= startOf(newer)) continue;
      if (isAway(older.host, startOf(newer), outages)) continue;
      problems.add(
        `${older.job}: attempt ${newer.attempt} began on ${newer.host} while rank ` +
          `${older.rank} of attempt ${older.attempt} lived on ${older.host} ` +
          `(${Math.round(lastOf(older) - startOf(newer))} ms)`,
      );
    }
  }
  const byGpu = Map.groupBy(traces, (trace) => gpuOf(trace));
  byGpu.delete("");
  for (const [gpu, same] of byGpu) {
    for (const [a, b] of pairs(same)) {
      const sameRun = a.job === b.job && a.attempt === b.attempt;
      if (sameRun || lastOf(a) <= startOf(b)) continue;
      problems.add(`${gpu}: ${b.job}/${b.attempt} began beside ${a.job}/${a.attempt}`);
    }
  }
  return [...problems];
}

/** All pairs, the one that started first before the other. */
function* pairs(traces: readonly Witness[]): Generator<[Witness, Witness]> {
  const ordered = traces.toSorted((a, b) => startOf(a) - startOf(b));
  for (const [index, a] of ordered.entries()) {
    for (const b of ordered.slice(index + 1)) yield [a, b];
  }
}

/** True when nobody could know at `atMs` what lives on the host. */
function isAway(host: string, atMs: number, outages: readonly Outage[]): boolean {
  return outages.some((outage) =>
    outage.host === host && outage.beganMs <= atMs && atMs <= outage.endedMs + RETURN_MS
  );
}

function timeOf(line: Readonly<Record<string, unknown>> | undefined): number {
  return Number(line?.["time"] ?? 0) * 1000;
}

/** When a rank started. Milliseconds since the epoch. */
export function startOf(trace: Witness): number {
  return timeOf(trace.events.get("start"));
}

/** When a rank was alive for sure, at last. */
export function lastOf(trace: Witness): number {
  return Math.max(...[...trace.events.values()].map(timeOf));
}

function gpuOf(trace: Witness): string {
  return String(trace.events.get("start")?.["gpu"] ?? "");
}
