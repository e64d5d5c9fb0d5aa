/**
 * Decides about a job without a live attempt: does it rest, wait, or ask to be launched?
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import { isTerminal } from "../jobs/failure.ts";
import { isFinal } from "../jobs/lifecycle.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { type Decision, firstLine, type JobInput } from "./decision.ts";
import { dueOf } from "./instance_name.ts";
import { deadlineText } from "./intent.ts";
import {
  type At,
  change,
  iso,
  move,
  newestAttempt,
  putCondition,
  resubmit,
  resume,
  wishOf,
} from "./job_status.ts";
import type { InvalidJob } from "./model.ts";

/** Decides about a job that no attempt is running for. */
export function decideIdle(input: JobInput, status: JobStatus, at: At): Decision {
  const { want, invalid } = input;
  const free = putCondition(putCondition(status, "StopHeld", undefined, at), "Idle", undefined, at);
  if (invalid) return { status: withoutManifest(free, invalid, at), actions: [] };
  const quiet = putCondition(free, "ManifestInvalid", undefined, at);
  if (!want) return { status: deleted(quiet, goneBecause(input, quiet), at), actions: [] };
  if (want.spec.state !== "running") return { status: parked(quiet, want, at), actions: [] };
  if (want.spec.schedule) return { status: template(input, quiet, at), actions: [] };
  const { deadlineMs } = want.spec;
  const isLate = deadlineMs !== undefined && deadlineMs <= at.now;
  // Not woken first: its time in this phase would begin anew with every pass.
  if (isLate && isOfDeadline(quiet)) return { status: late(quiet, want, at), actions: [] };
  const ready = wake(quiet, want, at);
  if (isFinal(ready.phase)) return { status: ready, actions: [] };
  if (isLate) return { status: late(ready, want, at), actions: [] };
  const wakes = deadlineMs === undefined ? {} : { wakeAtMs: deadlineMs };
  const notBefore = ready.notBefore ? Date.parse(ready.notBefore) : 0;
  if (notBefore > at.now) {
    return { status: ready, actions: [], wakeAtMs: Math.min(notBefore, deadlineMs ?? notBefore) };
  }
  return { status: ready, actions: [], candidate: want, ...wakes };
}

/** The template of runs at fixed times: it never runs itself, whatever it was before. */
function template({ scheduled }: JobInput, status: JobStatus, at: At): JobStatus {
  const { reason, message } = scheduled ??
    { reason: "Scheduled", message: "its runs begin at the times that `schedule:` names" };
  const waits = move(status, { phase: "Pending", reason, message }, at);
  return change(waits, { notBefore: undefined, retries: 0 }, at);
}

/** True when it failed because it had not ended in time. */
function isOfDeadline({ phase, reason }: JobStatus): boolean {
  return phase === "Failed" && reason === "Deadline";
}

/** The time by which it had to end is over. */
function late(status: JobStatus, want: DesiredJob, at: At): JobStatus {
  const last = newestAttempt(status);
  const deadlineMs = want.spec.deadlineMs ?? at.now;
  const without = Date.parse(status.submittedAt) >= deadlineMs
    ? "that was over before it was submitted"
    : last
    ? "it got no room again"
    : "it never got room";
  const ran = last?.failure?.class === "deadline";
  const message = deadlineText(deadlineMs, ran ? undefined : without);
  const failed = move(status, { phase: "Failed", reason: "Deadline", message }, at);
  return change(failed, { notBefore: undefined }, at);
}

/** A manifest that does not parse gives no reason to run a finished job again, now or later. */
function withoutManifest(status: JobStatus, invalid: InvalidJob, at: At): JobStatus {
  const message = `its manifest has ${invalid.problems.length} problem(s): ${
    firstLine(invalid.problems[0]?.message ?? "")
  }`;
  const reason = "ManifestInvalid";
  return isFinal(status.phase)
    ? putCondition(status, reason, { status: "True", reason: "Finished", message }, at)
    : move(status, { phase: "Invalid", reason, message }, at);
}

/** A deleted job keeps a tombstone, so that its attempt numbers are never used again. */
function deleted(status: JobStatus, message: string, at: At): JobStatus {
  if (status.reason === "ManifestDeleted") return status;
  const phase = isFinal(status.phase) ? status.phase : "Cancelled";
  return move(status, { phase, reason: "ManifestDeleted", message }, at);
}

/** Why nobody wants the job any more. */
function goneBecause({ plan, name }: JobInput, { parent, phase }: JobStatus): string {
  const template = parent === undefined ? undefined : plan.desired.jobs.get(parent);
  const schedule = template?.spec.schedule;
  if (!schedule || !isFinal(phase) || !dueOf(name)) return "its manifest was deleted";
  const runs = schedule.keep === 1 ? "finished run" : `${schedule.keep} finished runs`;
  return `it is older than the newest ${runs} of ${parent} that \`keep\` leaves listed`;
}

function parked(status: JobStatus, want: DesiredJob, at: At): JobStatus {
  return status.phase === "Succeeded" ? status : move(status, wishOf(want), at);
}

/** The manifest was broken for a while and says the same again: its failures still count. */
function asBefore(status: JobStatus, want: DesiredJob, last: Attempt, at: At): JobStatus {
  if (last.failure && status.retries > want.spec.recovery.maxRetries) {
    const message = `attempt ${last.attempt} failed (${last.failure.class}) while its manifest ` +
      `did not parse; all ${want.spec.recovery.maxRetries} retries are used up`;
    return move(status, { phase: "Failed", reason: last.failure.class, message }, at);
  }
  const message = "its manifest is valid again";
  return move(status, { phase: "Pending", reason: "Submitted", message }, at);
}

/** True when it failed for want of retries and has been given more. */
function mayRetryAgain(status: JobStatus, want: DesiredJob, last: Attempt | undefined): boolean {
  return last?.failure !== undefined && !isTerminal(last.failure) &&
    status.retries <= want.spec.recovery.maxRetries;
}

function retryAgain(status: JobStatus, want: DesiredJob, at: At): JobStatus {
  const message = `\`recovery.maxRetries\` is ${want.spec.recovery.maxRetries} now`;
  return move(status, { phase: "Pending", reason: "RetriesRaised", message }, at);
}

function laterDeadline({ spec }: DesiredJob): string {
  if (spec.deadlineMs === undefined) return "it has no deadline any more";
  return `its deadline is ${iso(spec.deadlineMs)} now`;
}

/** Takes a job out of a resting phase when its manifest gives a reason to. */
function wake(status: JobStatus, want: DesiredJob, at: At): JobStatus {
  const { spec } = want;
  const fresh = (reason: string, message: string): JobStatus =>
    change(move(status, { phase: "Pending", reason, message }, at), {
      retries: 0,
      notBefore: undefined,
      rerun: spec.rerun,
    }, at);
  const again = (next: JobStatus) => resume(next, want, at);
  const last = newestAttempt(status);
  if (isFinal(status.phase) && status.reason === "ManifestDeleted") {
    return resubmit(fresh("Submitted", "its manifest is back"), at);
  }
  if (isFinal(status.phase) && spec.rerun > status.rerun) {
    return resubmit(fresh("Rerun", `\`rerun: ${spec.rerun}\` asks for another run`), at);
  }
  const changed = last !== undefined &&
    (last.specDigest !== want.specDigest ||
      (last.codeDigest !== null && last.codeDigest !== want.codeDigest));
  switch (status.phase) {
    case "Succeeded":
      return putCondition(
        status,
        "ManifestChanged",
        last && last.specDigest !== want.specDigest
          ? {
            status: "True",
            reason: "Finished",
            message: `the job had succeeded before its manifest changed; raise \`rerun:\` to ` +
              `${status.rerun + 1} to run it again`,
          }
          : undefined,
        at,
      );
    case "Failed":
      if (isOfDeadline(status)) return again(fresh("Submitted", laterDeadline(want)));
      if (changed) return again(fresh("ManifestChanged", "its manifest or code changed"));
      return mayRetryAgain(status, want, last) ? again(retryAgain(status, want, at)) : status;
    case "Cancelled":
    case "Suspended":
      return again(fresh("Resuming", "its manifest says `state: running`"));
    case "Invalid":
      return !last || changed
        ? fresh("Submitted", "its manifest is valid now")
        : asBefore(status, want, last, at);
    case "Pending":
    case "Recovering":
      return changed && (status.retries > 0 || status.notBefore !== undefined)
        ? fresh("ManifestChanged", "its manifest or code changed")
        : status;
    default:
      return move(status, { phase: "Pending", reason: "Waiting", message: "waits" }, at);
  }
}
