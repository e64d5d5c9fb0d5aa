/**
 * What the rules look at: the truth, and what each controller had been shown when it acted.
 *
 * @module
 */
import type { VirtualClock } from "../../providers/sim/clock.ts";
import type { SimRemote } from "../../providers/sim/repository.ts";
import type { SimWorld } from "../../providers/sim/world.ts";
import type { Tampered } from "./driver.ts";
import type { Ledger } from "./ledger.ts";
import type { People, Wanted } from "./people.ts";
import type { Life, SimProcess } from "./process.ts";
import type { Scenario } from "./scenario.ts";
import type { Truth } from "./truth.ts";

/** Names of what must always be so; DESIGN.md §7 has the numbers in brackets. */
export type Invariant =
  /** (1) Never two live attempts of one job. */
  | "one-live-attempt"
  /** (1) Never one GPU in two jobs. */
  | "one-job-a-gpu"
  /** (1) Never a GPU that a foreign process uses, or that is gone. */
  | "no-taken-gpu"
  /** (2) No agent is started twice for a job, attempt and rank. */
  | "started-once"
  /** (2) An attempt is on the status branch before any machine hears of it. */
  | "recorded-first"
  /** (3, 4) Every stop has a cause in the truth. */
  | "stop-has-cause"
  /** (4) Only what is known to be wanted is launched. */
  | "launch-is-wanted"
  /** (5, 9) An unchanged world: no mutation, no commit. */
  | "unchanged-world"
  /** (6) Once faults cease, every job comes to where it belongs. */
  | "converges"
  /** (7) What nobody wants any more leaves nothing behind. */
  | "leaves-nothing"
  /** (8) Ends of attempts are recorded as they were. */
  | "ends-are-true"
  /** (9) Commits follow events. */
  | "no-commit-loop"
  /** (10) No secret in a status file or a log line. */
  | "no-secret"
  | "status-is-linear"
  | "epochs-grow"
  | "lifecycle"
  | "attempts-grow"
  | "retries-are-bounded"
  /** A job that makes room for others loses neither a retry nor its place. */
  | "eviction-costs-nothing"
  /** Nobody is stopped for others whom the policy protects. */
  | "evicts-only-who-may-be"
  /** Queues, users, groups and sweeps have no more than they may. */
  | "within-limits"
  /** Nothing is launched before what it waits for has come. */
  | "waits-for-others"
  /** Nobody takes the room that another one has waited for. */
  | "keeps-its-turn"
  /** Each time of a schedule has one run. */
  | "one-run-a-time"
  /** Training goes on from a checkpoint only when that is complete. */
  | "resumes-from-whole"
  | "no-pass-fails"
  /** No controller makes pass after pass when nothing comes of it. */
  | "no-busy-loop"
  | "one-writer";

/** What was violated, and how. */
export interface Violation {
  readonly invariant: Invariant;
  readonly message: string;
  readonly atMs: number;
  /** Events before it. */
  readonly step: number;
}

/** Everything that rules may look at. */
export interface Context {
  readonly scenario: Scenario;
  readonly startMs: number;
  readonly clock: VirtualClock;
  readonly world: SimWorld;
  readonly remote: SimRemote;
  readonly people: People;
  readonly processes: readonly SimProcess[];
  readonly truth: Truth;
  readonly ledger: Ledger;
  /** Who claimed which epoch. */
  readonly lives: ReadonlyMap<number, Life>;
  readonly tampered: Readonly<Tampered>;
  /** Since when a foreign process uses a GPU, or it is gone, by `NODE UUID`. */
  readonly takenSinceMs: ReadonlyMap<string, number>;
  fail(invariant: Invariant, message: string): void;
}

/** True when a machine answers whoever asks. */
export function answers({ world }: Context, node: string): boolean {
  const machine = world.machine(node);
  return machine.up && !machine.requestsCut && !machine.repliesCut && machine.latencyMs < 3000;
}

/** What the desired branch said when a life last fetched it. */
export function wantedBy({ people }: Context, life: Life): Wanted | undefined {
  return life.shown.desired === undefined ? undefined : people.at(life.shown.desired);
}

/** The process that leads and acts now. */
export function leaderOf({ processes }: Context): SimProcess | undefined {
  let leader: SimProcess | undefined;
  for (const process of processes) {
    if (process.acting && (process.epoch ?? 0) > (leader?.epoch ?? -1)) leader = process;
  }
  return leader;
}
