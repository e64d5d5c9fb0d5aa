/**
 * One step of an attempt that has not ended yet: is it healthy, to be completed, to be torn down,
 * or over? Rules in order; the first that matches wins.
 *
 * @module
 */
import type { Policy } from "../cluster/cluster.ts";
import { diagnose } from "../jobs/failure.ts";
import type { Attempt, AttemptEnd, Failure, Phase } from "../jobs/status.ts";
import type { LaunchFailure } from "./model.ts";
import { isSuccess, type RankView } from "./view.ts";

/** How long a gang may take from its record until every rank has been started. */
export const LAUNCH_TIMEOUT_MS = 60_000;

/** Grace for ranks whose gang has failed: they cannot go on, and their peers are gone. */
export const TEARDOWN_GRACE_MS = 2_000;

/**
 * A node that vanishes while its gang fails gets this long to reconnect and confirm, before the
 * attempt is given up without it.
 */
const CONFIRM_MS = 5_000;

/** What is wanted of the attempt now. */
export type Intent =
  /** It shall run to its end. */
  | { readonly kind: "run" }
  /** Nobody knows (the manifest does not parse): leave it alone. */
  | { readonly kind: "keep" }
  | {
    readonly kind: "stop";
    readonly phase: Phase;
    readonly reason: string;
    readonly message: string;
    readonly graceMs: number;
    /** Set when the stop is itself a failure (`maxDuration`). */
    readonly failure?: Failure;
    /** The failure cannot be seen any more once ranks stop: it is recorded before they are told. */
    readonly recordFirst?: true;
    /** What a person can do about it afterwards. */
    readonly hint?: string;
    /** It makes room for others. What it had done by itself before counts all the same. */
    readonly end?: "evicted";
  };

/** Something in the way of launching a rank on the GPUs that its attempt was given. */
export interface Obstacle {
  /** `taken`: somebody else has them; `unknown`: nobody can say whether they are free. */
  readonly kind: "taken" | "unknown";
  readonly message: string;
}

/** What the step found. */
export type Step =
  | {
    readonly kind: "end";
    readonly end: AttemptEnd;
    readonly failure?: Failure;
  }
  /** Ranks must stop first; `graceMs` for those that nobody told yet. */
  | {
    readonly kind: "stopping";
    readonly graceMs: number;
    readonly because: string;
    /** Why the attempt fails: recorded before the stops, which hide it. */
    readonly failure?: Failure;
    readonly wakeAtMs?: number;
  }
  | { readonly kind: "unknown"; readonly message: string; readonly wakeAtMs?: number }
  | { readonly kind: "complete"; readonly ranks: readonly number[] }
  | { readonly kind: "starting" }
  | { readonly kind: "running" };

/** Arguments of `stepAttempt`. */
export interface StepInput {
  readonly attempt: Attempt;
  readonly ranks: readonly RankView[];
  readonly phase: Phase;
  readonly intent: Intent;
  readonly launchFailure: LaunchFailure | undefined;
  /** Why a rank that has not been launched yet must not be launched on its GPUs now. */
  readonly obstacle: (rank: number) => Obstacle | undefined;
  readonly policy: Policy;
  /** False while no node at all answers: then the fault is on this side, and nobody is lost. */
  readonly networkWorks: boolean;
  readonly now: number;
}

/** Decides about one attempt that has not ended. */
export function stepAttempt(input: StepInput): Step {
  const { ranks, intent } = input;
  if (ranks.length === 0) {
    const message = "its record names no node";
    return { kind: "end", end: "failed", failure: { class: "launch", message } };
  }
  if (ranks.every((rank) => rank.kind === "ended" && isSuccess(rank.run))) {
    return { kind: "end", end: "succeeded" };
  }
  const trouble = remembered(input, findTrouble(input));
  if (trouble) return tearDown(input, trouble);
  if (intent.kind === "stop") return stopWanted(input, intent);
  const lost = ranks.filter((rank) => rank.kind === "unknown");
  if (lost.length > 0) return waitForNodes(input, lost);
  const absent = ranks.flatMap((rank, index) => rank.kind === "absent" ? [index] : []);
  if (absent.length > 0) {
    return { kind: "complete", ranks: absent.filter((rank) => !input.obstacle(rank)) };
  }
  return { kind: ranks.some(isStarting) ? "starting" : "running" };
}

/** A gang that is being stopped fails of what was found before it was told to. */
function remembered({ attempt }: StepInput, found: Trouble | undefined): Trouble | undefined {
  const { failure } = attempt;
  if (!found || found.failure || !failure) return found;
  const end = failure.class === "node-lost" ? "node-lost" : "failed";
  return { end, because: found.because, failure };
}

interface Trouble {
  readonly end: AttemptEnd;
  readonly because: string;
  readonly failure?: Failure;
}

function isStarting(rank: RankView): boolean {
  return rank.kind === "live" && rank.run.state === "starting";
}

type Unknown = Extract<RankView, { kind: "unknown" }>;
type Ended = Extract<RankView, { kind: "ended" | "leftover" }>;

function findTrouble(input: StepInput): Trouble | undefined {
  const { ranks, intent, attempt, phase, now } = input;
  const bad = ranks.flatMap((rank) =>
    (rank.kind === "ended" && !isSuccess(rank.run)) || rank.kind === "leftover" ? [rank] : []
  );
  // A stop that met a run whose supervisor was gone already does not explain its end.
  const own = bad.filter(({ kind, run }) =>
    run.stop === null || kind === "leftover" || run.exit?.reason === "lost"
  );
  if (intent.kind === "stop") return intent.end ? beforeEviction(input, own) : undefined;
  if (own.length > 0) return ownTrouble(own);
  const told = ranks.find((rank) =>
    rank.kind === "live"
      ? intent.kind === "run" && rank.run.stop !== null
      : bad.includes(rank as Ended)
  );
  if (told) {
    const end = attempt.evicted ? "evicted" : "stopped";
    return { end, because: reasonOfStop(told) };
  }
  const gone = lostForGood(input);
  if (gone) return gone;
  const absent = ranks.filter((rank) => rank.kind === "absent");
  if (absent.length === 0 && !ranks.some(isStarting)) return undefined;
  if (absent.length > 0 && phase !== "Launching" && attempt.startedAt) {
    const node = absent[0]?.node ?? "";
    const message = `${node} has no record of this run any more: its work directory was removed`;
    return { end: "failed", because: message, failure: { class: "run-vanished", node, message } };
  }
  return launchTrouble(input, now);
}

/**
 * How a gang that is evicted had failed before. Once one rank has been told to stop, that explains
 * what its peers do, unless the failure was recorded before.
 */
function beforeEviction(
  { ranks, attempt }: StepInput,
  own: readonly Ended[],
): Trouble | undefined {
  const told = ranks.find((rank) =>
    (rank.kind === "live" || rank.kind === "ended") && rank.run.stop !== null &&
    rank.run.exit?.reason !== "lost"
  );
  if (!told) return own.length > 0 ? ownTrouble(own) : undefined;
  return attempt.failure && { end: "evicted", because: reasonOfStop(told) };
}

function launchTrouble(input: StepInput, now: number): Trouble | undefined {
  const { launchFailure: failed, attempt } = input;
  if (failed?.terminal) {
    const message = `cannot launch rank ${failed.rank} on ${failed.node}: ${failed.reason}`;
    return {
      end: "failed",
      because: message,
      failure: { class: "launch-refused", node: failed.node, rank: failed.rank, message },
    };
  }
  for (const [index, rank] of input.ranks.entries()) {
    const obstacle = rank.kind === "absent" ? input.obstacle(index) : undefined;
    if (obstacle?.kind !== "taken") continue;
    const message = `rank ${index} was to start on ${rank.node}, but ${obstacle.message}`;
    const failure = { class: "gpu-busy", node: rank.node, rank: index, message };
    return { end: "failed", because: message, failure };
  }
  if (now - Date.parse(attempt.recordedAt) < LAUNCH_TIMEOUT_MS) return undefined;
  const message = failed
    ? `the gang did not start within ${LAUNCH_TIMEOUT_MS / 1000} s: ${failed.reason}`
    : `the gang did not start within ${LAUNCH_TIMEOUT_MS / 1000} s`;
  return { end: "failed", because: message, failure: { class: "launch", message } };
}

/** Why a rank was told to stop, as it was told: so the same is said until the gang is down. */
function reasonOfStop(rank: RankView): string {
  const reason = "run" in rank ? rank.run.stop?.reason : undefined;
  return reason || "part of the gang had been told to stop";
}

/** Ranks that ended badly by themselves: a node that went down explains what its peers say. */
function ownTrouble(own: readonly Ended[]): Trouble {
  const fallen = own.find((rank) => rank.kind === "ended" && rank.rebooted);
  if (fallen) {
    const { node, run: { rank } } = fallen;
    const message = `${node} rebooted while the job was on it`;
    const failure = { class: "node-lost", node, rank, message };
    return { end: "node-lost", because: message, failure };
  }
  const failure = diagnose(own);
  return {
    end: "failed",
    because: `rank ${failure?.rank ?? "?"} on ${failure?.node ?? "?"} failed`,
    ...(failure ? { failure } : {}),
  };
}

/** Nodes that left the cluster, or stayed away longer than `nodeLostAfter`. */
function lostForGood(input: StepInput): Trouble | undefined {
  const { ranks, policy, now, networkWorks } = input;
  for (const rank of ranks) {
    const isLost = rank.kind === "removed" ||
      (rank.kind === "unknown" && networkWorks && now - rank.sinceMs >= policy.nodeLostAfterMs);
    if (!isLost) continue;
    const message = rank.kind === "removed"
      ? `${rank.node} is no longer in cluster.yaml`
      : `${rank.node} did not answer for ${policy.nodeLostAfterMs / 1000} s`;
    return {
      end: "node-lost",
      because: message,
      failure: { class: "node-lost", node: rank.node, message },
    };
  }
  return undefined;
}

/** Ends a gang that cannot go on: what still lives is stopped, then the attempt is over. */
function tearDown(input: StepInput, trouble: Trouble): Step {
  const { ranks, policy, now, networkWorks } = input;
  const { because } = trouble;
  const known = trouble.failure ? { failure: trouble.failure } : {};
  if (ranks.some((rank) => rank.kind === "live" || rank.kind === "leftover")) {
    return { kind: "stopping", graceMs: TEARDOWN_GRACE_MS, because, ...known };
  }
  const patienceMs = Math.min(CONFIRM_MS, policy.nodeLostAfterMs);
  const waiting = ranks.filter((r): r is Unknown =>
    r.kind === "unknown" && (now - r.sinceMs < patienceMs || !networkWorks)
  );
  if (waiting.length > 0) {
    const wakeAtMs = Math.max(...waiting.map((rank) => rank.sinceMs)) + patienceMs;
    return {
      kind: "stopping",
      graceMs: TEARDOWN_GRACE_MS,
      because: `${because}; waiting for ${names(waiting)} to confirm`,
      ...known,
      wakeAtMs: Math.max(wakeAtMs, now + 1000),
    };
  }
  // What was stopped because a node was lost ends as that: the node is still away.
  const gone = trouble.end === "stopped" ? lostForGood(input) : undefined;
  if (gone) return tearDown(input, gone);
  const away = ranks.filter((rank) => rank.kind === "unknown");
  const failure = trouble.failure;
  if (away.length > 0 && failure && failure.class !== "node-lost") {
    const node = away[0]?.node ?? "";
    const message = `${node} went away; then ${trouble.because}: ${failure.message}`;
    return { kind: "end", end: "node-lost", failure: { class: "node-lost", node, message } };
  }
  return { kind: "end", end: trouble.end, ...(failure ? { failure } : {}) };
}

function stopWanted(input: StepInput, intent: Extract<Intent, { kind: "stop" }>): Step {
  const { ranks, policy, now, networkWorks } = input;
  if (ranks.some((rank) => rank.kind === "live" || rank.kind === "leftover")) {
    return {
      kind: "stopping",
      graceMs: intent.graceMs,
      because: intent.message,
      ...(intent.recordFirst && intent.failure ? { failure: intent.failure } : {}),
    };
  }
  const unknown = ranks.filter((rank) => rank.kind === "unknown");
  const away = unknown.filter((rank) =>
    now - rank.sinceMs < policy.nodeLostAfterMs || !networkWorks
  );
  if (away.length > 0) {
    return {
      kind: "unknown",
      // All of them, given up or not, so that the sentence does not change with time.
      message: `${intent.message}; ${names(unknown)} cannot be asked whether its part has ` +
        `stopped: ${unknown[0]?.reason ?? ""}`,
      wakeAtMs: Math.max(
        Math.max(...away.map((rank) => rank.sinceMs)) + policy.nodeLostAfterMs,
        now + 1000,
      ),
    };
  }
  const failure = intent.failure;
  const end = failure ? "failed" : intent.end ?? "stopped";
  return { kind: "end", end, ...(failure ? { failure } : {}) };
}

function waitForNodes(input: StepInput, lost: readonly RankView[]): Step {
  const { policy, now, attempt } = input;
  const unknown = lost.filter((rank): rank is Unknown => rank.kind === "unknown");
  const sinceMs = Math.min(...unknown.map((rank) => rank.sinceMs));
  const launching = input.ranks.some((rank) => rank.kind === "absent" || isStarting(rank));
  const timeout = launching ? Date.parse(attempt.recordedAt) + LAUNCH_TIMEOUT_MS : Infinity;
  return {
    kind: "unknown",
    message: `${names(unknown)} cannot be asked (${unknown[0]?.reason ?? ""}); nothing is ` +
      `restarted before it has been away for ${policy.nodeLostAfterMs / 1000} s`,
    wakeAtMs: Math.max(Math.min(sinceMs + policy.nodeLostAfterMs, timeout), now + 1000),
  };
}

function names(ranks: readonly RankView[]): string {
  return [...new Set(ranks.map((rank) => rank.node))].join(", ");
}
