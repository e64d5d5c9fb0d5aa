/**
 * Small, pure changes of a job's status. A change that changes nothing returns the same object, so
 * that "nothing happened" is cheap to see and never committed.
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import { step } from "../jobs/lifecycle.ts";
import type { Attempt, Condition, Eviction, JobStatus, Phase } from "../jobs/status.ts";
import { MAX_ATTEMPTS } from "../jobs/status.ts";
import type { InvalidJob } from "./model.ts";

/** When and at which commit a change is made. */
export interface At {
  readonly now: number;
  readonly commit: string;
}

/** A phase with its reason and sentence. */
export interface Move {
  readonly phase: Phase;
  readonly reason: string;
  readonly message: string;
}

let last = { ms: NaN, text: "" };

/** ISO 8601 of a time in milliseconds. A pass asks for the same one thousands of times. */
export function iso(ms: number): string {
  if (last.ms !== ms) last = { ms, text: new Date(ms).toISOString() };
  return last.text;
}

/** The status of a job that was never seen before. */
export function newStatus(name: string, file: string, at: At): JobStatus {
  return {
    name,
    file,
    commit: at.commit,
    specDigest: "",
    queue: "default",
    priority: 0,
    phase: "Pending",
    reason: "New",
    message: "seen for the first time",
    since: iso(at.now),
    submittedAt: iso(at.now),
    attempt: 0,
    retries: 0,
    rerun: 0,
    conditions: [],
    attempts: [],
  };
}

/** Sets fields; undefined removes one. Returns the same object when nothing differs. */
export function change(
  status: JobStatus,
  fields: { readonly [K in keyof JobStatus]?: JobStatus[K] | undefined },
  at: At,
): JobStatus {
  const old = status as unknown as Record<string, unknown>;
  let next: Record<string, unknown> | undefined;
  for (const key of Object.keys(fields)) {
    const value = (fields as Record<string, unknown>)[key];
    if (same(old[key], value)) continue;
    next ??= { ...status, commit: at.commit };
    if (value === undefined) delete next[key];
    else next[key] = value;
  }
  return next ? next as unknown as JobStatus : status;
}

/** Equal in content; the order of keys does not count (a file was read back, say). */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length &&
    keys.every((key) => key in other && same(one[key], other[key]));
}

/** Moves to a phase; throws on a step that the lifecycle forbids. */
export function move(status: JobStatus, to: Move, at: At): JobStatus {
  step(status.phase, to.phase);
  const restarted = status.phase !== to.phase || status.reason !== to.reason;
  return change(status, { ...to, ...(restarted ? { since: iso(at.now) } : {}) }, at);
}

/** Reason of a run of a schedule that a newer one has replaced. */
export const REPLACED = "Replaced";

/** Where a job goes that nobody wants to run now. */
export function wishOf({ spec: { state }, replaced }: DesiredJob): Move {
  const phase = state === "cancelled" ? "Cancelled" : "Suspended";
  return replaced
    ? { phase, reason: REPLACED, message: "a newer run of its schedule takes its place" }
    : { phase, reason: phase, message: `its manifest says \`state: ${state}\`` };
}

/** Takes over what the manifest says about the job itself (queue, owner, place, parent). */
export function describeJob(status: JobStatus, want: DesiredJob, at: At): JobStatus {
  const { spec } = want;
  return change(status, {
    file: want.file,
    queue: spec.queue,
    priority: spec.priority,
    owner: spec.owner,
    parent: spec.parent,
    problems: undefined,
  }, at);
}

/** Takes over the problems of a manifest that does not parse. */
export function describeInvalid(status: JobStatus, invalid: InvalidJob, at: At): JobStatus {
  return change(status, { file: invalid.file, problems: invalid.problems }, at);
}

/** The newest attempt, or undefined when the job never ran. */
export function newestAttempt(status: JobStatus): Attempt | undefined {
  return status.attempts.at(-1);
}

/** The attempt that has not ended, if there is one. */
export function liveAttempt(status: JobStatus): Attempt | undefined {
  const newest = newestAttempt(status);
  return newest && !newest.end ? newest : undefined;
}

/** Condition of a job that has been resumed, until it runs: it has had its first start already. */
export const STARTED = "Started";

/** True when a job has been launched since it was submitted, or goes on from before. */
export function hasStarted(status: JobStatus): boolean {
  const newest = newestAttempt(status);
  if (!newest) return false;
  return Date.parse(newest.recordedAt) >= Date.parse(status.submittedAt) ||
    status.conditions.some(({ type }) => type === STARTED);
}

/** A job that had come to rest is wanted again: it stands behind those that have come since. */
export function resubmit(status: JobStatus, at: At): JobStatus {
  return putCondition(change(status, { submittedAt: iso(at.now) }, at), STARTED, undefined, at);
}

/** The same for one that goes on where it was: it is not asked again whom it waits for. */
export function resume(status: JobStatus, want: DesiredJob, at: At): JobStatus {
  const goesOn = want.spec.after !== undefined && hasStarted(status);
  const message = "it has been launched before, so that `after:` is not asked again";
  const condition = { status: "True" as const, reason: "Resumed", message };
  const next = resubmit(status, at);
  return goesOn ? putCondition(next, STARTED, condition, at) : next;
}

/** Adds an attempt, or replaces the one with the same number. */
export function putAttempt(status: JobStatus, attempt: Attempt, at: At): JobStatus {
  const others = status.attempts.filter((a) => a.attempt !== attempt.attempt);
  const attempts = [...others, attempt]
    .toSorted((a, b) => a.attempt - b.attempt)
    .slice(-MAX_ATTEMPTS);
  return change(status, { attempts, attempt: Math.max(status.attempt, attempt.attempt) }, at);
}

/** Records that the live attempt must make room. The first reason stands; an ended one has none. */
export function putEviction(status: JobStatus, evicted: Eviction, at: At): JobStatus {
  const attempt = newestAttempt(status);
  if (!attempt || attempt.end || attempt.evicted) return status;
  return putAttempt(status, { ...attempt, evicted }, at);
}

/** Sets or, with undefined, removes the condition of a type. `since` moves with status or reason. */
export function putCondition(
  status: JobStatus,
  type: string,
  condition: Omit<Condition, "type" | "since"> | undefined,
  at: At,
): JobStatus {
  if (!condition && status.conditions.length === 0) return status;
  const old = status.conditions.find((c) => c.type === type);
  const others = status.conditions.filter((c) => c.type !== type);
  if (!condition) return old ? change(status, { conditions: others }, at) : status;
  const kept = old && old.status === condition.status && old.reason === condition.reason;
  const next = { type, ...condition, since: kept ? old.since : iso(at.now) };
  return change(status, {
    conditions: [...others, next].toSorted((a, b) => a.type < b.type ? -1 : 1),
  }, at);
}
