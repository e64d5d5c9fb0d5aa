/**
 * Decides about a job whose newest attempt has not ended.
 *
 * @module
 */
import type { Policy } from "../cluster/cluster.ts";
import { countsAsRetry, isTerminal } from "../jobs/failure.ts";
import { isActive } from "../jobs/lifecycle.ts";
import type { Attempt, Failure, JobStatus, Phase } from "../jobs/status.ts";
import { type Intent, type Step, stepAttempt } from "./attempt_step.ts";
import { decideIdle } from "./decide_idle.ts";
import { drainOf } from "./drain.ts";
import { intentOf, wakeForLimits } from "./intent.ts";
import { claim, obstacle } from "./obstacle.ts";
import { type Decision, firstLine, type JobInput } from "./decision.ts";
import { type At, change, iso, move, putAttempt, putCondition, putEviction } from "./job_status.ts";
import { type Action, attemptKey } from "./model.ts";
import { type RankView, viewAttempt } from "./view.ts";
import { idleness, idleText } from "./watch.ts";

/** Decides about a job with a live attempt. */
export function decideActive(
  input: JobInput,
  status: JobStatus,
  attempt: Attempt,
  at: At,
): Decision {
  const { plan, sightings } = input;
  const active = asActive(status, attempt, at);
  const ranks = viewAttempt(attempt, sightings, plan.observed.nodes);
  const policy = plan.desired.cluster.policy;
  const wanted = intentOf(input, attempt, policy);
  const held = holdOf(input, active, ranks, wanted, policy);
  const intent: Intent = held ? { kind: "keep" } : wanted;
  const step = stepAttempt({
    attempt,
    ranks,
    intent,
    policy,
    phase: active.phase,
    obstacle: (rank) => obstacle(attempt, rank, input),
    launchFailure: plan.observed.launchFailures.get(attemptKey(input.name, attempt.attempt)),
    networkWorks: input.networkWorks,
    now: plan.now,
  });
  const drained = intent.kind === "run" ? drainedNow(input, attempt, step) : undefined;
  const guard = held ?? (drained?.isHeld ? waitsItsTurn(policy) : undefined);
  const noted = noteIdle(
    putCondition(active, "StopHeld", guard ? heldBy(guard) : undefined, at),
    input,
    attempt,
    ranks,
    at,
  );
  if (drained && !drained.isHeld) {
    const evicted = { reason: "Drained" as const, message: drained.message, at: iso(at.now) };
    return { status: putEviction(noted, evicted, at), actions: [], wakeAtMs: at.now + 1 };
  }
  const wakeAtMs = wakeForLimits(input, attempt);
  const decision = applyStep(input, noted, attempt, ranks, intent, step, at);
  return wakeAtMs === undefined
    ? decision
    : { ...decision, wakeAtMs: Math.min(wakeAtMs, decision.wakeAtMs ?? wakeAtMs) };
}

/** An attempt that was found (the status branch had lost it) makes any job an active one. */
function asActive(status: JobStatus, attempt: Attempt, at: At): JobStatus {
  if (isActive(status.phase) || status.phase === "Invalid") return status;
  const message = `attempt ${attempt.attempt} was found on ${where(attempt)}`;
  return move(status, { phase: "Launching", reason: "Found", message }, at);
}

/** Why a stop that this pass would begin is held back, or undefined. */
function holdOf(
  input: JobInput,
  status: JobStatus,
  ranks: readonly RankView[],
  intent: Intent,
  policy: Policy,
): string | undefined {
  const begins = ranks.some((r) => r.kind === "live" && r.run.stop === null);
  if (intent.kind !== "stop" || !begins || status.reason === "Stopping") return undefined;
  if (intent.reason === "ManifestDeleted" && input.hold.prune) return input.hold.prune;
  return input.hold.mayStop() ? undefined : waitsItsTurn(policy);
}

function waitsItsTurn({ maxStopsPerPass }: Policy): string {
  return `more than ${maxStopsPerPass} jobs are to be stopped; this one waits its turn`;
}

function heldBy(message: string) {
  return { status: "True" as const, reason: "Guard", message };
}

/**
 * Whether an attempt that goes on must leave where it is. That is recorded in this pass, and a later
 * one stops it: whoever does so knows why, even another controller.
 */
function drainedNow(
  { plan, hold }: JobInput,
  attempt: Attempt,
  step: Step,
): { readonly message: string; readonly isHeld: boolean } | undefined {
  if (step.kind === "end" || step.kind === "stopping") return undefined;
  const message = drainOf(attempt, plan.desired.cluster, plan.observed, plan.now);
  return message === undefined ? undefined : { message, isHeld: !hold.mayStop() };
}

/** Says that its GPUs idle. While nobody can tell, what was said before stands. */
function noteIdle(
  status: JobStatus,
  input: JobInput,
  attempt: Attempt,
  ranks: readonly RankView[],
  at: At,
): JobStatus {
  const isKnown = input.want && input.plan.observed.watched &&
    status.reason !== "Stopping" && ranks.every((rank) => rank.kind !== "unknown");
  if (!isKnown) return status;
  const idle = idleness(input, attempt);
  if (!idle) return putCondition(status, "Idle", undefined, at);
  const message = idleText(idle.policy);
  // A new controller begins to count anew; it takes back nothing that still holds.
  const wasSaid = status.conditions.some((c) => c.type === "Idle" && c.message === message);
  const isOver = idle.overAtMs <= at.now || wasSaid;
  const condition = { status: "True" as const, reason: "LowUtilisation", message };
  return putCondition(status, "Idle", isOver ? condition : undefined, at);
}

function where(attempt: Attempt): string {
  return attempt.placement.map((p) => p.node).join(", ");
}

function applyStep(
  input: JobInput,
  status: JobStatus,
  attempt: Attempt,
  ranks: readonly RankView[],
  intent: Intent,
  step: Step,
  at: At,
): Decision {
  const n = attempt.attempt;
  const to = (phase: Phase, reason: string, message: string, from = status): JobStatus =>
    move(from, input.invalid ? invalidMove(message) : { phase, reason, message }, at);
  switch (step.kind) {
    case "running": {
      const started = withStart(status, attempt, ranks, at);
      const message = `attempt ${n} runs on ${where(attempt)}`;
      return { status: to("Running", "Running", message, started), actions: [] };
    }
    case "starting":
      return {
        // What was said of the launch still holds: no commit for the moment before it runs.
        status: status.phase === "Launching" && status.reason === "Launching" && !input.invalid
          ? status
          : to("Launching", "Launching", `attempt ${n} starts on ${where(attempt)}`),
        actions: [],
        wakeAtMs: at.now + 1000,
      };
    case "complete":
      return intent.kind === "run" && step.ranks.length > 0
        ? completeLaunch(input, status, attempt, ranks, step.ranks, at)
        : waitToLaunch(input, status, attempt, at);
    case "unknown":
      return {
        status: to("Unknown", "NodeUnknown", step.message),
        actions: [],
        ...(step.wakeAtMs === undefined ? {} : { wakeAtMs: step.wakeAtMs }),
      };
    case "stopping": {
      const phase = status.phase === "Pending" ? "Launching" : status.phase;
      const noted = withFailure(status, attempt, step.failure, at);
      return {
        status: to(phase, "Stopping", `attempt ${n} is being stopped: ${step.because}`, noted),
        actions: stopAll(input, attempt, ranks, step),
        ...(step.wakeAtMs === undefined ? {} : { wakeAtMs: step.wakeAtMs }),
      };
    }
    case "end":
      return endAttempt(input, status, attempt, ranks, intent, step, at);
  }
}

function invalidMove(message: string) {
  return {
    phase: "Invalid" as const,
    reason: "ManifestInvalid",
    message: `its manifest has problems, so nothing about it is changed; ${message}`,
  };
}

function withStart(
  status: JobStatus,
  attempt: Attempt,
  ranks: readonly RankView[],
  at: At,
): JobStatus {
  if (attempt.startedAt) return status;
  const starts = ranks.flatMap((r) => r.kind === "live" ? [r.run.startedAtMs ?? at.now] : []);
  const startedAt = iso(onOurClock(attempt, Math.max(...starts), at));
  return putAttempt(status, { ...attempt, startedAt }, at);
}

/** The first thing found stays until the end, when all ranks have told what they know. */
function withFailure(
  status: JobStatus,
  attempt: Attempt,
  failure: Failure | undefined,
  at: At,
): JobStatus {
  return failure && !attempt.failure ? putAttempt(status, { ...attempt, failure }, at) : status;
}

/**
 * A node's clock may be off. What it tells of an attempt was after its record and is past; else the
 * time at which we learn of it counts.
 */
function onOurClock(attempt: Attempt, nodeMs: number, at: At): number {
  return nodeMs >= Date.parse(attempt.recordedAt) && nodeMs <= at.now ? nodeMs : at.now;
}

function stopAll(
  input: JobInput,
  attempt: Attempt,
  ranks: readonly RankView[],
  step: Extract<Step, { kind: "stopping" }>,
): Action[] {
  return ranks.flatMap((rank, index): Action[] => {
    const tell = rank.kind === "leftover" || (rank.kind === "live" && rank.run.stop === null);
    if (!tell) return [];
    return [{
      kind: "stop",
      node: rank.node,
      run: { job: input.name, attempt: attempt.attempt, rank: index },
      graceMs: rank.kind === "leftover" ? 0 : step.graceMs,
      because: step.because,
    }];
  });
}

/** Ranks are missing, but nothing may be launched now. The launch times out if this lasts. */
function waitToLaunch(input: JobInput, status: JobStatus, attempt: Attempt, at: At): Decision {
  const message = `attempt ${attempt.attempt} has not been launched completely`;
  return {
    status: input.invalid ? move(status, invalidMove(message), at) : status,
    actions: [],
    wakeAtMs: at.now + 1000,
  };
}

/** Launches the ranks that an interrupted launch left out; the same attempt, so never twice. */
function completeLaunch(
  input: JobInput,
  status: JobStatus,
  attempt: Attempt,
  ranks: readonly RankView[],
  absent: readonly number[],
  at: At,
): Decision {
  if (!input.want) return { status, actions: [] };
  claim(attempt, absent, input.claims);
  const first = ranks[0];
  const message = `attempt ${attempt.attempt} is launched on ${where(attempt)}`;
  return {
    status: move(status, { phase: "Launching", reason: "Launching", message }, at),
    actions: [{
      kind: "launch",
      job: input.want,
      attempt,
      ranks: absent,
      masterPort: first?.kind === "live" ? first.run.masterPort : null,
      because: `ranks ${absent.join(", ")} of attempt ${attempt.attempt} have not started yet`,
    }],
    wakeAtMs: at.now + 1000,
  };
}

function endAttempt(
  input: JobInput,
  status: JobStatus,
  attempt: Attempt,
  ranks: readonly RankView[],
  intent: Intent,
  step: Extract<Step, { kind: "end" }>,
  at: At,
): Decision {
  const runs = ranks.flatMap((r) => r.kind === "ended" ? [r.run] : []);
  const startedMs = runs.flatMap((run) => run.startedAtMs === null ? [] : [run.startedAtMs]);
  const endedMs = runs.flatMap((run) => run.exit ? [run.exit.endedAtMs] : []);
  const { failure: _, ...known } = attempt;
  const peakMiB = input.plan.observed.watched?.get(attemptKey(input.name, attempt.attempt))
    ?.peakMiB;
  const ended: Attempt = {
    ...known,
    ...(attempt.startedAt || startedMs.length === 0
      ? {}
      : { startedAt: iso(onOurClock(attempt, Math.max(...startedMs), at)) }),
    endedAt: iso(endedMs.length > 0 ? onOurClock(attempt, Math.max(...endedMs), at) : at.now),
    end: step.end,
    ...(step.failure ? { failure: step.failure } : {}),
    exitCodes: ranks.map((r) => r.kind === "ended" ? r.run.exit?.code ?? null : null),
    ...(peakMiB === undefined ? {} : { peakMiB }),
  };
  const next = putCondition(putAttempt(status, ended, at), "Idle", undefined, at);
  if (step.end === "succeeded") {
    const message = `attempt ${attempt.attempt} ended with exit code 0 on every node`;
    const done = move(next, { phase: "Succeeded", reason: "Succeeded", message }, at);
    return { status: change(done, { notBefore: undefined }, at), actions: [] };
  }
  if (input.invalid) {
    const failed = step.failure !== undefined && countsAsRetry(step.failure);
    const message = `attempt ${attempt.attempt} ended (${step.end})`;
    const status = move(next, invalidMove(message), at);
    return {
      status: change(status, { retries: next.retries + (failed ? 1 : 0) }, at),
      actions: [],
    };
  }
  if (step.end === "evicted") return afterEviction(input, next, ended, at);
  if (intent.kind === "stop" && !intent.end) {
    const { phase, reason, hint } = intent;
    const message = hint ? `${intent.message}; ${hint}` : intent.message;
    const reset = phase === "Pending" ? { retries: 0, notBefore: undefined } : {};
    const stopped = move(next, { phase, reason, message }, at);
    return decideIdle(input, change(stopped, reset, at), at);
  }
  if (step.end === "stopped") {
    const message = "it had been stopped and is wanted again";
    return decideIdle(input, move(next, { phase: "Pending", reason: "Resuming", message }, at), at);
  }
  return afterFailure(input, next, ended, at);
}

/** It is queued again at once, at its old place, and with as many retries as before. */
function afterEviction(input: JobInput, status: JobStatus, ended: Attempt, at: At): Decision {
  const { evicted } = ended;
  const reason = evicted?.reason ?? "Evicted";
  const why = evicted?.by
    ? `made room for ${evicted.by}`
    : `was stopped: ${evicted?.message ?? "it had to make room"}`;
  const message = `attempt ${ended.attempt} ${why} (it was asked to save); ` +
    "it waits for its next turn at its old place";
  return decideIdle(input, move(status, { phase: "Pending", reason, message }, at), at);
}

/** Backoff before try `retries` (1: at once, then doubling). */
export function backoffMs(
  retries: number,
  recovery: { readonly backoffMs: number; readonly maxBackoffMs: number },
): number {
  if (retries <= 1) return 0;
  return Math.min(recovery.backoffMs * 2 ** Math.min(retries - 2, 30), recovery.maxBackoffMs);
}

function afterFailure(input: JobInput, status: JobStatus, ended: Attempt, at: At): Decision {
  const want = input.want;
  const failure = ended.failure ?? { class: "unknown", message: "nobody knows why" };
  const text = `attempt ${ended.attempt} failed (${failure.class}${
    failure.node ? ` on ${failure.node}` : ""
  }): ${firstLine(failure.message)}`;
  const retries = status.retries + (countsAsRetry(failure) ? 1 : 0);
  const max = want?.spec.recovery.maxRetries ?? 0;
  if (!want || isTerminal(failure) || retries > max) {
    const why = isTerminal(failure)
      ? "trying the same again cannot help"
      : max === 0
      ? "it may not be retried (`recovery.maxRetries: 0`)"
      : `all ${max} retries are used up`;
    const message = `${text}; ${why}. Change what it runs, raise \`recovery.maxRetries\` or ` +
      "raise `rerun:` to try again.";
    const failed = move(status, { phase: "Failed", reason: failure.class, message }, at);
    return { status: change(failed, { retries, notBefore: undefined }, at), actions: [] };
  }
  const notBeforeMs = at.now + backoffMs(retries, want.spec.recovery);
  const message = countsAsRetry(failure)
    ? `${text}; retry ${retries} of ${max} follows`
    : `${text}; it is placed anew, which does not count as a retry`;
  const recovering = change(
    move(status, { phase: "Recovering", reason: failure.class, message }, at),
    { retries, notBefore: notBeforeMs > at.now ? iso(notBeforeMs) : undefined },
    at,
  );
  return decideIdle(input, recovering, at);
}
