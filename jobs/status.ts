/**
 * What UGRO remembers and shows of a job: the contents of `jobs/NAME.yaml` on the status branch.
 * It is history for the planner and an answer for people, so it holds transitions only: no
 * heartbeats, no live metrics.
 *
 * @module
 */
import type { Problem } from "./problem.ts";

/** All phases; see `jobs/lifecycle.ts` for the steps between them. */
export const PHASES = [
  "Pending",
  "Launching",
  "Running",
  "Recovering",
  "Suspended",
  "Unknown",
  "Succeeded",
  "Failed",
  "Cancelled",
  "Invalid",
] as const;
export type Phase = typeof PHASES[number];

/** One node's part of a placement, in rank order. */
export interface PlacedRank {
  readonly node: string;
  readonly gpus: readonly string[];
  /** Part of each of the GPUs that is its own; undefined: all of it. */
  readonly share?: number;
}

/** Why an attempt that was fine had to go. */
export const EVICTIONS = ["Preempted", "Reclaimed", "Drained", "Resized"] as const;

/**
 * Recorded before the attempt is told to stop. It saves and is queued again at its old place, which
 * uses up none of its retries.
 */
export interface Eviction {
  readonly reason: typeof EVICTIONS[number];
  /** The job that gets the room, where there is one. */
  readonly by?: string;
  /** One sentence for people. */
  readonly message: string;
  readonly at: string;
}

/** Why an attempt ended. */
export type AttemptEnd =
  | "succeeded"
  | "failed"
  /** Stopped because a person wanted so: suspended, cancelled, deleted, manifest changed. */
  | "stopped"
  /** Stopped to make room: see `evicted`. */
  | "evicted"
  /** Its node did not come back within `nodeLostAfter`, or rebooted. */
  | "node-lost";

/** What failed, where and how we know. */
export interface Failure {
  /** A word of the table in `jobs/failures.ts`. */
  readonly class: string;
  readonly node?: string;
  readonly rank?: number;
  /** At most 2,000 characters, control characters replaced. */
  readonly message: string;
}

/** Where an attempt went on from. */
export interface ResumedFrom {
  readonly path: string;
  readonly step: number;
}

/** One launch of the whole gang. Written before the launch, so that no launch is forgotten. */
export interface Attempt {
  readonly attempt: number;
  readonly commit: string;
  readonly specDigest: string;
  readonly codeDigest: string | null;
  readonly placement: readonly PlacedRank[];
  /** Why these nodes. */
  readonly because: string;
  readonly resumedFrom?: ResumedFrom;
  readonly recordedAt: string;
  readonly startedAt?: string;
  /** Set once it is to be stopped for another's sake. */
  readonly evicted?: Eviction;
  readonly endedAt?: string;
  readonly end?: AttemptEnd;
  readonly failure?: Failure;
  /** Exit code of each node's agent in rank order; null: a signal, or never known. */
  readonly exitCodes?: readonly (number | null)[];
  /** The most memory that was seen in use on one of its GPUs. */
  readonly peakMiB?: number;
}

/** A fact about a job in the manner of Kubernetes conditions. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly since: string;
}

/** A job's file on the status branch. Times are ISO 8601, UTC. */
export interface JobStatus {
  readonly name: string;
  readonly file: string;
  /** Commit of the desired branch at which this status was last decided anew. */
  readonly commit: string;
  readonly specDigest: string;
  readonly owner?: string;
  readonly queue: string;
  readonly priority: number;
  /** The manifest that it is one of many jobs of (`matrix`, `array`, `schedule`). */
  readonly parent?: string;
  readonly phase: Phase;
  /** One word that a program can match, such as `Resources`, `Retrying`, `ManifestDeleted`. */
  readonly reason: string;
  /** One sentence for people: why this phase, and what happens next. */
  readonly message: string;
  readonly since: string;
  readonly submittedAt: string;
  /** Number of the newest attempt; 0: never launched. Numbers are never used twice. */
  readonly attempt: number;
  /** Failures since the manifest last changed that count towards `maxRetries`. */
  readonly retries: number;
  /** Not to be launched before this time (backoff). */
  readonly notBefore?: string;
  readonly rerun: number;
  readonly conditions: readonly Condition[];
  readonly problems?: readonly Problem[];
  /** Newest last, at most `MAX_ATTEMPTS`. */
  readonly attempts: readonly Attempt[];
}

/** How many attempts a status file keeps; git history has the rest. */
export const MAX_ATTEMPTS = 20;
