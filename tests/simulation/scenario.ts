/**
 * A scenario: everything that determines a simulated run, as plain data. The same scenario gives
 * the same run, byte for byte.
 *
 * @module
 */
import type { Behaviour } from "../../providers/sim/behaviour.ts";
import type { PushFault } from "../../providers/sim/git.ts";
import type { Loss, Mutation } from "../../providers/sim/world.ts";

/** What a manifest says, in few words. */
export interface JobDoc {
  readonly nodes: number;
  readonly gpus: number;
  readonly state?: "running" | "suspended" | "cancelled";
  readonly priority?: number;
  readonly rerun?: number;
  readonly maxRetries: number;
  readonly graceS: number;
  readonly maxDurationS?: number;
  /** Another number is another thing to run. */
  readonly version?: number;
  readonly code?: "repository" | "git";
  readonly neededBy?: "rank0";
  readonly owner?: string;
  readonly queue?: string;
  /** An elastic job: from `nodes` to so many. */
  readonly maxNodes?: number;
  /** A part of one GPU on each node. */
  readonly share?: number;
  readonly mixed?: true;
  /** So many jobs of one manifest, `NAME-1` and so on. */
  readonly matrix?: number;
  /** Most of them at once. */
  readonly maxParallel?: number;
  readonly after?: readonly Dependency[];
  /** From the start of the scenario. */
  readonly startAfterS?: number;
  readonly deadlineS?: number;
  readonly schedule?: Schedule;
}

/** What must have ended before. */
export interface Dependency {
  readonly job: string;
  readonly when: "success" | "failure" | "any";
}

/** Runs at fixed times. */
export interface Schedule {
  readonly everyMin: number;
  readonly concurrency: "allow" | "forbid" | "replace";
  readonly keep: number;
  readonly startWithinS: number;
  /** Its next run is due in a year. */
  readonly retired?: true;
}

/** One job: its first manifest, when that is pushed, and what its training does. */
export interface ScenarioJob {
  readonly name: string;
  readonly atMs: number;
  readonly doc: JobDoc;
  readonly behaviour: Partial<Behaviour>;
}

/** One machine. */
export interface ScenarioNode {
  readonly name: string;
  readonly gpus: number;
  /** Ranks that a machine without GPUs takes. */
  readonly cpuSlots?: number;
  readonly skewMs?: number;
  /** With GPUs of another model. */
  readonly old?: true;
}

/** One controller process, which something like systemd starts again when it ends. */
export interface ScenarioController {
  readonly standby: boolean;
  readonly startAtMs: number;
  /** From its end to its next start; null: it stays away until all is calm. */
  readonly restartMs: number | null;
  readonly skewMs?: number;
}

/** A part of the desired branch that can be broken. */
export type Breakable = "cluster" | "defaults" | { readonly job: string };

/** Something that goes wrong, or that a person does. `forMs`: it is mended after that time. */
export type Fault = { readonly atMs: number } & FaultKind;

export type FaultKind =
  | { readonly kind: "node-off"; readonly node: string; readonly forMs: number }
  | { readonly kind: "reboot"; readonly node: string }
  | {
    readonly kind: "cut";
    readonly node: string;
    readonly ways: readonly Loss[];
    readonly forMs: number;
  }
  | { readonly kind: "cut-all"; readonly forMs: number }
  | {
    readonly kind: "slow";
    readonly node: string;
    readonly latencyMs: number;
    readonly forMs: number;
  }
  | { readonly kind: "drop"; readonly op: Mutation; readonly loss: Loss; readonly node?: string }
  | { readonly kind: "disk-full"; readonly node: string; readonly forMs: number }
  | { readonly kind: "gpu-lost"; readonly node: string; readonly index: number }
  | {
    readonly kind: "foreign";
    readonly node: string;
    readonly index: number;
    readonly forMs: number;
    /** It has the pid that the newest run there had. */
    readonly reusesPid?: boolean;
  }
  /** The next launch: its controller dies, and a foreign process takes the GPU meanwhile. */
  | { readonly kind: "snatch"; readonly controller: number; readonly forMs: number }
  | { readonly kind: "gpu-tool"; readonly node: string; readonly forMs: number }
  | { readonly kind: "kill-supervisor"; readonly node: string; readonly leftover: number }
  | { readonly kind: "kill-rank"; readonly node: string }
  | { readonly kind: "node-skew"; readonly node: string; readonly skewMs: number }
  | { readonly kind: "push"; readonly fault: PushFault; readonly branch: "status" | "lease" }
  /** `controller` undefined: for all of them. */
  | { readonly kind: "remote-away"; readonly controller?: number; readonly forMs: number }
  | { readonly kind: "mirror-lost"; readonly controller: number }
  | { readonly kind: "desired-rewound"; readonly back: number; readonly forMs: number }
  | { readonly kind: "desired-deleted"; readonly forMs: number }
  | { readonly kind: "desired-emptied"; readonly forMs: number }
  | { readonly kind: "status-deleted" }
  | { readonly kind: "status-rewound"; readonly back: number }
  | { readonly kind: "lease-deleted" }
  | { readonly kind: "lease-rewound"; readonly back: number }
  | { readonly kind: "broken"; readonly what: Breakable; readonly forMs: number }
  | { readonly kind: "edit"; readonly job: string; readonly change: Partial<JobDoc> }
  | { readonly kind: "delete"; readonly job: string; readonly forMs?: number }
  | { readonly kind: "move"; readonly job: string }
  | { readonly kind: "node-leaves"; readonly node: string; readonly forMs: number }
  | {
    readonly kind: "cordon";
    readonly node: string;
    readonly forMs: number;
    /** What runs there must leave. */
    readonly drain?: true;
    /** It ends by itself, and stands in the file until the calm. */
    readonly expires?: true;
    /** One GPU alone. */
    readonly index?: number;
  }
  | {
    readonly kind: "crash";
    readonly controller: number;
    /** Counted in effects of that controller's life from this time on. */
    readonly effect: number;
    readonly when: "before" | "after";
  }
  | { readonly kind: "kill"; readonly controller: number }
  | { readonly kind: "stop-controller"; readonly controller: number }
  | { readonly kind: "pause"; readonly controller: number; readonly forMs: number }
  | { readonly kind: "controller-skew"; readonly controller: number; readonly skewMs: number };

/** How UGRO behaves, as `cluster.yaml` says it. */
export interface ScenarioPolicy {
  readonly pollS: number;
  readonly nodeLostAfterS: number;
  readonly maxStopsPerPass: number;
  readonly maxLaunchesPerPass: number;
  readonly scheduling?: ScenarioScheduling;
  readonly queues?: readonly ScenarioQueue[];
  readonly users?: readonly ScenarioUser[];
  readonly groups?: readonly Limited[];
}

/** How the queue is served. */
export interface ScenarioScheduling {
  readonly policy?: "fifo" | "priority" | "fairshare" | "backfill" | "default";
  readonly preempt?: boolean;
  readonly reclaim?: boolean;
  readonly protectS?: number;
  readonly protectPriority?: number;
}

/** Somebody with a limit. */
export interface Limited {
  readonly name: string;
  readonly maxGpus?: number;
}

/** A user of the cluster. */
export interface ScenarioUser extends Limited {
  readonly groups?: readonly string[];
}

/** A queue of the cluster. */
export interface ScenarioQueue extends Limited {
  readonly priority?: number;
  readonly quota?: number;
  readonly borrow?: false;
  readonly preemptible?: false;
}

/** A whole run. */
export interface Scenario {
  /** Of the noise: latencies, jitter. */
  readonly seed: number;
  readonly nodes: readonly ScenarioNode[];
  readonly policy: ScenarioPolicy;
  readonly jobs: readonly ScenarioJob[];
  readonly controllers: readonly ScenarioController[];
  readonly faults: readonly Fault[];
  /** No fault after this; everything is mended then. */
  readonly calmAtMs: number;
}

/** A value that must never be seen outside a rank's environment. */
export const CANARY = "canary-3f9c1d";
