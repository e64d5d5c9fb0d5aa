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

/** A queue of jobs; jobs of queues with a higher priority are placed first. */
export interface Queue {
  readonly name: string;
  readonly priority: number;
}

/** Everything that `cluster.yaml` says. */
export interface Cluster {
  readonly name: string;
  readonly description?: string;
  readonly nodes: readonly NodeSpec[];
  readonly environments: Readonly<Record<string, Activation>>;
  readonly queues: readonly Queue[];
  readonly policy: Policy;
  /** Default communication backend and port range, as the earlier Python UGRO had them. */
  readonly communication: { readonly backend?: string; readonly timeoutMs?: number };
  /** Environment variables for every rank (from the owner of the cluster). */
  readonly env: Readonly<Record<string, string>>;
  /** `training:` of a cluster.yaml of the earlier Python UGRO; lowest layer of the defaults. */
  readonly training: Readonly<Record<string, unknown>>;
}
