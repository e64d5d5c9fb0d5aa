/**
 * What is wanted of a live attempt now: that it runs, that it is left alone, or that it stops and
 * why. Rules in order: a person's wish goes before an eviction, an eviction before the job's own
 * limits.
 *
 * @module
 */
import type { Policy } from "../cluster/cluster.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Attempt, Failure, Phase } from "../jobs/status.ts";
import type { Intent } from "./attempt_step.ts";
import type { JobInput } from "./decision.ts";
import { iso, wishOf } from "./job_status.ts";
import { idleness, idleText } from "./watch.ts";

type Stop = Extract<Intent, { kind: "stop" }>;

/** What is wanted of an attempt that has not ended. */
export function intentOf(input: JobInput, attempt: Attempt, policy: Policy): Intent {
  const { want, invalid } = input;
  if (invalid) return { kind: "keep" };
  const graceMs = want?.spec.graceMs ?? policy.graceMs;
  const stop = (phase: Phase, reason: string, message: string): Stop => ({
    kind: "stop",
    phase,
    reason,
    message,
    graceMs,
  });
  if (!want) return stop("Cancelled", "ManifestDeleted", "its manifest was deleted");
  if (want.spec.state !== "running") {
    const { phase, reason, message } = wishOf(want);
    return stop(phase, reason, message);
  }
  if (attempt.specDigest !== want.specDigest) {
    return stop("Pending", "ManifestChanged", "its manifest changed what is to run");
  }
  const { evicted } = attempt;
  if (evicted) return { ...stop("Pending", evicted.reason, evicted.message), end: "evicted" };
  const over = overLimit(input, want, attempt);
  if (!over) return { kind: "run" };
  const { reason, failure, ...rest } = over;
  return { ...stop("Failed", reason, failure.message), failure, ...rest };
}

const DEADLINE_HINT = "move or remove `deadline:` to queue it again";

function hadToEnd(deadlineMs: number): string {
  return `it had to end by ${iso(deadlineMs)}`;
}

/** What is said of a job that has failed of its deadline; `waited`: what it waited for. */
export function deadlineText(deadlineMs: number, waited?: string): string {
  return [hadToEnd(deadlineMs), ...(waited ? [waited] : []), DEADLINE_HINT].join("; ");
}

/** A limit of the job itself that it has passed: to be stopped for it is a failure. */
interface Over extends Pick<Stop, "hint" | "recordFirst"> {
  readonly reason: string;
  readonly failure: Failure;
}

function overLimit(input: JobInput, want: DesiredJob, attempt: Attempt): Over | undefined {
  const { now } = input.plan;
  const { maxDurationMs: limit, deadlineMs } = want.spec;
  if (limit && attempt.startedAt && now - Date.parse(attempt.startedAt) >= limit) {
    const message = `it ran longer than maxDuration (${limit / 1000} s)`;
    return { reason: "MaxDuration", failure: { class: "max-duration", message } };
  }
  if (deadlineMs !== undefined && now >= deadlineMs) {
    const message = hadToEnd(deadlineMs);
    return { reason: "Deadline", failure: { class: "deadline", message }, hint: DEADLINE_HINT };
  }
  const failure = idleFailure(input, attempt);
  if (!failure) return undefined;
  const hint = "raise `rerun:` to run it again; `idle:` of its manifest, or of its queue in " +
    "cluster.yaml, says when a job is stopped for that";
  return { reason: "Idle", failure, hint, recordFirst: true };
}

/** Once recorded it stands: GPUs that are being stopped, or a new controller, show it no more. */
function idleFailure(input: JobInput, attempt: Attempt): Failure | undefined {
  if (attempt.failure?.class === "idle") return attempt.failure;
  const idle = idleness(input, attempt);
  if (!idle || idle.policy.action !== "stop" || idle.overAtMs > input.plan.now) return undefined;
  return { class: "idle", message: idleText(idle.policy) };
}

/** When one of its own limits will be reached, if nothing else happens before. */
export function wakeForLimits(input: JobInput, attempt: Attempt): number | undefined {
  const { maxDurationMs: limit, deadlineMs } = input.want?.spec ?? {};
  const ends = limit && attempt.startedAt ? Date.parse(attempt.startedAt) + limit : undefined;
  const times = [ends, deadlineMs, idleness(input, attempt)?.overAtMs];
  const coming = times.filter((ms) => ms !== undefined && ms > input.plan.now) as number[];
  return coming.length > 0 ? Math.min(...coming) : undefined;
}
