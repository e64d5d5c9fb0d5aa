/**
 * Runs: what a node knows about one rank group (one node of a gang) of one attempt of a job.
 * These are the records that `runner.py` writes and reports; see `docs/runner.md`.
 *
 * @module
 */

/** Names one node's part of one attempt. `rank` is the node rank in the gang, from 0. */
export interface RunId {
  readonly job: string;
  readonly attempt: number;
  readonly rank: number;
}

/**
 * - `starting`: the folder exists, the agent (torchrun) has not been started yet
 * - `running`: the supervisor lives, no stop was asked for
 * - `stopping`: the supervisor lives, a stop was asked for
 * - `exited`: ended, and no process of it is left
 * - `lost`: the supervisor is gone without a record (killed, or the node rebooted);
 *   `processes` says how many marked processes are left
 */
export type RunState = "starting" | "running" | "stopping" | "exited" | "lost";

/** How a run ended. */
export interface RunExit {
  /** Exit code of the agent; null when it died of a signal or never started. */
  readonly code: number | null;
  readonly signal: number | null;
  /**
   * `exited`: by itself; `stopped`: after a stop was asked for; `killed`: SIGKILL after the grace
   * period; `lost`: the supervisor died; `start-failed`: the agent could not be started.
   */
  readonly reason: "exited" | "stopped" | "killed" | "lost" | "start-failed";
  readonly endedAtMs: number;
  readonly message?: string;
}

/** The earliest failure that a rank of this run reported, or the tail of what it printed. */
export interface RunError {
  /** Global rank, when known. */
  readonly rank: number | null;
  readonly message: string;
  readonly timestampMs: number | null;
  readonly source: "error-file" | "log";
}

/** What the controller wrote into a launch and gets back with every observation. */
export interface RunMeta {
  readonly commit: string;
  readonly specDigest: string;
  /** Node names in rank order. */
  readonly nodes: readonly string[];
  /** GPU uuids (or cpu slots) of each node, in rank order. */
  readonly gpus: readonly (readonly string[])[];
}

/** One run as a node reports it. */
export interface RunRecord extends RunId {
  readonly state: RunState;
  readonly epoch: number;
  readonly meta: RunMeta;
  readonly gpus: readonly string[];
  readonly masterPort: number | null;
  readonly createdAtMs: number;
  readonly startedAtMs: number | null;
  readonly bootId: string;
  /** Live processes that carry this run's marker. */
  readonly processes: number;
  readonly stop: {
    readonly reason: string;
    readonly requestedAtMs: number;
    readonly graceMs: number;
  } | null;
  readonly exit: RunExit | null;
  readonly error: RunError | null;
}

/** A checkpoint found on a node. */
export interface Checkpoint {
  readonly path: string;
  readonly step: number;
  readonly complete: boolean;
  readonly bytes: number;
  readonly modifiedAtMs: number;
}
