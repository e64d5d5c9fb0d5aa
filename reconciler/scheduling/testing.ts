/**
 * Small requests, holdings and rooms for tests of the scheduler.
 *
 * @example
 * const rooms = [room("n1", { gpus: 8 }), room("n2", { gpus: 8, free: 2 })];
 * const wide = request("wide", { need: { nodes: 2, gpusPerNode: 8 } });
 * const small = holding("small", { n1: [0, 1] }, { lostMs: 60_000 });
 * occupy(rooms, [small]); // n1 has 6 left
 *
 * @module
 */
import type { Slot } from "../../cluster/capacity.ts";
import type { NodeName, NodeSpec } from "../../cluster/node.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import type { Holding, Length, Request, Room } from "./types.ts";

/** The present of all small worlds. */
export const NOW = Date.UTC(2026, 0, 1, 12);
export const HOUR = 3_600_000;

/** What a job needs: one GPU unless told otherwise. */
export function needs(changes: Partial<Resources> = {}): Resources {
  return { nodes: 1, gpusPerNode: 1, nodeSelector: {}, ...changes };
}

/** A job that ends when it has run so long at most. */
export function limited(ms: number): Length {
  return { ms, basis: "limit" };
}

type Changes<T> = Omit<Partial<T>, "need" | "name"> & { readonly need?: Partial<Resources> };

/** A job that waits; submitted an hour ago, one GPU, by nobody, of unknown length. */
export function request(name: string, { need, ...changes }: Changes<Request> = {}): Request {
  return {
    name,
    queue: "default",
    priority: 0,
    user: "",
    length: undefined,
    submittedMs: NOW - HOUR,
    preferred: new Map(),
    ...changes,
    need: needs(need),
  };
}

/** A rank on GPUs of a node by index: `seat("n1", [0, 1])`. */
export function seat(node: string, indices: readonly number[], share?: number): PlacedRank {
  const gpus = indices.map((index) => `${node}:${index}`);
  return share === undefined ? { node, gpus } : { node, gpus, share };
}

/** Ranks as they are recorded, or the indices of the GPUs on each node. */
export type Seats = readonly PlacedRank[] | Readonly<Record<string, readonly number[]>>;

/**
 * A job that has run for an hour; its need follows from where it is. Unless told otherwise its
 * checkpoints have not been looked at.
 */
export function holding(
  name: string,
  seats: Seats,
  { need, ...changes }: Changes<Holding> = {},
): Holding {
  const placement = Array.isArray(seats)
    ? seats as readonly PlacedRank[]
    : Object.entries(seats as Readonly<Record<string, readonly number[]>>)
      .map(([node, indices]) => seat(node, indices));
  const { gpus, share } = placement[0] ?? { gpus: [] };
  return {
    name,
    queue: "default",
    priority: 0,
    user: "",
    length: undefined,
    startedMs: NOW - HOUR,
    leaving: false,
    lostMs: undefined,
    ...changes,
    placement,
    need: needs({
      nodes: placement.length,
      gpusPerNode: gpus.length,
      ...(share === undefined ? {} : { gpuShare: share }),
      ...need,
    }),
  };
}

/** What a room may differ in. */
export interface RoomChanges {
  /** Slots that exist; default 1. */
  readonly gpus?: number;
  /** How many of them are free, counted from the last one; default: all. */
  readonly free?: number;
  readonly model?: string;
  readonly memoryMiB?: number | null;
  /** Slots that are not like the others: model, memory or what is left, by index. */
  readonly unlike?: Readonly<Record<number, Partial<Slot>>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: Partial<NodeSpec>;
  readonly closed?: string;
  readonly cordoned?: boolean;
  readonly busy?: readonly string[];
  readonly cpuLeft?: number;
  readonly ramLeftGb?: number;
}

/** A node with H100s of 80 GB; slots are called `NODE:0`, `NODE:1`, … */
export function room(name: string, changes: RoomChanges = {}): Room {
  const { gpus = 1, free = gpus, model = "H100", memoryMiB = 81_559 } = changes;
  const all = Array.from({ length: gpus }, (_, index): Slot => ({
    uuid: `${name}:${index}`,
    model,
    memoryMiB,
    left: 1,
    ...changes.unlike?.[index],
  }));
  const taken = all.slice(0, gpus - free);
  return {
    node: {
      name: name as NodeName,
      connect: { kind: "ssh", host: name },
      address: "10.0.0.1",
      labels: changes.labels ?? {},
      hardware: {},
      cpuSlots: 0,
      workdir: "~/.ugro",
      python: "python3",
      ...changes.node,
    },
    free: changes.closed === undefined ? all.slice(gpus - free) : [],
    slots: new Map(all.map((slot) => [slot.uuid, { ...slot, left: 1 }])),
    total: gpus,
    closed: changes.closed,
    cordoned: changes.cordoned ?? false,
    busy: changes.busy ?? taken.map((_, index) => `GPU ${index} holds a run`),
    cpuLeft: changes.cpuLeft,
    ramLeftGb: changes.ramLeftGb,
  };
}

/** Takes off the rooms what these jobs have. */
export function occupy(rooms: readonly Room[], holdings: readonly Holding[]): void {
  const byName = new Map(rooms.map((room) => [room.node.name as string, room]));
  for (const { placement, need } of holdings) {
    for (const { node, gpus, share = 1 } of placement) {
      const at = byName.get(node);
      if (!at) throw new Error(`no room is called ${node}`);
      at.free = at.free.flatMap((slot) => {
        if (!gpus.includes(slot.uuid)) return [slot];
        const left = Math.round((slot.left - share) * 1e9) / 1e9;
        return left > 0 ? [{ ...slot, left }] : [];
      });
      if (at.cpuLeft !== undefined) at.cpuLeft -= need.cpuCores ?? 0;
      if (at.ramLeftGb !== undefined) at.ramLeftGb -= need.ramGb ?? 0;
    }
  }
}
