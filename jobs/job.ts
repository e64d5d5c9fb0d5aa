/**
 * A job as its manifest declares it, parsed and with every default filled in.
 *
 * @module
 */
import type { IdlePolicy } from "../cluster/cluster.ts";
import type { Brand } from "../cluster/node.ts";

/** The name of a job: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, at most 63 characters. */
export type JobName = Brand<string, "JobName">;

/** What a person wants of a job. */
export type DesiredState = "running" | "suspended" | "cancelled";

/** What runs on every rank. */
export type Program =
  | { readonly kind: "script"; readonly path: string }
  | { readonly kind: "module"; readonly module: string }
  | { readonly kind: "command"; readonly argv: readonly string[] };

/** Where the program's code comes from. */
export type Code =
  /** It is on the nodes already. */
  | { readonly kind: "node" }
  /** A folder of the state repository at the manifest's commit; `path` "" is the whole tree. */
  | { readonly kind: "repository"; readonly path: string }
  /** Another repository at a revision. */
  | { readonly kind: "git"; readonly url: string; readonly rev: string };

/**
 * Where the controller finds the value of a secret: in a variable `UGRO_SECRET_…` of its own, in
 * a file of its secrets folder, or in an encrypted file of the state repository (docs/secrets.md).
 */
export type SecretSource =
  /** The controller's variable `UGRO_SECRET_` + `name`. */
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly name: string }
  /** A file that `age` wrote; all of it is the value. */
  | { readonly kind: "age"; readonly path: string }
  /** A YAML or JSON file that SOPS wrote for age; `key` leads to the value. */
  | { readonly kind: "sops"; readonly path: string; readonly key: readonly string[] };

/** What a job needs. */
export interface Resources {
  /** Machines; the least of them when `maxNodes` is set. */
  readonly nodes: number;
  /** Set for `nodes: 1..4`: it takes more machines while nobody else can use them. */
  readonly maxNodes?: number;
  readonly gpusPerNode: number;
  readonly vramGb?: number;
  readonly gpuModel?: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** For this job alone, on each machine. */
  readonly cpuCores?: number;
  readonly ramGb?: number;
  /** Part of one GPU, between 0 and 1: others that share may run on the rest. One GPU a node. */
  readonly gpuShare?: number;
  /** True: its GPUs may be of different models or sizes; the weakest sets the pace. */
  readonly mixedGpus?: true;
  /** A label of which all its machines must have the same value, such as `rack`. */
  readonly within?: string;
}

/** Another job that must have ended first. */
export interface Dependency {
  readonly job: string;
  readonly when: "success" | "failure" | "any";
}

/** Runs of a job at fixed times. */
export interface CronSchedule {
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  readonly cron: string;
  /** IANA name. */
  readonly timezone: string;
  /**
   * What happens when the run before is still there: `forbid` waits until it has ended, `replace`
   * stops it, `allow` runs both.
   */
  readonly concurrency: "allow" | "forbid" | "replace";
  /** Finished runs that stay listed. */
  readonly keep: number;
  /** A run that could not be begun within this time after its hour is left out. */
  readonly startWithinMs: number;
}

/** Where checkpoints are and how the script is told to go on from one. */
export interface CheckpointRule {
  /** Folder on the nodes; `{job}` is replaced. Default: `WORKDIR/checkpoints/JOB`. */
  readonly dir?: string;
  /** Name of one checkpoint with `*` for the step, such as `step-*` or `checkpoint-*.pt`. */
  readonly pattern: string;
  /**
   * File that a checkpoint folder holds once it is complete, such as `.metadata`. Without it a
   * folder counts as complete when it is not empty and holds no truncated archive.
   */
  readonly marker?: string;
  /** Arguments added when there is a checkpoint to resume from; `{path}` and `{step}` are replaced. */
  readonly resumeArgs: readonly string[];
  /** Which nodes must have the checkpoint: every node of the gang, or rank 0 alone. */
  readonly neededBy: "all" | "rank0";
}

/** How often and how fast a failed job is tried again. */
export interface Recovery {
  readonly maxRetries: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/** One job, parsed. */
export interface JobSpec {
  readonly name: JobName;
  readonly owner?: string;
  readonly queue: string;
  readonly priority: number;
  readonly state: DesiredState;
  /** Raise it to run a finished job once more. */
  readonly rerun: number;
  readonly resources: Resources;
  readonly program: Program;
  readonly code: Code;
  /** Arguments after the flags, placeholders already replaced. */
  readonly args: readonly string[];
  /** `training:` of the manifest turned into arguments by its `flags:` template. */
  readonly flags: readonly string[];
  readonly workdir?: string;
  readonly env: Readonly<Record<string, string>>;
  /** Where the values of further variables are, by name; never the values. */
  readonly secrets?: Readonly<Record<string, SecretSource>>;
  readonly activate?: string;
  readonly launcher: "torchrun" | "processes";
  /** Defaults and manifest merged; what `UGRO_CONFIG` shows the script. */
  readonly config: Readonly<Record<string, unknown>>;
  /**
   * What the manifest itself says of arguments and parameters, without the defaults. A change of
   * the defaults restarts no running job; a change of the manifest does.
   */
  readonly written: Readonly<Record<string, unknown>>;
  readonly checkpoint: CheckpointRule;
  readonly recovery: Recovery;
  readonly graceMs: number;
  readonly maxDurationMs?: number;
  /** The manifest's own name, when it declares many jobs (`matrix`, `array`, `schedule`). */
  readonly parent?: string;
  /** Most jobs of the same `parent` at once. */
  readonly maxParallel?: number;
  /** Not launched before all of them have ended as they should. */
  readonly after?: readonly Dependency[];
  /** Milliseconds since the epoch. */
  readonly startAfterMs?: number;
  /** It must have ended by then, or is stopped and has failed. Milliseconds since the epoch. */
  readonly deadlineMs?: number;
  readonly idle?: IdlePolicy;
  /** Set on the template of runs at fixed times, which itself never runs. */
  readonly schedule?: CronSchedule;
  /** Estimate of the memory that each GPU needs in GB, from the parameters declared. */
  readonly estimatedGb?: number;
}

/** A secret that a job needs, and where its value is at one commit. */
export interface NeededSecret {
  /** The variable that the ranks get. */
  readonly name: string;
  readonly source: SecretSource;
  /** Blob of the file that an `age` or `sops` source names; undefined: it is no regular file. */
  readonly blob?: string;
}

/** Why a job is not launched although its manifest is fine. */
export interface Blocked {
  readonly reason: "SecretMissing" | "DependencyCycle";
  readonly message: string;
}

/** A valid manifest and where it came from. */
export interface DesiredJob {
  readonly spec: JobSpec;
  readonly file: string;
  /** Digest of everything that decides what runs; comments and layout do not change it. */
  readonly specDigest: string;
  /** Digest of shipped code (a git tree id), or null when the code is on the nodes. */
  readonly codeDigest: string | null;
  readonly secrets?: readonly NeededSecret[];
  /** A newer run of the same schedule takes its place: it is cancelled, though no manifest says so. */
  readonly replaced?: true;
  /** Set while it must not be launched; a job that runs goes on. */
  readonly blocked?: Blocked;
}
