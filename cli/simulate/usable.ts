/**
 * Which free GPUs some waiting job could use at once, if it were allowed to. The others are
 * fragments: too few on their node, or of the wrong kind.
 *
 * @module
 */
import type { Resources } from "../../jobs/job.ts";
import { gangs, kindsOn } from "../../reconciler/scheduling/fit.ts";
import type { Room } from "../../reconciler/scheduling/types.ts";

/** Rooms within which a gang may lie, by index. */
type Set = readonly number[];

/** Needs of waiting jobs, counted, on rooms that were all free in the beginning. */
export class Demand {
  readonly #waiting = new Map<Resources, number>();
  readonly #sets = new Map<Resources, readonly Set[]>();
  readonly #indices: ReadonlyMap<Room, number>;
  readonly #usable: Uint8Array;

  constructor(private readonly rooms: readonly Room[]) {
    this.#indices = new Map(rooms.map((room, i) => [room, i]));
    this.#usable = new Uint8Array(rooms.length);
  }

  /** One more job waits with this need, or one less; equal needs are the same object. */
  count(need: Resources, change: 1 | -1): void {
    const count = (this.#waiting.get(need) ?? 0) + change;
    if (count > 0) this.#waiting.set(need, count);
    else this.#waiting.delete(need);
  }

  /** True when no free GPU is of use to anybody who waits: then nobody can start either. */
  get isStuck(): boolean {
    for (const need of this.#waiting.keys()) {
      for (const set of this.#setsOf(need)) if (this.#has(set, need)) return false;
    }
    return true;
  }

  /** Free GPUs that are of no use to anybody who waits. */
  unusable(): number {
    this.#usable.fill(0);
    for (const need of this.#waiting.keys()) {
      for (const set of this.#setsOf(need)) {
        if (!this.#has(set, need)) continue;
        for (const i of set) if (this.#free(i) >= need.gpusPerNode) this.#usable[i] = 1;
      }
    }
    let unusable = 0;
    for (let i = 0; i < this.rooms.length; i++) {
      if (this.#usable[i] === 0) unusable += this.#free(i);
    }
    return unusable;
  }

  #has(set: Set, { nodes, gpusPerNode }: Resources): boolean {
    let found = 0;
    for (const i of set) if (this.#free(i) >= gpusPerNode && ++found >= nodes) return true;
    return false;
  }

  #free(index: number): number {
    return this.rooms[index]?.free.length ?? 0;
  }

  #setsOf(need: Resources): readonly Set[] {
    const known = this.#sets.get(need);
    if (known) return known;
    const kinds = this.rooms.flatMap((room) =>
      kindsOn(room, need).map(({ kind }) => ({ room, kind }))
    );
    const sets = gangs(kinds, need).map((set) =>
      set.map(({ room }) => this.#indices.get(room) ?? -1)
    );
    this.#sets.set(need, sets);
    return sets;
  }
}
