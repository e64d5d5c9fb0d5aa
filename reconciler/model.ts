/**
 * What the planner takes in and gives back. All of it is plain data; see `docs/architecture.md`.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { NodeName } from "../cluster/node.ts";
import type { DesiredJob, Resources } from "../jobs/job.ts";
import type { Problem } from "../jobs/problem.ts";
import type { RunId } from "../jobs/run.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import type { NodeObservation } from "./ports.ts";
import type { Expected } from "./scheduling/types.ts";

/** A manifest that does not parse. Its job's desired state is unknown, so its runs are left alone. */
export interface InvalidJob {
  readonly file: string;
  readonly problems: readonly Problem[];
}

/** The desired branch at one commit. */
export interface Desired {
  readonly commit: string;
  readonly cluster: Cluster;
  readonly jobs: ReadonlyMap<string, DesiredJob>;
  readonly invalid: ReadonlyMap<string, InvalidJob>;
  /** All problems of all files, those of `invalid` included. */
  readonly problems: readonly Problem[];
  /** True when deleted manifests must not stop anything: the branch holds no job file at all. */
  readonly empty: boolean;
}

/** What went wrong with the last try to launch a rank; kept by the loop until it is superseded. */
export interface LaunchFailure {
  readonly terminal: boolean;
  readonly node: string;
  readonly rank: number;
  readonly reason: string;
}

/** What was seen of an attempt over several passes; lost when the controller ends. */
export interface Watched {
  /** Since when all of its GPUs have been used less than its idle policy says. */
  readonly idleSinceMs?: number;
  /** The most memory that was seen in use on one of its GPUs. */
  readonly peakMiB?: number;
  /** What its manifest asked for of each machine when it was launched, be that nothing. */
  readonly host?: HostNeed;
}

/** What a job asks for of a machine beside GPUs. */
export type HostNeed = Pick<Resources, "cpuCores" | "ramGb">;

/** The machines at one instant. */
export interface Observed {
  readonly nodes: ReadonlyMap<NodeName, NodeObservation>;
  /** By `JOB/ATTEMPT`. */
  readonly launchFailures: ReadonlyMap<string, LaunchFailure>;
  /** Jobs whose checkpoints were looked for in this observation. */
  readonly checkpointsOf: ReadonlySet<string>;
  /** By `JOB/ATTEMPT`. */
  readonly watched?: ReadonlyMap<string, Watched>;
}

/** The status branch at one commit. */
export interface History {
  /** undefined: there is no status branch. */
  readonly head: string | undefined;
  readonly jobs: ReadonlyMap<string, JobStatus>;
  /** Status files that could not be read, with why: these jobs are held. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** True when a status branch must have existed and is gone. */
  readonly lost: boolean;
}

/** One thing to do, and why. */
export type Action =
  | {
    readonly kind: "launch";
    readonly job: DesiredJob;
    readonly attempt: Attempt;
    /** Node ranks to launch: all, or those that an interrupted launch left out. */
    readonly ranks: readonly number[];
    /** Known when rank 0 runs already. */
    readonly masterPort: number | null;
    readonly because: string;
  }
  | {
    readonly kind: "stop";
    readonly node: NodeName;
    readonly run: RunId;
    readonly graceMs: number;
    readonly because: string;
  }
  | {
    readonly kind: "clean";
    readonly node: NodeName;
    readonly job: string;
    readonly throughAttempt: number;
    readonly because: string;
  };

/** A job that does not run, in the order in which the queue will serve it. */
export interface Waiting {
  readonly job: string;
  readonly reason: string;
  readonly message: string;
  /** Jobs that are tried before it. */
  readonly ahead?: number;
  /** The numbers of the message, for programs. */
  readonly numbers?: Readonly<Record<string, number>>;
  /** Where somebody can say; a `guess` moves with time, so that no file holds one. */
  readonly expected?: Expected;
}

/** What one pass decided. */
export interface Plan {
  readonly actions: readonly Action[];
  /** Every job's status after this plan; unchanged ones are the same object as in the history. */
  readonly statuses: ReadonlyMap<string, JobStatus>;
  readonly waiting: readonly Waiting[];
  /** Jobs whose checkpoints are to be looked for in the next observation. */
  readonly needCheckpoints: readonly string[];
  /** When a pass would decide differently although nothing changes; undefined: never. */
  readonly wakeAtMs: number | undefined;
  /** What the guards held back, for people. */
  readonly held: readonly string[];
}

/** Arguments of `plan`. */
export interface PlanInput {
  readonly desired: Desired;
  readonly observed: Observed;
  readonly history: History;
  readonly now: number;
}

/** Everything that surfaces (page, API) may show: the last pass as it was decided. */
export interface Snapshot {
  readonly desired: Desired;
  readonly observed: Observed;
  readonly history: History;
  readonly plan: Plan;
}

/** `JOB/ATTEMPT`, the key of `Observed.launchFailures`. */
export function attemptKey(job: string, attempt: number): string {
  return `${job}/${attempt}`;
}
