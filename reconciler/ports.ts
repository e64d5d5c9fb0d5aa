/**
 * The outside world as the reconciler sees it: a state repository, a fleet of nodes, a clock.
 * `providers/` implements these; `providers/sim` does so in memory under a virtual clock.
 *
 * @module
 */
import type { Gpu } from "../cluster/gpu.ts";
import type { Activation, NodeName, NodeSpec } from "../cluster/node.ts";
import type { Checkpoint, RunId, RunMeta, RunRecord } from "../jobs/run.ts";
import type { Code, NeededSecret, Program } from "../jobs/job.ts";

/**
 * What became of an operation.
 * - `ok`: it happened
 * - `retryable`: it certainly did not happen; trying again may help
 * - `terminal`: it certainly did not happen; trying the same again cannot help
 * - `unknown`: nobody knows (time-out, lost reply): observe before acting again
 */
export type Outcome<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "retryable"; readonly reason: string }
  | { readonly kind: "terminal"; readonly reason: string }
  | { readonly kind: "unknown"; readonly reason: string };

/** Milliseconds since the Unix epoch, and a cancellable sleep. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`, or early when `signal` is aborted; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// ── the state repository ────────────────────────────────────────────────────────────────────

/** Where the branches stand; undefined: the branch does not exist on the remote. */
export interface Heads {
  readonly desired: string | undefined;
  readonly status: string | undefined;
  /** Who may write; undefined: no lease is there, or none that can be read. */
  readonly lease: LeaseAt | undefined;
}

/** One regular file (or symlink, or submodule: see `mode`) of a tree. */
export interface TreeEntry {
  /** `100644`, `100755`, `120000` (symlink) or `160000` (submodule). */
  readonly mode: string;
  readonly oid: string;
  /** Bytes; 0 for submodules. */
  readonly size: number;
  readonly path: string;
}

/** A status commit to make. `files` are the whole new contents of the branch. */
export interface StatusCommit {
  /** Head that the files were computed from; undefined creates the branch. */
  readonly base: string | undefined;
  readonly files: ReadonlyMap<string, string>;
  /** Paths of `base` that stay as they are although `files` does not name them. */
  readonly keep?: readonly string[];
  /** Further files, which are no reason for a commit but are written along with one. */
  readonly along?: ReadonlyMap<string, string>;
  readonly message: string;
}

/** An archive of code that can be shipped to nodes. */
export interface CodeArchive {
  /** Names the content; the same content has the same digest (a git tree id). */
  readonly digest: string;
  /** An uncompressed tar. */
  readonly tar: Uint8Array;
}

/** A controller's right to write. */
export interface Claim {
  /** Grows with every claim; nodes refuse a lower one than they have seen. */
  readonly epoch: number;
  /**
   * Names the state repository for ever, from its first claim on. A node's work directory belongs
   * to one repository, so that two of them never take each other's runs for orphans.
   */
  readonly repository: string;
}

/** What the branch `ugro/lease` says: who may write, and who waits to (docs/adr/0007-lease.md). */
export interface Lease extends Claim {
  /** Whose it is, for people: `HOST:PID`. */
  readonly owner: string;
  /** Names this claim; no other claim ever has the same. */
  readonly claim: string;
  /** RFC 3339. */
  readonly claimedAt: string;
  /** Grows with every renewal. Renewals happen only while somebody stands by. */
  readonly beat: number;
  /** True: its holder knows that somebody stands by, and acts only on a freshly renewed lease. */
  readonly watched: boolean;
  /** Given up by its holder: it may be taken at once. */
  readonly released: boolean;
  /** Who stands by; `seen` grows while it does. */
  readonly standby?: { readonly name: string; readonly owner: string; readonly seen: number };
}

/** A lease and the version of the branch that says it. */
export interface LeaseAt {
  readonly lease: Lease;
  /** Changes with every write. */
  readonly version: string;
}

/** The git repository that holds the desired state and the status branch. */
export interface StateRepository {
  /** Fetches both branches. Anything but `ok` means: desired state unknown. */
  refresh(): Promise<Outcome<Heads>>;
  /** Lists all files of a commit, recursively, sorted by path. */
  listTree(commit: string): Promise<readonly TreeEntry[]>;
  /** Reads blobs by id. Larger ones than `maxBytes` are left out of the answer. */
  readBlobs(oids: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Uint8Array>>;
  /**
   * Commits `files` on top of `base` and pushes by compare-and-swap. `ok` gives the new head;
   * `retryable` means that the remote moved (refresh, rebuild, try again).
   */
  commitStatus(commit: StatusCommit): Promise<Outcome<string>>;
  /** Fetches the lease alone. `terminal`: its branch holds something else. */
  readLease(): Promise<Outcome<LeaseAt | undefined>>;
  /**
   * Writes the lease by compare-and-swap: `base` is the version that it replaces, undefined when
   * there must be none. `ok` gives the new version; `retryable`: certainly not written (the branch
   * has moved, or the remote did not take it); `unknown`: read it to know.
   */
  writeLease(base: string | undefined, lease: Lease): Promise<Outcome<string>>;
  /** Tree id of a folder at a commit ("" is the root), or undefined when there is none. */
  treeId(commit: string, path: string): Promise<string | undefined>;
  /** Resolves `code: {git, rev}` to the tree id of that revision, fetching if needed. */
  resolveCode(code: Extract<Code, { kind: "git" }>): Promise<Outcome<string>>;
  /** Packs a tree by the id that `treeId` or `resolveCode` gave. */
  archive(treeId: string): Promise<CodeArchive>;
}

// ── secrets ─────────────────────────────────────────────────────────────────────────────────

/** A value, or why it cannot be had now: on one line, and never with a value in it. */
export type SecretRead = { readonly value: string } | { readonly why: string };

/** The values of secrets (docs/secrets.md). */
export interface SecretStore {
  /** Reads one, or decrypts it; never throws. */
  read(secret: NeededSecret): Promise<SecretRead>;
}

// ── the fleet ───────────────────────────────────────────────────────────────────────────────

/** What a launch tells a node. Paths that begin with `~/` are the node user's. */
export interface LaunchSpec {
  readonly nodes: number;
  readonly gpusPerNode: number;
  /** GPU uuids, or `cpu:K` slots on a node that has none. */
  readonly gpus: readonly string[];
  readonly master: {
    readonly address: string; /** 0: choose a free port (rank 0 only). */
    readonly port: number;
  };
  readonly localAddress: string;
  readonly rendezvousId: string;
  readonly interface?: string;
  readonly launcher: "torchrun" | "processes";
  readonly program: Program;
  readonly args: readonly string[];
  /** Digest of code shipped before by `putCode`; null: the code is on the node. */
  readonly code: string | null;
  /** Working directory: absolute, `~/…`, or relative to the code. */
  readonly workdir: string | null;
  readonly project: string | null;
  readonly env: Readonly<Record<string, string>>;
  /** Variables whose values come beside the spec; without them nothing is started. */
  readonly secretNames?: readonly string[];
  readonly python: string;
  readonly activation: Activation | null;
  /** Absolute, `~/…`, or relative to the node's work directory. */
  readonly checkpointDir: string;
  /** The checkpoint to go on from, in the same three forms; its step; how the script is told. */
  readonly resumeFrom: string | null;
  readonly resumeStep: number | null;
  /** Arguments in which the runner replaces `{path}` (made absolute) and `{step}`. */
  readonly resumeArgs: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly graceMs: number;
  readonly meta: RunMeta;
}

/** Runs to look for checkpoints of, with every observation. */
export interface CheckpointQuery {
  readonly job: string;
  readonly dir: string;
  readonly pattern: string;
  readonly marker?: string;
}

/** A reachable node, as just observed. */
export interface ReachableNode {
  readonly state: "reachable";
  readonly node: NodeName;
  readonly bootId: string;
  /** undefined: `nvidia-smi` failed, so nothing is known about the GPUs (never "none"). */
  readonly gpus: readonly Gpu[] | undefined;
  readonly gpuProblem?: string;
  readonly cpuCores: number;
  readonly memoryTotalMiB: number;
  readonly memoryAvailableMiB: number;
  readonly diskFreeMiB: number;
  readonly runs: readonly RunRecord[];
  /** Newest first; of the jobs asked for only. */
  readonly checkpoints: ReadonlyMap<string, readonly Checkpoint[]>;
}

/** What keeps a node away until a person acts. The same cause has the same texts at every try. */
export interface NodeProblem {
  readonly type: "HostKeyChanged" | "HostKeyUnknown" | "HostKeyRevoked" | "AuthenticationFailed";
  /** What is wrong, on one line. */
  readonly message: string;
  /** What to do, on one line, with the command where there is one. */
  readonly fix: string;
}

/** A node about which nothing is known now. */
export interface UnknownNode {
  readonly state: "unknown";
  readonly node: NodeName;
  /** Since when, on the controller's clock. */
  readonly sinceMs: number;
  /** What failed and what to do, on one line. */
  readonly reason: string;
  /** Set when only a person can mend it. */
  readonly problem?: NodeProblem;
}

export type NodeObservation = ReachableNode | UnknownNode;

/** A node's answer to a launch. */
export interface LaunchReply {
  readonly run: RunRecord;
  /** False when this attempt was launched here before: the earlier run is returned. */
  readonly created: boolean;
}

/** All machines, each behind one long-lived session. */
export interface Fleet {
  /** Takes the nodes of the cluster; opens sessions to new ones, closes those that left. */
  configure(nodes: readonly NodeSpec[], claim: Claim): void;
  /** Observes all nodes at once; never throws, never waits longer than its deadline. */
  observe(queries: readonly CheckpointQuery[]): Promise<ReadonlyMap<NodeName, NodeObservation>>;
  /**
   * Starts one node's part of an attempt. Idempotent by (job, attempt, rank). The values of
   * `secrets` reach the environment of the ranks and nothing else: no record, no log.
   */
  launch(
    node: NodeName,
    run: RunId,
    spec: LaunchSpec,
    secrets?: Readonly<Record<string, string>>,
  ): Promise<Outcome<LaunchReply>>;
  /** Asks a run to stop: SIGTERM, `graceMs`, SIGKILL to the tree. Returns once it is recorded. */
  stop(node: NodeName, run: RunId, graceMs: number, reason: string): Promise<Outcome<void>>;
  /** Removes the records of ended attempts of a job up to `throughAttempt`. */
  clean(node: NodeName, job: string, throughAttempt: number): Promise<Outcome<void>>;
  /** Ships code unless the node has it. */
  putCode(node: NodeName, archive: CodeArchive): Promise<Outcome<void>>;
  /** True when the node is known to have this code already (no round trip). */
  hasCode(node: NodeName, digest: string): boolean;
  /** The last `bytes` of a log of a run; `local` is the local rank. */
  tail(
    node: NodeName,
    run: RunId,
    local: number,
    stream: "stdout" | "stderr" | "agent",
    bytes: number,
  ): Promise<Outcome<string>>;
  /** Calls back when a node reports a change or a session comes or goes. */
  onChange(callback: (node: NodeName, what: string) => void): void;
  /** Ends all sessions; leaves all runs alone. */
  close(): Promise<void>;
}
