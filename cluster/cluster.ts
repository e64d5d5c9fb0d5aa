/**
 * The cluster as `cluster.yaml` declares it, parsed: nodes, environments, queues and the policy
 * that the reconciler follows.
 *
 * @module
 */
import type { Activation, NodeSpec } from "./node.ts";

/** Knobs of the reconciler; every duration in milliseconds. */
export interface Policy {
  /** How often the state repository is polled when no hint arrives. */
  readonly pollIntervalMs: number;
  /** Least time between two status commits that record no launch. */
  readonly statusMinIntervalMs: number;
  /** How long a node may be unknown before its runs are given up and placed elsewhere. */
  readonly nodeLostAfterMs: number;
  /** Most jobs that one pass may stop or prune; more need a person (see `docs/architecture.md`). */
  readonly maxStopsPerPass: number;
  /** Time between SIGTERM and SIGKILL where the job does not say. */
  readonly graceMs: number;
  /** Most jobs launched in one pass. */
  readonly maxLaunchesPerPass: number;
}

/** What happens to a job whose GPUs stay idle. */
export interface IdlePolicy {
  /** Idle: every GPU of the job is used less than this, in percent. */
  readonly belowPct: number;
  /** For so long without a break. */
  readonly forMs: number;
  /** `flag`: said in its status; `stop`: ended. */
  readonly action: "flag" | "stop";
}

/** A queue of jobs; jobs of queues with a higher priority are placed first. */
export interface Queue {
  readonly name: string;
  readonly priority: number;
  /** GPUs that the queue is sure of. Others may use what it leaves idle until it wants them. */
  readonly quotaGpus?: number;
  /** Most GPUs at once, borrowed ones included. */
  readonly maxGpus?: number;
  /** False: it never uses more than its quota. */
  readonly borrow?: boolean;
  /** The highest priority that its jobs may have. */
  readonly maxPriority?: number;
  /** Users and `@groups` that may use it; undefined: everybody. */
  readonly members?: readonly string[];
  /** False: its jobs are never preempted. */
  readonly preemptible?: boolean;
  /** For jobs that say nothing of it themselves. */
  readonly idle?: IdlePolicy;
}

/** What a user, or all members of a group together, may use. */
export interface Limits {
  /** Most GPUs at once. */
  readonly maxGpus?: number;
  /** Most GPU-hours in the last seven days. */
  readonly gpuHoursPerWeek?: number;
}

/** Somebody whose jobs name her as `owner:`. */
export interface User extends Limits {
  readonly name: string;
  readonly groups: readonly string[];
  /** Her part of the cluster in proportion to others'; 1 unless said. */
  readonly share: number;
  readonly maxPriority?: number;
}

/** Users with limits in common. */
export interface Group extends Limits {
  readonly name: string;
  /** For each of its members. */
  readonly maxPriority?: number;
}

/**
 * In which order jobs are tried, and who may pass whom.
 * - `fifo`: in the order of submission; nobody passes the first that does not fit
 * - `priority`: queue, priority, then submission; nobody passes
 * - `fairshare`: queue, priority, then the user who has used least; nobody passes
 * - `backfill`: like `priority`, but whoever delays nobody may pass
 * - `default`: like `fairshare`, but whoever delays nobody may pass
 */
export type SchedulingPolicy = "fifo" | "priority" | "fairshare" | "backfill" | "default";

/** When jobs may be stopped for others. */
export interface Preemption {
  /** A job may take the GPUs of jobs of a lower priority. */
  readonly byPriority: boolean;
  /** A queue may take back what others borrowed of its quota. */
  readonly reclaim: boolean;
  /** Nobody is stopped so soon after its start. */
  readonly protectMs: number;
  /** Jobs of this priority or a higher one are never stopped for others. */
  readonly protectPriority?: number;
}

/** How the queue is served. */
export interface Scheduling {
  readonly policy: SchedulingPolicy;
  /** Use counts half after this time. */
  readonly halfLifeMs: number;
  /** Who has waited so long, and has fewer GPUs than the job asks for, goes before fair share. */
  readonly patienceMs: number;
  /** Most waiting jobs that keep a start time which nobody may push back. */
  readonly reservations: number;
  readonly preemption: Preemption;
  /** Labels that tell how close nodes are, from wide to narrow, such as `zone`, `rack`. */
  readonly topology: readonly string[];
}

/** The schema's own defaults. */
export const DEFAULT_SCHEDULING: Scheduling = {
  policy: "default",
  halfLifeMs: 7 * 86_400_000,
  patienceMs: 43_200_000,
  reservations: 16,
  preemption: { byPriority: false, reclaim: true, protectMs: 600_000 },
  topology: [],
};

/** Everything that `cluster.yaml` says. */
export interface Cluster {
  readonly name: string;
  readonly description?: string;
  readonly nodes: readonly NodeSpec[];
  readonly environments: Readonly<Record<string, Activation>>;
  readonly queues: readonly Queue[];
  readonly users: readonly User[];
  readonly groups: readonly Group[];
  readonly scheduling: Scheduling;
  readonly policy: Policy;
  /** Default communication backend and port range, as the earlier Python UGRO had them. */
  readonly communication: { readonly backend?: string; readonly timeoutMs?: number };
  /** Environment variables for every rank (from the owner of the cluster). */
  readonly env: Readonly<Record<string, string>>;
  /** `training:` of a cluster.yaml of the earlier Python UGRO; lowest layer of the defaults. */
  readonly training: Readonly<Record<string, unknown>>;
}
