/**
 * Machines as the owner of the cluster declares them.
 *
 * @example
 * const node: NodeSpec = cluster.nodes[0];
 * node.connect; // { kind: "ssh", host: "192.168.1.11", port: 22, user: "ada" }
 *
 * @module
 */

declare const brand: unique symbol;
/** A string that has been checked to be what its name says. */
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** The name of a node: `[a-z0-9]([a-z0-9.-]*[a-z0-9])?`, at most 63 characters. */
export type NodeName = Brand<string, "NodeName">;

/** How the controller reaches a node. */
export type Connect =
  | {
    readonly kind: "ssh";
    readonly host: string;
    readonly port?: number;
    readonly user?: string;
  }
  | { readonly kind: "local" };

/** What a node is declared to have; observation overrides it where it can see. */
export interface Hardware {
  readonly gpuModel?: string;
  readonly gpus?: number;
  readonly vramGb?: number;
  readonly cpuCores?: number;
  readonly ramGb?: number;
}

/** How a Python environment is entered. Only the cluster's owner writes these; jobs name one. */
export type Activation =
  | { readonly kind: "venv"; readonly path: string }
  | { readonly kind: "conda"; readonly env: string; readonly root?: string }
  | { readonly kind: "pixi"; readonly project: string; readonly env?: string }
  | { readonly kind: "shell"; readonly line: string };

/** Why and for how long no new work starts on a node. */
export interface Cordon {
  readonly reason: string;
  /** Milliseconds since the epoch; undefined: until it is taken out of cluster.yaml. */
  readonly untilMs?: number;
  /** True: what runs there is asked to save, stopped and placed elsewhere. */
  readonly drain?: boolean;
  /** Uuids or indices of the GPUs meant; undefined: the whole node. */
  readonly gpus?: readonly string[];
}

/** One machine of the cluster. */
export interface NodeSpec {
  readonly name: NodeName;
  readonly connect: Connect;
  /** The address that the other nodes use to reach this one (rendezvous, NCCL, Gloo). */
  readonly address: string;
  /** Network interface for NCCL and Gloo; found from `address` by the runner when absent. */
  readonly interface?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly hardware: Hardware;
  /** Ranks that a node without GPUs may run at once (0: the node is used for its GPUs only). */
  readonly cpuSlots: number;
  /** Where UGRO keeps runs, code and checkpoints on the node: absolute, or `~/…`. */
  readonly workdir: string;
  /** Folder in which relative `script:` paths of jobs without shipped code are looked up. */
  readonly project?: string;
  /** The Python (3.10+) that runs the runner, and training where nothing is activated. */
  readonly python: string;
  /** Name of the environment that is activated unless the job names another. */
  readonly activate?: string;
  /** Present when no new work may start here, or on some of its GPUs. */
  readonly cordoned?: Cordon;
}
