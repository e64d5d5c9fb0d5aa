/**
 * What each node will have free in time: when jobs are expected to end, and which room is kept for
 * whom. Answers two questions: when a node first has enough for good, and how much of it somebody
 * may take for a while without being in anybody's way.
 *
 * @module
 */
import type { Slot } from "../../cluster/capacity.ts";
import type { NodeName } from "../../cluster/node.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import type { Claimant, Expected, Holding, Reservation, Room } from "./types.ts";

/** A job whose end nobody knows is expected to go on for as long as it has run, or this long. */
const LEAST_GUESS_MS = 3_600_000;

/** Between the end that is expected of a job and its GPUs: it saves, stops, and is noticed. */
const SLACK_MS = 60_000;

/** When a job that starts now has certainly left; Infinity when nobody knows. */
export function untilMs({ length }: Claimant, now: number): number {
  return length ? now + length.ms + SLACK_MS : Infinity;
}

/** When a job is expected to end. */
export function endOf(holding: Holding, now: number): Expected {
  const { length, startedMs, leaving } = holding;
  if (leaving) return { atMs: now, basis: "guess" };
  const end = length ? startedMs + length.ms : 0;
  if (length && end > now) return { atMs: end, basis: length.basis };
  // It is about to be stopped.
  if (length?.basis === "limit") return { atMs: now, basis: "guess" };
  return { atMs: now + Math.max(now - startedMs, LEAST_GUESS_MS), basis: "guess" };
}

const WEAKNESS = { limit: 0, history: 1, guess: 2 } as const;

/** The weaker of two grounds. */
export function weaker(a: Expected["basis"], b: Expected["basis"]): Expected["basis"] {
  return WEAKNESS[a] >= WEAKNESS[b] ? a : b;
}

/** A job on one node. */
interface Stay {
  readonly job: string;
  readonly end: Expected;
  readonly placed: PlacedRank;
  readonly cpuCores: number;
  readonly ramGb: number;
}

/** Room on one node that is kept for a waiting job. */
interface Kept {
  /** The slots of the node that suit the job. */
  readonly among: ReadonlyMap<string, Slot>;
  readonly start: Expected;
  readonly end: Expected;
  readonly slots: number;
  readonly cpuCores: number;
  readonly ramGb: number;
}

/** A change of what is free. */
interface Change {
  readonly at: Expected;
  readonly slots: number;
  readonly cpuCores: number;
  readonly ramGb: number;
}

/** The future of all nodes, during one pass. */
export class Timeline {
  readonly #stays = new Map<string, Stay[]>();
  readonly #kept = new Map<string, Kept[]>();

  constructor(holdings: readonly Holding[], private readonly now: number) {
    for (const holding of holdings) this.stay(holding, holding.placement, endOf(holding, now));
  }

  /** A job is on these nodes until then. */
  stay({ name, need }: Claimant, placement: readonly PlacedRank[], end: Expected): void {
    const { cpuCores = 0, ramGb = 0 } = need;
    for (const placed of placement) {
      push(this.#stays, placed.node, { job: name, end, placed, cpuCores, ramGb });
    }
  }

  /** A job is asked to stop. */
  leave({ name, placement }: Holding): void {
    const end: Expected = { atMs: this.now, basis: "guess" };
    for (const { node } of placement) {
      const stays = this.#stays.get(node) ?? [];
      this.#stays.set(node, stays.map((stay) => stay.job === name ? { ...stay, end } : stay));
    }
  }

  /** Keeps room for a waiting job from its start on; `suited` gives the slots on each node. */
  keep(
    { need, length }: Claimant,
    { start, nodes }: Reservation,
    suited: ReadonlyMap<NodeName, readonly Slot[]>,
  ): void {
    const end: Expected = length
      ? { atMs: start.atMs + length.ms, basis: weaker(start.basis, length.basis) }
      : { atMs: start.atMs + LEAST_GUESS_MS, basis: "guess" };
    const { cpuCores = 0, ramGb = 0 } = need;
    for (const [node, slots] of nodes) {
      const among = new Map((suited.get(node) ?? []).map((slot) => [slot.uuid, slot]));
      push(this.#kept, node, { among, start, end, slots, cpuCores, ramGb });
    }
  }

  /** True when somebody's room is kept on the node. */
  isKept(node: NodeName): boolean {
    return this.#kept.has(node);
  }

  /**
   * The most whole slots that may be taken here from now until then, in nobody's way. What is only
   * guessed to come free does not count: if it does not, a reservation would be pushed back.
   */
  whole(room: Room, until: number): number {
    let least = Infinity;
    for (const { among, start } of this.#kept.get(room.node.name) ?? []) {
      if (start.atMs >= until) continue;
      for (const level of this.#levels(room, among, true)) {
        if (level.at.atMs < until) least = Math.min(least, level.slots);
      }
    }
    return Math.max(0, least);
  }

  /** When a node first has, and then keeps, what one rank of a job needs of these slots. */
  earliest(room: Room, slots: readonly Slot[], need: Resources): Expected | undefined {
    const wanted = new Map(slots.map((slot) => [slot.uuid, slot]));
    const { gpusPerNode, cpuCores = 0, ramGb = 0 } = need;
    let found: Expected | undefined;
    for (const level of this.#levels(room, wanted, false).reverse()) {
      const enough = level.slots >= gpusPerNode && level.cpuCores >= cpuCores &&
        level.ramGb >= ramGb;
      if (!enough) break;
      found = level.at;
    }
    return found;
  }

  /** What is free from each moment on at which that changes, in order; the first is now. */
  #levels(room: Room, among: ReadonlyMap<string, Slot>, sure: boolean): Change[] {
    let free = 0;
    for (const slot of room.free) if (slot.left >= 1 && among.has(slot.uuid)) free++;
    const all = [...this.#releases(room, among), ...this.#claims(room)];
    const changes = sure ? all.filter(({ at, slots }) => at.basis !== "guess" || slots < 0) : all;
    changes.sort((a, b) => a.at.atMs - b.at.atMs);
    let level: Change = {
      at: { atMs: this.now, basis: "limit" },
      slots: free,
      cpuCores: room.cpuLeft ?? Infinity,
      ramGb: room.ramLeftGb ?? Infinity,
    };
    const levels = [level];
    for (const change of changes) {
      const atMs = Math.max(change.at.atMs, this.now);
      const same = level.at.atMs === atMs && levels.length > 1;
      level = {
        at: { atMs, basis: weaker(level.at.basis, change.at.basis) },
        slots: level.slots + change.slots,
        cpuCores: level.cpuCores + change.cpuCores,
        ramGb: level.ramGb + change.ramGb,
      };
      if (same) levels[levels.length - 1] = level;
      else levels.push(level);
    }
    return levels;
  }

  /** A slot that several share is whole again when the last of them has left. */
  #releases(room: Room, among: ReadonlyMap<string, Slot>): Change[] {
    const stays = this.#stays.get(room.node.name) ?? [];
    const shared = new Map<string, Expected>();
    const changes = stays.map(({ end, placed, cpuCores, ramGb }): Change => {
      let slots = 0;
      for (const uuid of placed.gpus) {
        if (!among.has(uuid)) continue;
        if (placed.share === undefined) slots++;
        else if (!((shared.get(uuid)?.atMs ?? 0) >= end.atMs)) shared.set(uuid, end);
      }
      return { at: end, slots, cpuCores, ramGb };
    });
    for (const at of shared.values()) changes.push({ at, slots: 1, cpuCores: 0, ramGb: 0 });
    return changes;
  }

  #claims(room: Room): Change[] {
    return (this.#kept.get(room.node.name) ?? []).flatMap((kept): Change[] => {
      const { start, end, slots, cpuCores, ramGb } = kept;
      return [
        { at: start, slots: -slots, cpuCores: -cpuCores, ramGb: -ramGb },
        { at: end, slots, cpuCores, ramGb },
      ];
    });
  }
}

function push<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
