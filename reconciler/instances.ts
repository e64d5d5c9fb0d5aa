/**
 * Runs at fixed times. A job with `schedule:` is a template: it never runs itself, but each time
 * that comes makes an ordinary job of it, named after the template and the time. Which times have
 * had their run is read from the status branch, so a controller that is killed anywhere, or a
 * second one, makes no other run for the same time.
 *
 * @example
 * const { desired, templates, wakeAtMs } = withInstances(given, history, now);
 * desired.jobs.has("nightly-20260102-0300"); // true from 03:00 UTC on
 * templates.get("nightly")?.message; // "its next run is due at 2026-01-03T03:00Z"
 *
 * @module
 */
import { nextRunMs, previousRunMs } from "../jobs/cron.ts";
import type { CronSchedule, DesiredJob, JobName, JobSpec } from "../jobs/job.ts";
import { isFinal } from "../jobs/lifecycle.ts";
import type { JobStatus } from "../jobs/status.ts";
import { dueOf, instanceName, stemOf } from "./instance_name.ts";
import { liveAttempt, REPLACED } from "./job_status.ts";
import type { Desired, History } from "./model.ts";

/** Reason of a template in its status: it makes runs. */
const SCHEDULED = "Scheduled";

/** How a template stands; its status file says so. */
export interface TemplateState {
  /** undefined: none comes. */
  readonly nextMs: number | undefined;
  readonly reason: typeof SCHEDULED;
  /** Stable between two runs. */
  readonly message: string;
}

/** What became of the templates. */
export interface Instances {
  /** With the runs as further jobs; the same object when nothing is scheduled. */
  readonly desired: Desired;
  /** By name of the template. */
  readonly templates: ReadonlyMap<string, TemplateState>;
  /** When the next run is due. */
  readonly wakeAtMs: number | undefined;
}

/** Runs of one template that may be unfinished at once. */
const MAX_UNFINISHED = 100;

/**
 * Adds the runs of scheduled jobs. `onNodes` are names of jobs that have living processes on nodes:
 * a run that the status branch has lost is still wanted, and must not be stopped as if its manifest
 * had been deleted. Names of runs that have ended do not belong there: they would run again.
 */
export function withInstances(
  desired: Desired,
  history: History,
  now: number,
  onNodes: Iterable<string> = [],
): Instances {
  const scheduled: DesiredJob[] = [];
  for (const job of desired.jobs.values()) if (job.spec.schedule) scheduled.push(job);
  if (scheduled.length === 0) return { desired, templates: new Map(), wakeAtMs: undefined };
  const runs = runsByTemplate(scheduled, history, now, onNodes);
  const jobs = new Map(desired.jobs);
  const templates = new Map<string, TemplateState>();
  let wakeAtMs: number | undefined;
  for (const job of scheduled) {
    const { name, schedule } = job.spec;
    if (!schedule) continue;
    const template = { job, schedule, seen: history.jobs.get(name), runs: runs.get(name) ?? [] };
    const { instances, state } = serve(template, desired, now);
    for (const instance of instances) jobs.set(instance.spec.name, instance);
    templates.set(name, state);
    if (state.nextMs !== undefined) wakeAtMs = Math.min(state.nextMs, wakeAtMs ?? state.nextMs);
  }
  return { desired: { ...desired, jobs }, templates, wakeAtMs };
}

/**
 * A run as it is to be launched: as its template is now. (One that was live when the pass began
 * carries what its last attempt was launched as, so that an edit does not restart it.)
 */
export function asTemplateSays(job: DesiredJob, desired: Desired): DesiredJob {
  const template = desired.jobs.get(job.spec.parent ?? "");
  if (!template?.spec.schedule) return job;
  return { ...job, specDigest: template.specDigest, codeDigest: template.codeDigest };
}

/** One run that has been made. */
interface Run {
  readonly name: string;
  readonly dueMs: number;
  /** undefined: its status file cannot be read, or was lost. */
  readonly status: JobStatus | undefined;
}

/** A job with a schedule, what is remembered of it, and its runs, newest first. */
interface Template {
  readonly job: DesiredJob;
  readonly schedule: CronSchedule;
  readonly seen: JobStatus | undefined;
  readonly runs: readonly Run[];
}

/** Runs found on nodes only, of one template: a node may claim as many as it likes. */
const MAX_FOUND = 10;

function runsByTemplate(
  scheduled: readonly DesiredJob[],
  history: History,
  now: number,
  onNodes: Iterable<string>,
): Map<string, Run[]> {
  const byName = new Map(scheduled.map((job) => [job.spec.name as string, job]));
  const byStem = new Map(scheduled.map((job) => [stemOf(job.spec.name), job]));
  const runs = new Map<string, Run[]>(scheduled.map((job) => [job.spec.name, []]));
  const note = (job: DesiredJob | undefined, name: string, status?: JobStatus) => {
    const due = dueOf(name);
    if (!job || !due || due.stem !== stemOf(job.spec.name)) return;
    runs.get(job.spec.name)?.push({ name, dueMs: due.dueMs, status });
  };
  for (const [name, status] of history.jobs) {
    if (status.parent !== undefined) note(byName.get(status.parent), name, status);
  }
  for (const name of history.unreadable.keys()) note(byStem.get(dueOf(name)?.stem ?? ""), name);
  const found = new Map<DesiredJob, number>();
  for (const name of [...onNodes].sort().reverse()) {
    const due = dueOf(name);
    const job = byStem.get(due?.stem ?? "");
    if (!due || !job?.spec.schedule || due.dueMs > now) continue;
    if (history.jobs.has(name) || history.unreadable.has(name)) continue;
    // Only what the schedule can have made.
    if (previousRunMs(job.spec.schedule, due.dueMs) !== due.dueMs) continue;
    const count = (found.get(job) ?? 0) + 1;
    found.set(job, count);
    if (count <= MAX_FOUND) note(job, name);
  }
  for (const list of runs.values()) list.sort((a, b) => b.dueMs - a.dueMs);
  return runs;
}

function serve(template: Template, desired: Desired, now: number) {
  const { job, schedule } = template;
  const unfinished = template.runs.filter(isUnfinished);
  const due = dueNow(template, now);
  const name = due === undefined ? undefined : instanceName(job.spec.name, due);
  const isTaken = name !== undefined && desired.jobs.has(name);
  const isFull = unfinished.length >= (schedule.concurrency === "forbid" ? 1 : MAX_UNFINISHED);
  const begins = name !== undefined && due !== undefined && !isTaken && !isFull;
  const runs = begins ? [{ name, dueMs: due, status: undefined }, ...template.runs] : template.runs;
  const wanted = keptOf(runs, schedule).filter((run) => !desired.jobs.has(run.name));
  // The newer one is recorded before the older one is stopped for it.
  const newest = runs.find(({ status }) => status !== undefined);
  const instances = wanted.map((run) => {
    const isOlder = newest !== undefined && run.dueMs < newest.dueMs;
    return instanceOf(job, run, schedule.concurrency === "replace" && isOlder);
  });
  // Said only when a time has come since the newest run: then it holds until that run has ended.
  const isMissed = isFull && (previousRunMs(schedule, now) ?? 0) > (runs[0]?.dueMs ?? 0);
  const held = isTaken
    ? `its run ${name} was left out: a job of that name exists; rename that job`
    : isMissed
    ? heldWords(schedule, unfinished)
    : undefined;
  return { instances, state: stateOf(template, held, now) };
}

function heldWords({ concurrency }: CronSchedule, unfinished: readonly Run[]): string {
  return concurrency === "forbid"
    ? `${unfinished[0]?.name} has not ended, and \`concurrency: forbid\` begins no run beside it`
    : `${MAX_UNFINISHED} of its runs have not ended; another one begins when one of them has`;
}

/**
 * The time that is to have a run now: the newest one, if it has come since the template was seen,
 * is not too long ago, and is newer than every time that has had its run.
 */
function dueNow({ job, schedule, seen, runs }: Template, now: number): number | undefined {
  const { state, startAfterMs = -Infinity, deadlineMs = Infinity } = job.spec;
  const due = previousRunMs(schedule, now);
  if (due === undefined || state !== "running" || now >= deadlineMs) return undefined;
  const isLate = now - due > schedule.startWithinMs;
  if (isLate || due < startAfterMs || due <= watchedSinceMs(seen)) return undefined;
  return due > (runs[0]?.dueMs ?? -Infinity) ? due : undefined;
}

/**
 * Since when a template makes runs: since its status said so. Infinity: it does not say so yet. New
 * ones, and those that are back after having been suspended or deleted, make no run for the past.
 */
function watchedSinceMs(seen: JobStatus | undefined): number {
  const submittedMs = Date.parse(seen?.submittedAt ?? "");
  // Who breaks a manifest for a while does not mean to leave out a run.
  if (seen?.phase === "Invalid") return submittedMs;
  return seen?.reason === SCHEDULED ? Math.max(submittedMs, Date.parse(seen.since)) : Infinity;
}

/** What cannot be read may run. */
function isUnfinished({ status }: Run): boolean {
  return !status || !isFinal(status.phase) || liveAttempt(status) !== undefined;
}

/**
 * What is not to vanish: unfinished runs, and the newest finished ones. The newest of all stays in
 * any case, since it tells that its time has had its run. What was deleted stays deleted.
 */
function keptOf(runs: readonly Run[], { keep }: CronSchedule): Run[] {
  let finished = 0;
  return runs.filter((run, index) => {
    if (isUnfinished(run)) return true;
    if (run.status?.reason === "ManifestDeleted") return false;
    return ++finished <= keep || index === 0;
  });
}

function instanceOf(template: DesiredJob, run: Run, isReplaced: boolean): DesiredJob {
  const { schedule: _, ...spec } = template.spec;
  const named = { ...spec, name: run.name as JobName, parent: template.spec.name };
  const { status } = run;
  if (status && !isUnfinished(run)) return finished(template, named, status);
  // Editing the template does not restart what runs. One that was not seen to start may have ranks
  // to be launched yet: all of a gang run the same.
  const live = status && liveAttempt(status);
  const digests = live?.startedAt
    ? { specDigest: live.specDigest, codeDigest: live.codeDigest }
    : {};
  const state = isReplaced ? "cancelled" as const : spec.state;
  const replaced = isReplaced ? { replaced: true as const } : {};
  return { ...template, ...digests, ...replaced, spec: { ...named, state } };
}

/**
 * What has ended is history: nothing that is changed in the template (what runs, `rerun`, more
 * retries, another deadline) runs it again.
 */
function finished(template: DesiredJob, named: JobSpec, status: JobStatus): DesiredJob {
  const last = status.attempts.at(-1);
  const { deadlineMs = Infinity, ...rest } = named;
  const { maxRetries } = named.recovery;
  const failedMs = Date.parse(status.since);
  const spec: JobSpec = {
    ...rest,
    // A cancelled job would run as soon as nobody wanted it cancelled.
    state: status.phase === "Cancelled" ? "cancelled" : "running",
    rerun: status.rerun,
    recovery: { ...named.recovery, maxRetries: Math.min(maxRetries, status.retries - 1) },
    ...(status.reason === "Deadline" ? { deadlineMs: Math.min(deadlineMs, failedMs) } : {}),
  };
  const digests = last ? { specDigest: last.specDigest, codeDigest: last.codeDigest } : {};
  const replaced = status.reason === REPLACED ? { replaced: true as const } : {};
  return { ...template, ...digests, ...replaced, spec };
}

/** `held`: why a time that has come has no run. */
function stateOf(
  { job: { spec }, schedule }: Template,
  held: string | undefined,
  now: number,
): TemplateState {
  const reason = SCHEDULED;
  if (spec.state !== "running") {
    const message = `its manifest says \`state: ${spec.state}\`, so that no run begins`;
    return { nextMs: undefined, reason, message };
  }
  const from = Math.max(now, (spec.startAfterMs ?? -Infinity) - 1);
  const nextMs = nextRunMs(schedule, from);
  if (nextMs === undefined || nextMs >= (spec.deadlineMs ?? Infinity)) {
    const message = `no time of \`schedule: ${schedule.cron}\` (${schedule.timezone}) is to come` +
      (nextMs === undefined ? "" : " before its deadline") + "; change it to have further runs";
    return { nextMs: undefined, reason, message };
  }
  const next = `its next run is due at ${new Date(nextMs).toISOString().slice(0, 16)}Z`;
  return { nextMs, reason, message: held ?? next };
}
