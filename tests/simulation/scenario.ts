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
  | { readonly kind: "cordon"; readonly node: string; readonly forMs: number }
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

/** The manifest, in YAML's JSON form. */
export function manifestText(name: string, doc: JobDoc): string {
  return JSON.stringify({
    name,
    command: ["train"],
    resources: { nodes: doc.nodes, gpusPerNode: doc.gpus },
    recovery: { maxRetries: doc.maxRetries, backoff: "5s", maxBackoff: "60s" },
    grace: `${doc.graceS}s`,
    training: { version: doc.version ?? 1 },
    secrets: { TOKEN: { env: "TOKEN" } },
    ...(doc.state ? { state: doc.state } : {}),
    ...(doc.priority ? { priority: doc.priority } : {}),
    ...(doc.rerun ? { rerun: doc.rerun } : {}),
    ...(doc.maxDurationS ? { maxDuration: `${doc.maxDurationS}s` } : {}),
    ...(doc.neededBy ? { checkpoint: { neededBy: doc.neededBy } } : {}),
    ...(doc.code === "repository" ? { code: { repository: "scripts" } } : {}),
    ...(doc.code === "git" ? { code: { git: "https://forge.example/a/b.git", rev: "v1" } } : {}),
  });
}

/** What decides what runs: two manifests that agree in it need no restart. */
export function decisive({ nodes, gpus, version, code, neededBy }: JobDoc): string {
  return JSON.stringify([nodes, gpus, version ?? 1, code ?? "", neededBy ?? ""]);
}
