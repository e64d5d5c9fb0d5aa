/**
 * A job as its manifest declares it, parsed and with every default filled in.
 *
 * @module
 */
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
  readonly nodes: number;
  readonly gpusPerNode: number;
  readonly vramGb?: number;
  readonly gpuModel?: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly cpuCores?: number;
  readonly ramGb?: number;
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
  readonly reason: "SecretMissing";
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
  /** Set while it must not be launched; a job that runs goes on. */
  readonly blocked?: Blocked;
}
