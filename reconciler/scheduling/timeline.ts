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
  const { length, startedMs, leaving, unsure } = holding;
  if (leaving) return { atMs: now, basis: "guess" };
  const end = length ? startedMs + length.ms : 0;
  if (length && end > now) return { atMs: end, basis: unsure ? "guess" : length.basis };
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
  /** How many of its slots were among some; nearly always the same are asked about. */
  counted?: { readonly among: ReadonlyMap<string, Slot>; readonly slots: number };
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

/** The future of one node. */
interface Future {
  /** Whoever ends first stands first. */
  stays: Stay[];
  readonly kept: Kept[];
  /** True when some of the stays have but a part of a slot. */
  shared: boolean;
  /** How many slots each of the kept rooms leaves over in time, worked out while nothing changes. */
  known:
    | { readonly free: readonly Slot[]; readonly levels: readonly (readonly Change[])[] }
    | undefined;
}

/** The future of all nodes, during one pass. */
export class Timeline {
  readonly #nodes = new Map<string, Future>();
  /** When room that is kept will be taken; a reservation has one start on all of its nodes. */
  readonly #starts: number[] = [];

  constructor(holdings: readonly Holding[], private readonly now: number) {
    for (const holding of holdings) this.stay(holding, holding.placement, endOf(holding, now));
  }

  /** A job is on these nodes until then. */
  stay({ name, need }: Claimant, placement: readonly PlacedRank[], end: Expected): void {
    const { cpuCores = 0, ramGb = 0 } = need;
    for (const placed of placement) {
      const node = this.#at(placed.node);
      insert(node.stays, { job: name, end, placed, cpuCores, ramGb });
      node.shared ||= placed.share !== undefined;
      node.known = undefined;
    }
  }

  /** A job is asked to stop. */
  leave({ name, placement }: Holding): void {
    const end: Expected = { atMs: this.now, basis: "guess" };
    for (const placed of placement) {
      const node = this.#at(placed.node);
      const stays: Stay[] = [];
      for (const stay of node.stays) insert(stays, stay.job === name ? { ...stay, end } : stay);
      node.stays = stays;
      node.known = undefined;
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
    for (const [name, slots] of nodes) {
      const among = new Map((suited.get(name) ?? []).map((slot) => [slot.uuid, slot]));
      const node = this.#at(name);
      node.kept.push({ among, start, end, slots, cpuCores, ramGb });
      node.known = undefined;
    }
    this.#starts.push(start.atMs);
  }

  /** True when somebody's room is kept on the node. */
  isKept(node: NodeName): boolean {
    return (this.#nodes.get(node)?.kept.length ?? 0) > 0;
  }

  /**
   * The last start of a kept room before then; -Infinity: there is none. Whoever is gone at any
   * time after that start, and not later than `until`, finds the same room everywhere.
   */
  lastStartBefore(until: number): number {
    let last = -Infinity;
    for (const start of this.#starts) if (start < until) last = Math.max(last, start);
    return last;
  }

  /**
   * The most whole slots that a job may take here from now until then, in nobody's way. What is only
   * guessed to come free does not count: if it does not, a reservation would be pushed back.
   */
  whole(room: Room, until: number, { cpuCores = 0, ramGb = 0 }: Resources): number {
    const node = this.#nodes.get(room.node.name);
    if (!node || node.kept.length === 0) return Infinity;
    if (node.known?.free !== room.free) {
      const levels = node.kept.map(({ among }) => this.#levels(room, node, among, true));
      node.known = { free: room.free, levels };
    }
    let least = Infinity;
    for (const [index, { start }] of node.kept.entries()) {
      if (start.atMs >= until) continue;
      for (const level of node.known.levels[index] ?? []) {
        if (level.at.atMs >= until) continue;
        // CPU and RAM that are kept are needed as much as the slots.
        const isEnough = level.cpuCores >= cpuCores && level.ramGb >= ramGb;
        least = Math.min(least, isEnough ? level.slots : 0);
      }
    }
    return Math.max(0, least);
  }

  /**
   * When a node first has, and then keeps, what one rank of a job needs of these slots. `sure`: as
   * if jobs whose end is but a guess never ended.
   */
  earliest(
    room: Room,
    slots: readonly Slot[],
    need: Resources,
    sure: boolean,
  ): Expected | undefined {
    const node = this.#nodes.get(room.node.name) ?? NOBODY;
    const among = slots.length === room.slots.size
      ? room.slots
      : new Map(slots.map((slot) => [slot.uuid, slot]));
    if (node.kept.length === 0 && !node.shared) {
      const stays = sure ? node.stays.filter(({ end }) => end.basis !== "guess") : node.stays;
      return this.#firstEnough(room, stays, among, need);
    }
    let found: Expected | undefined;
    for (const level of this.#levels(room, node, among, sure).reverse()) {
      if (!isEnough(level, need)) break;
      found = level.at;
    }
    return found;
  }

  /** The same where what is free only grows: nothing is kept, and no slot has several jobs. */
  #firstEnough(
    room: Room,
    stays: readonly Stay[],
    among: ReadonlyMap<string, Slot>,
    need: Resources,
  ): Expected | undefined {
    let { at: { atMs, basis }, slots, cpuCores, ramGb } = this.#present(room, among);
    for (let next = 0; !isEnough({ slots, cpuCores, ramGb }, need);) {
      const first = stays[next];
      if (!first) return undefined;
      atMs = Math.max(first.end.atMs, this.now);
      // All that end at that moment.
      for (let stay: Stay | undefined = first; stay; stay = stays[++next]) {
        if (Math.max(stay.end.atMs, this.now) !== atMs) break;
        basis = weaker(basis, stay.end.basis);
        slots += countOf(stay, among);
        cpuCores += stay.cpuCores;
        ramGb += stay.ramGb;
      }
    }
    return { atMs, basis };
  }

  /** What is free now. */
  #present({ free, cpuLeft, ramLeftGb }: Room, among: ReadonlyMap<string, Slot>): Change {
    let slots = 0;
    for (const slot of free) if (slot.left >= 1 && among.has(slot.uuid)) slots++;
    return {
      at: { atMs: this.now, basis: "limit" },
      slots,
      cpuCores: cpuLeft ?? Infinity,
      ramGb: ramLeftGb ?? Infinity,
    };
  }

  /** What is free from each moment on at which that changes, in order; the first is now. */
  #levels(
    room: Room,
    node: Future,
    among: ReadonlyMap<string, Slot>,
    sure: boolean,
  ): Change[] {
    const all = [...releases(node, among), ...claims(node)];
    const changes = sure ? all.filter(({ at, slots }) => at.basis !== "guess" || slots < 0) : all;
    changes.sort((a, b) => a.at.atMs - b.at.atMs);
    let level = this.#present(room, among);
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

  #at(name: string): Future {
    let node = this.#nodes.get(name);
    if (!node) {
      node = { stays: [], kept: [], shared: false, known: undefined };
      this.#nodes.set(name, node);
    }
    return node;
  }
}

const NOBODY: Future = { stays: [], kept: [], shared: false, known: undefined };

/** Puts a stay behind those that end no later. */
function insert(stays: Stay[], stay: Stay): void {
  let at = stays.length;
  for (; at > 0; at--) {
    const before = stays[at - 1] as Stay;
    if (before.end.atMs <= stay.end.atMs) break;
    stays[at] = before;
  }
  stays[at] = stay;
}

function isEnough(
  { slots, cpuCores, ramGb }: Omit<Change, "at">,
  need: Resources,
): boolean {
  return slots >= need.gpusPerNode && cpuCores >= (need.cpuCores ?? 0) &&
    ramGb >= (need.ramGb ?? 0);
}

function countOf(stay: Stay, among: ReadonlyMap<string, Slot>): number {
  if (stay.counted?.among === among) return stay.counted.slots;
  let slots = 0;
  for (const uuid of stay.placed.gpus) if (among.has(uuid)) slots++;
  stay.counted = { among, slots };
  return slots;
}

/** A slot that several share is whole again when the last of them has left. */
function releases({ stays }: Future, among: ReadonlyMap<string, Slot>): Change[] {
  const shared = new Map<string, Expected>();
  const changes = stays.map((stay): Change => {
    const { end, placed, cpuCores, ramGb } = stay;
    if (placed.share === undefined) {
      return { at: end, slots: countOf(stay, among), cpuCores, ramGb };
    }
    for (const uuid of placed.gpus) {
      if (among.has(uuid) && !((shared.get(uuid)?.atMs ?? 0) >= end.atMs)) shared.set(uuid, end);
    }
    return { at: end, slots: 0, cpuCores, ramGb };
  });
  for (const at of shared.values()) changes.push({ at, slots: 1, cpuCores: 0, ramGb: 0 });
  return changes;
}

function claims({ kept }: Future): Change[] {
  return kept.flatMap(({ start, end, slots, cpuCores, ramGb }): Change[] => [
    { at: start, slots: -slots, cpuCores: -cpuCores, ramGb: -ramGb },
    { at: end, slots, cpuCores, ramGb },
  ]);
}
