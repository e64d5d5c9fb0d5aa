/**
 * `queue.yaml` of the status branch: who waits for what, and who has how many GPUs. It tells what
 * changes with events only: a world in which nothing happens commits nothing. What moves with the
 * clock (guessed starts, decayed use, the score of fair share) is at `GET /api/queue` and in
 * `ugro queue`.
 *
 * @example
 * queueFile(snapshot).waiting[0]; // { position: 1, job: "big", reason: "Resources", … }
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import type { JobStatus } from "../jobs/status.ts";
import { lengthOf } from "./lengths.ts";
import type { Desired, Plan, Snapshot, Waiting } from "./model.ts";
import { countGpus, given, LISTED, sorted } from "./queue_view.ts";
import type { Expected } from "./scheduling/types.ts";
import { describeNeed } from "./scheduling/words.ts";

const MINUTE_MS = 60_000;

/** Numbers that move with the clock while somebody runs; a sentence that holds them does too. */
const MOVING: readonly string[] = ["usedHours"];

/** What waits for others to end; when that is, decides its start. */
const WAITS_FOR_ENDS: readonly string[] = ["Resources", "Priority"];

/** Most jobs of unknown length that are named. */
const NAMED = 3;

/** When a job is expected to start, as files tell it. */
interface ExpectedStart {
  /** ISO 8601, rounded up to the minute. */
  readonly expectedStart: string;
  readonly expectedBy: Exclude<Expected["basis"], "guess">;
}

/** A job that waits, as files tell it. */
export interface QueueEntry extends Partial<ExpectedStart> {
  /** Why nobody can say when it starts: `d1, d3 have no maxDuration`. */
  readonly expectedUnknown?: string;
  readonly position: number;
  readonly job: string;
  readonly needs?: string;
  readonly reason: string;
  readonly message: string;
  readonly ahead?: number;
  readonly numbers?: Readonly<Record<string, number>>;
}

/** The contents of the file but for the problems of the manifests. */
export function queueFile(view: Snapshot) {
  const { desired: { cluster }, plan } = view;
  const { ledger, queues, users } = countGpus(cluster, plan.statuses.values());
  const declared = new Map(cluster.queues.map((queue) => [queue.name, queue]));
  return {
    waiting: queueEntries(view, LISTED),
    total: plan.waiting.length,
    queues: sorted([...declared.keys(), ...queues]).map((name) => ({
      name,
      gpus: ledger.queueGpus(name),
      ...given("quota", declared.get(name)?.quotaGpus),
      ...given("max", declared.get(name)?.maxGpus),
    })),
    users: sorted(users).map((owner) => ({ owner, gpus: ledger.userGpus(owner) })),
    held: plan.held,
  };
}

/** The first of the jobs that wait, in the order in which they are served. */
export function queueEntries({ desired, plan }: Snapshot, most: number): QueueEntry[] {
  const shown = plan.waiting.slice(0, most).map((waiting, i) => {
    const status = plan.statuses.get(waiting.job);
    return entryOf(waiting, i + 1, status, needsOf(waiting.job, status, desired));
  });
  const isUnknown = ({ reason, expectedStart }: QueueEntry) =>
    expectedStart === undefined && WAITS_FOR_ENDS.includes(reason);
  if (!shown.some(isUnknown)) return shown;
  const why = endlessWords(desired, plan);
  if (why === undefined) return shown;
  return shown.map((entry) => isUnknown(entry) ? { ...entry, expectedUnknown: why } : entry);
}

/** Names alone, which stay as long as these run; undefined: everybody has a known length. */
function endlessWords(desired: Desired, { statuses }: Plan): string | undefined {
  const live = [...statuses.values()].filter(({ attempts }) => {
    const attempt = attempts.at(-1);
    return attempt && !attempt.end;
  }).toSorted((a, b) => a.name < b.name ? -1 : 1);
  const families = Map.groupBy(statuses.values(), ({ parent }) => parent);
  const endless: string[] = [];
  for (const status of live) {
    const job = jobOf(status.name, status, desired);
    const { parent } = status;
    const siblings = parent === undefined ? [] : families.get(parent);
    if (job && lengthOf(job, status, siblings) === undefined) endless.push(status.name);
    if (endless.length > NAMED) break;
  }
  if (endless.length === 0) return undefined;
  const more = endless.length > NAMED ? " and others" : "";
  const verb = endless.length === 1 ? "has" : "have";
  return `${endless.slice(0, NAMED).join(", ")}${more} ${verb} no maxDuration`;
}

/** What a job asks for, in words; a run of a schedule asks for what its template does. */
export function needsOf(
  name: string,
  status: JobStatus | undefined,
  desired: Desired,
): string | undefined {
  const job = jobOf(name, status, desired);
  return job && describeNeed(job.spec.resources);
}

/** Its manifest, or that of its template. */
function jobOf(
  name: string,
  status: JobStatus | undefined,
  { jobs }: Desired,
): DesiredJob | undefined {
  return jobs.get(name) ?? jobs.get(status?.parent ?? "");
}

function entryOf(
  waiting: Waiting,
  position: number,
  status: JobStatus | undefined,
  needs: string | undefined,
): QueueEntry {
  const { job, reason, message, ahead, numbers = {}, expected } = waiting;
  const still = Object.entries(numbers).filter(([name]) => !MOVING.includes(name));
  const moves = still.length < Object.keys(numbers).length;
  return {
    position,
    job,
    ...given("needs", needs),
    reason,
    message: moves && status ? status.message : message,
    ...given("ahead", ahead),
    ...(still.length > 0 ? { numbers: Object.fromEntries(still) } : {}),
    ...expectedStart(expected),
  };
}

/** Nothing for a guess, which is another one in each pass. */
function expectedStart(expected: Expected | undefined): ExpectedStart | undefined {
  if (!expected || expected.basis === "guess" || !Number.isFinite(expected.atMs)) return undefined;
  const atMs = Math.ceil(expected.atMs / MINUTE_MS) * MINUTE_MS;
  return { expectedStart: new Date(atMs).toISOString(), expectedBy: expected.basis };
}
