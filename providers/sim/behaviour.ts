/**
 * What simulated training does: how long it takes, when it saves, how it fails and how it stops.
 *
 * @module
 */

/** The behaviour of one job. Progress counts over all attempts; an attempt resumes at a step. */
export interface Behaviour {
  /** Training until it ends with exit code 0. Default: an hour. */
  readonly durationMs: number;
  /** Training between two checkpoints; 0: it never saves. Step N is N seconds of training. */
  readonly checkpointEveryMs: number;
  /** True when all machines see the checkpoints of all; otherwise each machine has its own. */
  readonly sharedCheckpoints: boolean;
  /** From launch to the start of the agent. */
  readonly startMs: number;
  /** Each attempt up to `failAttempts` fails after this much training; undefined: none does. */
  readonly failAfterMs?: number;
  readonly failAttempts: number;
  readonly failRank: number;
  readonly failMessage: string;
  /** Training comes to its end, but this rank exits 1 there; counts as `failAttempts` says. */
  readonly failAtEndRank?: number;
  /** The agent cannot be started at all. */
  readonly startFails: boolean;
  /** What ranks do when another rank of their gang dies, and after how long. */
  readonly onPeerDeath: "fail" | "hang";
  readonly peerDelayMs: number;
  /** From SIGTERM to the end; longer than the grace period means that it is killed. */
  readonly stopMs: number;
  /** From SIGKILL until every process is gone. */
  readonly killMs: number;
  /** Saves when it is told to stop. */
  readonly saveOnStop: boolean;
}

/** What a job does unless the table says otherwise. */
export const DEFAULT_BEHAVIOUR: Behaviour = {
  durationMs: 3_600_000,
  checkpointEveryMs: 60_000,
  sharedCheckpoints: false,
  startMs: 300,
  failAttempts: Infinity,
  failRank: 0,
  failMessage: "RuntimeError: simulated",
  startFails: false,
  onPeerDeath: "fail",
  peerDelayMs: 5_000,
  stopMs: 800,
  killMs: 0,
  saveOnStop: false,
};
