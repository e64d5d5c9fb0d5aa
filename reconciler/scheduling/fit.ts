/**
 * Fit: which rooms can hold a job, with which of their slots, and which rooms may form a gang.
 * Asked about a thousand rooms for each of thousands of requests, so that a room which does not
 * fit costs no allocation.
 *
 * @example
 * const options = rooms.flatMap((room) => optionsOn(room, need, Infinity));
 * const picked = choose(options, need, need.nodes, preferred, topology);
 * const placement = picked?.chosen.map((option) => take(option, need));
 *
 * @module
 */
import type { Slot } from "../../cluster/capacity.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import type { Room } from "./types.ts";

/** Slots of one node that are alike. */
export interface Kind {
  /** Such as `H100 80 GB`; `any` where a job takes unlike GPUs. */
  readonly kind: string;
  readonly slots: readonly Slot[];
}

/** One way in which a room can hold one rank of a job now. */
export interface Option extends Kind {
  readonly room: Room;
  /** Those that it would take. */
  readonly slots: readonly Slot[];
  /** The one of them with the least memory. */
  readonly slowest: Slot;
  /** Slots of the node that nobody would use then. */
  readonly wholeLeft: number;
}

/** The kind of a rank whose GPUs may be unlike. */
export const ANY_KIND = "any";

const NONE: readonly never[] = [];

/** Why a node never suits a job, whatever is free or cordoned; undefined when it does. */
export function unsuitable(room: Room, need: Resources): string | undefined {
  const { node, slots, total } = room;
  const label = missingLabel(room, need);
  if (label !== undefined) return `has no label ${label}: ${need.nodeSelector[label]}`;
  if (need.within !== undefined && node.labels[need.within] === undefined) {
    return `has no label ${need.within}`;
  }
  const { cpuCores, ramGb, gpuModel, vramGb } = node.hardware;
  if (total !== undefined && total < need.gpusPerNode) return `has ${total} GPUs`;
  if (need.cpuCores && cpuCores !== undefined && cpuCores < need.cpuCores) {
    return `has ${cpuCores} CPU cores`;
  }
  if (need.ramGb && ramGb !== undefined && ramGb < need.ramGb) return `has ${ramGb} GB of RAM`;
  if (slots.size > 0) return unsuitableSlots(room, need);
  if (need.gpuModel && gpuModel && !matchesModel(gpuModel, need.gpuModel)) {
    return `has ${gpuModel}`;
  }
  if (need.vramGb && vramGb !== undefined && vramGb < need.vramGb) {
    return `has ${vramGb} GB of GPU memory`;
  }
  return undefined;
}

/** The same of the slots that were seen. What is cordoned is not among them and may yet suit. */
function unsuitableSlots({ slots, total, cordoned }: Room, need: Resources): string | undefined {
  const hidden = cordoned ? Math.max(0, (total ?? 0) - slots.size) : 0;
  const wanted = need.gpusPerNode - hidden;
  const kinds = kindsOf(slots);
  let ofModel = 0;
  let suited = 0;
  let mostMiB = 0;
  for (const kind of kinds) {
    const [first] = kind.slots;
    if (!first || need.gpuModel && !matchesModel(first.model, need.gpuModel)) continue;
    const count = suitedOf(kind, need).length;
    if (count >= wanted) return undefined;
    ofModel += kind.slots.length;
    suited += count;
    mostMiB = Math.max(mostMiB, first.memoryMiB ?? 0);
  }
  if (wanted <= 0 || need.mixedGpus && suited >= wanted) return undefined;
  if (suited >= wanted) return "has GPUs of different kinds (`mixedGpus: true` takes them)";
  if (suited > 0) return `has ${suited} such GPU(s)`;
  if (ofModel === 0) return `has ${kinds[0]?.slots[0]?.model}`;
  return mostMiB > 0 ? `has ${toGb(mostMiB)} GB of GPU memory` : "does not tell its GPU memory";
}

/**
 * All slots that suit, free or not, by kind; only kinds of which the node has enough. With
 * `mixedGpus` all of them are one kind.
 */
export function kindsOn(room: Room, need: Resources): readonly Kind[] {
  if (room.closed !== undefined || room.slots.size < need.gpusPerNode) return NONE;
  if (missingLabel(room, need) !== undefined || !hasHardware(room, need)) return NONE;
  const found: Kind[] = [];
  for (const kind of kindsOf(room.slots)) {
    const slots = suitedOf(kind, need);
    if (slots.length === 0 || slots.length < need.gpusPerNode && !need.mixedGpus) continue;
    found.push(slots === kind.slots ? kind : { kind: kind.kind, slots });
  }
  if (!need.mixedGpus) return found;
  const slots = found.flatMap((kind) => kind.slots);
  return slots.length < need.gpusPerNode ? NONE : [{ kind: ANY_KIND, slots }];
}

/**
 * The ways in which a room can hold one rank now, one for each kind of GPU that suits. `whole` is
 * the most slots that nobody uses yet which may be taken here: the others are kept for somebody.
 * With `mixedGpus` there is one more, of kind `any`, with the strongest.
 */
export function optionsOn(room: Room, need: Resources, whole: number): readonly Option[] {
  const { free } = room;
  const count = need.gpusPerNode;
  if (room.closed !== undefined || free.length < count || free.length === 0) return NONE;
  if (need.cpuCores && room.cpuLeft !== undefined && need.cpuCores > room.cpuLeft) return NONE;
  if (need.ramGb && room.ramLeftGb !== undefined && need.ramGb > room.ramLeftGb) return NONE;
  if (missingLabel(room, need) !== undefined) return NONE;
  if (need.gpuShare !== undefined) return sharedOptions(room, need, whole);
  if (count > whole) return NONE;
  return wholeOptions(room, need);
}

/** Options on slots that nobody uses. */
function wholeOptions(room: Room, need: Resources): readonly Option[] {
  const count = need.gpusPerNode;
  let whole = 0;
  let suited = 0;
  let unlike = false;
  let fits = false;
  let previous: Slot | undefined;
  for (const slot of room.free) {
    if (slot.left !== 1) continue;
    whole++;
    if (!previous || !isLike(slot, previous)) {
      fits = suits(slot, need);
      unlike ||= previous !== undefined;
    }
    previous = slot;
    if (fits) suited++;
  }
  if (suited < count || !previous) return NONE;
  const left = whole - count;
  if (!unlike && !need.mixedGpus) {
    const slots = suited === room.free.length ? room.free : room.free.filter(isWhole);
    return [option(room, kindOf(previous), slots.slice(0, count), left)];
  }
  const slots = room.free.filter((slot) => isWhole(slot) && suits(slot, need));
  const options: Option[] = [];
  for (const { kind, slots: alike } of byKind(slots)) {
    if (alike.length >= count) options.push(option(room, kind, alike.slice(0, count), left));
  }
  if (need.mixedGpus) {
    slots.sort((a, b) => (b.memoryMiB ?? 0) - (a.memoryMiB ?? 0));
    options.push(option(room, ANY_KIND, slots.slice(0, count), left));
  }
  return options;
}

function isWhole(slot: Slot): boolean {
  return slot.left === 1;
}

/**
 * For each kind the fullest slot that others share already; else one that nobody uses. Where room
 * is kept, both need a slot to spare: a slot that is shared for longer is missed as much.
 */
function sharedOptions(room: Room, need: Resources, whole: number): readonly Option[] {
  if (whole < 1) return NONE;
  const best = new Map<string, Slot>();
  let unused = 0;
  let previous: Slot | undefined;
  let kind = "";
  for (const slot of room.free) {
    if (isWhole(slot)) unused++;
    if (!suits(slot, need) || partOf(slot, need) > slot.left) continue;
    if (!previous || !isLike(slot, previous)) kind = kindOf(slot);
    else if (slot.left >= previous.left) continue;
    previous = slot;
    if (slot.left < (best.get(kind)?.left ?? Infinity)) best.set(kind, slot);
    if (!need.mixedGpus) continue;
    if (slot.left < (best.get(ANY_KIND)?.left ?? Infinity)) best.set(ANY_KIND, slot);
  }
  if (best.size === 0) return NONE;
  return [...best].map(([kind, slot]) =>
    option(room, kind, [slot], isWhole(slot) ? unused - 1 : unused)
  );
}

function option(room: Room, kind: string, slots: readonly Slot[], wholeLeft: number): Option {
  let slowest = slots[0] as Slot;
  for (const slot of slots) {
    if ((slot.memoryMiB ?? 0) < (slowest.memoryMiB ?? 0)) slowest = slot;
  }
  return { room, kind, slots, slowest, wholeLeft };
}

/**
 * The sets within one of which a gang must lie: nodes with GPUs of one kind and, where the job
 * says `within`, with one value of that label. Only sets with enough different nodes.
 */
export function gangs<T extends Pick<Option, "room" | "kind">>(
  options: readonly T[],
  need: Resources,
): T[][] {
  const sets = new Map<string, Map<string, T[]>>();
  let last: { readonly kind: string; readonly place: string; readonly set: T[] } | undefined;
  for (const each of options) {
    const { kind } = each;
    const place = need.within === undefined ? "" : each.room.node.labels[need.within];
    if (place === undefined) continue;
    // Most nodes are like the one before.
    if (!last || last.kind !== kind || last.place !== place) {
      let places = sets.get(kind);
      if (!places) sets.set(kind, places = new Map());
      let set = places.get(place);
      if (!set) places.set(place, set = []);
      last = { kind, place, set };
    }
    last.set.push(each);
  }
  return [...sets.values()].flatMap((places) =>
    [...places.values()].filter((set) => differentNodes(set, need.nodes))
  );
}

/** True when the options of a set are on so many nodes. */
function differentNodes(set: readonly Pick<Option, "room">[], nodes: number): boolean {
  if (set.length < nodes) return false;
  const seen = new Set<Room>();
  for (const { room } of set) if (seen.add(room).size >= nodes) return true;
  return false;
}

/** Books an option: what it takes is gone from its room. */
export function take({ room, slots }: Option, need: Resources): PlacedRank {
  const gpus = slots.map((slot) => slot.uuid);
  let share: number | undefined;
  let found = 0;
  // A new array: whoever copied the room by reference keeps what it had.
  const free: Slot[] = [];
  for (const slot of room.free) {
    if (!gpus.includes(slot.uuid)) {
      free.push(slot);
      continue;
    }
    found++;
    if (need.gpuShare === undefined) continue;
    share = partOf(slot, need);
    const left = Math.round((slot.left - share) * 1e9) / 1e9;
    if (left > 0) free.push({ ...slot, left });
  }
  if (found < gpus.length) {
    throw new Error(`Cannot take ${gpus.join(", ")} of ${room.node.name}: not all of it is free`);
  }
  room.free = free;
  if (room.cpuLeft !== undefined) room.cpuLeft -= need.cpuCores ?? 0;
  if (room.ramLeftGb !== undefined) room.ramLeftGb -= need.ramGb ?? 0;
  return { node: room.node.name, gpus, ...(share === undefined ? {} : { share }) };
}

/**
 * The part of a slot that a job books: its share, or as much as its memory is of the slot's, so
 * that all who share a GPU fit in its memory together.
 */
export function partOf(slot: Slot, need: Resources): number {
  const share = need.gpuShare ?? 1;
  if (!need.vramGb || !slot.memoryMiB) return share;
  // Rounded down, or three jobs with a third of the memory each would not fit.
  return Math.max(share, Math.min(1, Math.floor(need.vramGb * 1024e6 / slot.memoryMiB) / 1e6));
}

/** The first label that a job asks for and the node has not. */
function missingLabel(room: Room, need: Resources): string | undefined {
  for (const key in need.nodeSelector) {
    if (room.node.labels[key] !== need.nodeSelector[key]) return key;
  }
  return undefined;
}

function hasHardware({ node: { hardware } }: Room, need: Resources): boolean {
  return (need.cpuCores ?? 0) <= (hardware.cpuCores ?? Infinity) &&
    (need.ramGb ?? 0) <= (hardware.ramGb ?? Infinity);
}

function suits(slot: Slot, need: Resources): boolean {
  // A card of "12 GB" reports a little less than 12 × 1024 MiB.
  if (need.vramGb && (slot.memoryMiB ?? 0) < need.vramGb * 1024 * 0.93) return false;
  return !need.gpuModel || matchesModel(slot.model, need.gpuModel);
}

/** Equal for certain; those that are not may still be of one kind. */
function isLike(a: Slot, b: Slot): boolean {
  return a.model === b.model && a.memoryMiB === b.memoryMiB;
}

const kindsOfRooms = new WeakMap<ReadonlyMap<string, Slot>, readonly Kind[]>();

/** All slots of a room by kind: found once for each room, as they never change. */
function kindsOf(slots: ReadonlyMap<string, Slot>): readonly Kind[] {
  const known = kindsOfRooms.get(slots);
  if (known) return known;
  const kinds = byKind([...slots.values()]);
  kindsOfRooms.set(slots, kinds);
  return kinds;
}

/** Those of a kind that suit: nearly always all of them or none. */
function suitedOf({ slots }: Kind, need: Resources): readonly Slot[] {
  if (!need.vramGb && !need.gpuModel) return slots;
  let suited = 0;
  let fits = false;
  let previous: Slot | undefined;
  for (const slot of slots) {
    if (!previous || !isLike(slot, previous)) fits = suits(slot, need);
    if (fits) suited++;
    previous = slot;
  }
  if (suited === slots.length) return slots;
  return suited === 0 ? NONE : slots.filter((slot) => suits(slot, need));
}

function byKind(slots: readonly Slot[]): Kind[] {
  const kinds = new Map<string, Slot[]>();
  for (const slot of slots) {
    const kind = kindOf(slot);
    const group = kinds.get(kind);
    if (group) group.push(slot);
    else kinds.set(kind, [slot]);
  }
  return [...kinds].map(([kind, slots]) => ({ kind, slots }));
}

/** The names of kinds by model and memory: few, and asked for all the time. */
const kindNames = new Map<string, Map<number | null, string>>();
const MAX_TEXTS = 1000;

/** `H100 80 GB`; the model alone where its memory is not known. */
export function kindOf({ model, memoryMiB }: Slot): string {
  let sizes = kindNames.get(model);
  if (!sizes || sizes.size >= MAX_TEXTS) {
    if (kindNames.size >= MAX_TEXTS) kindNames.clear();
    kindNames.set(model, sizes = new Map());
  }
  let name = sizes.get(memoryMiB);
  if (name === undefined) {
    name = memoryMiB === null ? model : `${model} ${toGb(memoryMiB)} GB`;
    sizes.set(memoryMiB, name);
  }
  return name;
}

/** In whole GB, as people call the sizes of GPUs. */
export function toGb(memoryMiB: number): number {
  return Math.round(memoryMiB / 1024);
}

function matchesModel(model: string, wanted: string): boolean {
  return plain(model).includes(plain(wanted));
}

const plainTexts = new Map<string, string>();

/** Letters and digits alone; remembered, as the same few names are asked about all the time. */
function plain(text: string): string {
  const known = plainTexts.get(text);
  if (known !== undefined) return known;
  if (plainTexts.size >= MAX_TEXTS) plainTexts.clear();
  const made = text.toLowerCase().replace(/[^a-z0-9]/g, "");
  plainTexts.set(text, made);
  return made;
}
