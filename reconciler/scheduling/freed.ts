/**
 * Rooms as they would be if some jobs were stopped. Whether a request fits then is asked of the
 * same code that will place it (`fit.ts`), so that nobody is stopped for a place that is none.
 *
 * @module
 */
import type { NodeName } from "../../cluster/node.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import { type Option, optionsOn } from "./fit.ts";
import type { Holding, Room } from "./types.ts";

/** The room with what one rank of a job has there given back; the room itself stays as it is. */
export function withoutRank(room: Room, { gpus, share = 1 }: PlacedRank, need: Resources): Room {
  return changed(room, gpus, share, need, 1);
}

function changed(
  room: Room,
  gpus: readonly string[],
  share: number,
  { cpuCores = 0, ramGb = 0 }: Resources,
  sign: 1 | -1,
): Room {
  const free = room.free.filter(({ uuid }) => !gpus.includes(uuid));
  for (const uuid of gpus) {
    // What is not among the slots is cordoned, or no longer there.
    const slot = room.slots.get(uuid);
    if (!slot) continue;
    const before = room.free.find((one) => one.uuid === uuid)?.left ?? 0;
    const left = Math.min(1, Math.round((before + sign * share) * 1e9) / 1e9);
    if (left > 0) free.push({ ...slot, left });
  }
  return {
    ...room,
    free,
    cpuLeft: room.cpuLeft === undefined ? undefined : room.cpuLeft + sign * cpuCores,
    ramLeftGb: room.ramLeftGb === undefined ? undefined : room.ramLeftGb + sign * ramGb,
  };
}

/** What a request would find, while jobs are taken out of the rooms and put back. */
export class Freed {
  readonly #rooms: Map<string, Room>;
  readonly #options = new Map<string, readonly Option[]>();
  /** How many nodes each set of a gang has; its sets are those of `gangs`. */
  readonly #nodesOf = new Map<string, number>();

  constructor(rooms: readonly Room[], private readonly need: Resources) {
    this.#rooms = new Map(rooms.map((room) => [room.node.name as string, room]));
    for (const room of rooms) this.#count(room);
  }

  /** A room as it would be now. */
  room(node: string): Room | undefined {
    return this.#rooms.get(node);
  }

  /** True when one rank of the request fits there on slots of this kind. */
  holds(node: string, kind: string): boolean {
    return this.#options.get(node)?.some((option) => option.kind === kind) ?? false;
  }

  /** The job is stopped. */
  stop(holding: Holding): void {
    this.#change(holding, 1);
  }

  /** It is not stopped after all. */
  keep(holding: Holding): void {
    this.#change(holding, -1);
  }

  /** True when the request fits. */
  fits(): boolean {
    for (const nodes of this.#nodesOf.values()) if (nodes >= this.need.nodes) return true;
    return false;
  }

  /** Nodes on which it fits, of `wanted` as many as possible; in the order of the cluster. */
  nodes(wanted: (node: NodeName) => boolean): NodeName[] {
    const names = [...this.#rooms.keys()] as NodeName[];
    const setsOn = (node: NodeName) => (this.#options.get(node) ?? []).map((o) => this.#setOf(o));
    const full = names.flatMap(setsOn).find((set) =>
      set !== undefined && (this.#nodesOf.get(set) ?? 0) >= this.need.nodes
    );
    const found = names.filter((node) => full !== undefined && setsOn(node).includes(full));
    const best = [...found.filter(wanted), ...found.filter((node) => !wanted(node))];
    const chosen = new Set(best.slice(0, this.need.nodes));
    return found.filter((node) => chosen.has(node));
  }

  #change({ placement, need }: Holding, sign: 1 | -1): void {
    for (const { node, gpus, share } of placement) {
      const room = this.#rooms.get(node);
      if (!room) continue;
      const next = changed(room, gpus, share ?? 1, need, sign);
      this.#rooms.set(node, next);
      this.#count(next);
    }
  }

  #count(room: Room): void {
    const { name } = room.node;
    const before = this.#options.get(name);
    const options = optionsOn(room, this.need, Infinity);
    // Most rooms have none, before and after.
    if (options.length === 0 && before === undefined) return;
    for (const option of before ?? []) this.#add(option, -1);
    this.#options.set(name, options);
    for (const option of options) this.#add(option, 1);
  }

  #add(option: Option, sign: 1 | -1): void {
    const set = this.#setOf(option);
    if (set !== undefined) this.#nodesOf.set(set, (this.#nodesOf.get(set) ?? 0) + sign);
  }

  /** The set of a gang that a node belongs to: one kind of GPU and, with `within`, one place. */
  #setOf({ kind, room }: Option): string | undefined {
    const { within } = this.need;
    if (within === undefined) return kind;
    const place = room.node.labels[within];
    return place === undefined ? undefined : JSON.stringify([kind, place]);
  }
}
