/**
 * What the scheduler takes in and gives back. All of it is plain data; nothing here knows of
 * manifests, status files or machines, so that a trace can be replayed through the same code.
 *
 * @module
 */
import type { Group, Queue, Scheduling, User } from "../../cluster/cluster.ts";
import type { NodeName, NodeSpec } from "../../cluster/node.ts";
import type { Slot } from "../../cluster/capacity.ts";
import type { Resources } from "../../jobs/job.ts";
import type { Eviction, PlacedRank } from "../../jobs/status.ts";

/** How long a job holds its GPUs. */
export interface Length {
  readonly ms: number;
  /** `limit`: it is stopped then; `history`: as long as earlier runs of the same job took. */
  readonly basis: "limit" | "history";
}

/** Whose a job is and where it stands. */
export interface Claimant {
  readonly name: string;
  readonly queue: string;
  readonly priority: number;
  /** `owner:` of the manifest; "" where it names nobody. */
  readonly user: string;
  readonly need: Resources;
  /** undefined: nobody knows. */
  readonly length: Length | undefined;
}

/** A job that asks to be launched. */
export interface Request extends Claimant {
  readonly submittedMs: number;
  /** Nodes that it had better run on (they hold its checkpoint): more is better. */
  readonly preferred: ReadonlyMap<string, number>;
  /** Memory that each of its GPUs will probably need; smaller ones are taken if there is no other. */
  readonly likelyGb?: number;
}

/** A job that has GPUs: it runs, is being launched, or is being stopped. */
export interface Holding extends Claimant {
  readonly placement: readonly PlacedRank[];
  readonly startedMs: number;
  /** Its GPUs come free in a moment: it is being stopped. */
  readonly leaving: boolean;
  /** True: its end is but a guess, for it has not been seen to start, or a node of it is away. */
  readonly unsure?: boolean;
  /** True: nobody could stop it now for another; its manifest is broken, or a node of it is away. */
  readonly fixed?: boolean;
  /** True: it was stopped to grow, and has not grown: it is not tried again for this attempt. */
  readonly grewInVain?: boolean;
  /**
   * Time of work that would be lost if it were stopped now: since its newest checkpoint, or since
   * its start when it has none. undefined: its checkpoints have not been looked at.
   */
  readonly lostMs: number | undefined;
}

/** One node during scheduling; shrinks as jobs are placed. */
export interface Room {
  readonly node: NodeSpec;
  /** What is free now; `left` of a slot that others share is less than 1. */
  free: Slot[];
  /** All slots that may ever be used for new work, free or not, by uuid. */
  readonly slots: ReadonlyMap<string, Slot>;
  /** Slots that exist; undefined when nobody knows. */
  readonly total: number | undefined;
  /** Why nothing may start here now. */
  readonly closed: string | undefined;
  /** True when `closed`, or some of its GPUs, are cordoned by a person. */
  readonly cordoned: boolean;
  /** One sentence for each slot that is not free. */
  readonly busy: readonly string[];
  /** What no job has asked for; undefined: the node does not tell. */
  cpuLeft: number | undefined;
  ramLeftGb: number | undefined;
}

/** May a job be launched on these nodes? Asked before it is placed. */
export type Confirmation =
  /** `order`: the chosen nodes in rank order, by index. */
  | { readonly kind: "go"; readonly order?: readonly number[]; readonly note?: string }
  /** It keeps its room in this pass, and is launched once its checkpoints are known. */
  | { readonly kind: "ask" }
  | { readonly kind: "refused"; readonly reason: string; readonly message: string };

/** Arguments of `schedule`. */
export interface ScheduleInput {
  readonly requests: readonly Request[];
  readonly holdings: readonly Holding[];
  /** Used up. */
  readonly rooms: Room[];
  readonly queues: readonly Queue[];
  readonly users: readonly User[];
  readonly groups: readonly Group[];
  readonly scheduling: Scheduling;
  readonly usage: Usage;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Most jobs to place. */
  readonly limit: number;
  readonly confirm: (request: Request, nodes: readonly NodeName[]) => Confirmation;
  /** False: nobody reads why jobs wait, as when a trace is replayed. */
  readonly explain?: boolean;
}

/** What users have used so far, in GPU-hours. */
export interface Usage {
  /** With older use counting less, by `halfLife`. */
  readonly decayed: ReadonlyMap<string, number>;
  /** In the last seven days. */
  readonly week: ReadonlyMap<string, number>;
}

/** A job that gets its GPUs now. */
export interface Placed {
  readonly request: Request;
  readonly placement: readonly PlacedRank[];
  readonly because: string;
}

/** Why a job waits, as a word that programs match. */
export type WaitReason =
  /** Others before it in the queue get, or keep, the room. */
  | "Priority"
  /** Not enough is free. */
  | "Resources"
  /** No set of nodes could ever hold it. */
  | "Unschedulable"
  /** It, its user, group or queue has as much as is allowed. */
  | "Quota"
  /** It would fit if nodes were not cordoned. */
  | "Cordoned"
  /** Others are asked to save and stop for it. */
  | "Preempting"
  | "LaunchLimit"
  | (string & Record<never, never>);

/** When a job is expected to start. */
export interface Expected {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** The weakest of what it rests on. `guess`: somebody before it tells no `maxDuration`. */
  readonly basis: "limit" | "history" | "guess";
}

/** A job that must wait, and why. */
export interface Waits {
  readonly request: Request;
  readonly reason: WaitReason;
  /** Stable: it stands in a status file and must not change with every other job. */
  readonly message: string;
  /** With the numbers of this moment. */
  readonly detail: string;
  /** The same numbers for programs, such as `{ needed: 4, free: 2 }`. */
  readonly numbers: Readonly<Record<string, number>>;
  /** undefined: nobody can say. */
  readonly expected: Expected | undefined;
}

/** Room that is kept for a waiting job. */
export interface Reservation {
  readonly job: string;
  readonly start: Expected;
  /** Slots that it will take on each node. */
  readonly nodes: ReadonlyMap<NodeName, number>;
}

/** A job that must make room. */
export interface Evict {
  readonly job: string;
  readonly reason: Eviction["reason"];
  readonly by: string;
  readonly message: string;
}

/** What became of the requests. */
export interface Schedule {
  readonly placed: readonly Placed[];
  /** In the order in which they were tried. */
  readonly waiting: readonly Waits[];
  /** Jobs, running or waiting, whose checkpoints must be looked at before they are decided on. */
  readonly asked: readonly string[];
  readonly evictions: readonly Evict[];
  readonly reservations: readonly Reservation[];
}
