/**
 * Choice: which of the nodes that can hold a job get it. The wishes, the first one first:
 * 1. nodes that the job prefers: they hold its checkpoint
 * 2. all nodes of a gang in one domain of the topology, the narrowest possible
 * 3. GPUs that are alike
 * 4. the least memory that does, so that large GPUs stay free for those that need them
 * 5. the least fragmentation: the fullest node that fits, the tightest domain
 *
 * What is left equal goes by the order of the cluster. All of it is linear in the options.
 *
 * @module
 */
import type { Resources } from "../../jobs/job.ts";
import { ANY_KIND, gangs, kindOf, type Option, partOf, toGb } from "./fit.ts";

/** The options that a job gets, in rank order. */
export interface Choice {
  readonly chosen: Option[];
  /** Why these, with the numbers of this moment. */
  readonly because: string;
}

/**
 * The best `nodes` of the options (in the order of the cluster); undefined when no gang of so many
 * is among them. `topology` are labels from wide to narrow.
 */
export function choose(
  options: readonly Option[],
  need: Resources,
  nodes: number,
  preferred: ReadonlyMap<string, number>,
  topology: readonly string[],
): Choice | undefined {
  let best: Candidate | undefined;
  for (const set of gangs(options, nodes === need.nodes ? need : { ...need, nodes })) {
    for (const candidate of candidatesOf(set, need, nodes, preferred, topology)) {
      if (!best || isBetter(candidate, best)) best = candidate;
    }
  }
  if (!best) return undefined;
  const picked = pick(best, need, nodes, preferred);
  const chosen = inRankOrder(picked, best, topology);
  return { chosen, because: because(options, best, chosen, need) };
}

/** Options among which a gang may be chosen, and how well they meet the wishes. */
interface Candidate {
  readonly options: readonly Option[];
  /** How much the best of them are preferred. */
  readonly favour: number;
  /** 0: the narrowest label; the number of labels: no domain at all. */
  readonly width: number;
  /** The label that all of them share. */
  readonly label?: string;
  readonly unlike: boolean;
  readonly memoryGb: number;
  /** What is free in all of them; asked only where nothing else tells two apart. */
  readonly spare: () => number;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.favour !== b.favour) return a.favour > b.favour;
  if (a.width !== b.width) return a.width < b.width;
  if (a.unlike !== b.unlike) return b.unlike;
  if (a.memoryGb !== b.memoryGb) return a.memoryGb < b.memoryGb;
  return a.spare() < b.spare();
}

/** A set as a whole, and each domain of it that holds the gang. */
function candidatesOf(
  set: readonly Option[],
  need: Resources,
  nodes: number,
  preferred: ReadonlyMap<string, number>,
  topology: readonly string[],
): Candidate[] {
  const judge = (options: readonly Option[], width: number, label?: string): Candidate => ({
    options,
    favour: favourOf(options, nodes, preferred),
    width,
    ...(label === undefined ? {} : { label }),
    unlike: options[0]?.kind === ANY_KIND,
    memoryGb: options[0]?.kind === ANY_KIND ? 0 : toGb(options[0]?.slowest.memoryMiB ?? 0),
    spare: once(() => nodes === 1 ? least(options, need) : spareOf(options)),
  });
  if (nodes === 1) return [judge(set, 0)];
  const found: Candidate[] = [];
  domainsOf(set, topology).forEach((domains, index) => {
    for (const { options } of domains) {
      if (options.length < nodes) continue;
      found.push(judge(options, topology.length - 1 - index, topology[index]));
    }
  });
  found.push(judge(set, topology.length));
  return found;
}

function once(count: () => number): () => number {
  let known: number | undefined;
  return () => known ??= count();
}

interface Domain {
  readonly options: Option[];
  readonly narrower: Map<string, Domain>;
}

/**
 * Options by domain, for each label. A domain lies in the wider ones: rack 1 of one zone is not
 * rack 1 of another. A node without the label is alone, so it is in none.
 */
function domainsOf(options: readonly Option[], topology: readonly string[]): Domain[][] {
  const levels = topology.map((): Domain[] => []);
  const all: Domain = { options: [], narrower: new Map() };
  for (const option of options) {
    const { labels } = option.room.node;
    let at = all;
    for (let i = 0; i < topology.length; i++) {
      const value = labels[topology[i] as string];
      let domain = at.narrower.get(value ?? "");
      if (!domain) {
        domain = { options: [], narrower: new Map() };
        at.narrower.set(value ?? "", domain);
        levels[i]?.push(domain);
      }
      if (value !== undefined) domain.options.push(option);
      at = domain;
    }
  }
  return levels;
}

/** The sum over the nodes that are preferred most. */
function favourOf(
  options: readonly Option[],
  nodes: number,
  preferred: ReadonlyMap<string, number>,
): number {
  if (preferred.size === 0) return 0;
  const favours: number[] = [];
  for (const { room } of options) {
    const favour = preferred.get(room.node.name);
    if (favour) favours.push(favour);
  }
  return favours.sort((a, b) => b - a).slice(0, nodes).reduce((sum, favour) => sum + favour, 0);
}

function spareOf(options: readonly Option[]): number {
  let spare = 0;
  for (const { room } of options) spare += room.free.length;
  return spare;
}

function least(options: readonly Option[], need: Resources): number {
  let least = Infinity;
  for (const option of options) least = Math.min(least, fragmentation(option, need));
  return least;
}

/** Slots of a node that are told apart when looking for the fullest; more count as so many. */
const MAX_LEFT = 255;

/**
 * How badly an option breaks up what is free, as a small whole number: below 100 when it goes on
 * a slot that others share, by what stays of that; else by how many slots stay of the node.
 */
function fragmentation({ room, slots, wholeLeft }: Option, need: Resources): number {
  const [first] = slots;
  if (first && first.left < 1) {
    return Math.min(99, Math.floor((first.left - partOf(first, need)) * 100));
  }
  // Of two nodes that would be full, the one that this job has for itself.
  const alone = room.slots.size === slots.length ? 0 : 1;
  return 100 + Math.min(wholeLeft, MAX_LEFT) * 2 + alone;
}

/** The preferred ones, then those that fragment least; unlike ones by strength, for the pace. */
function pick(
  { options, unlike }: Candidate,
  need: Resources,
  nodes: number,
  preferred: ReadonlyMap<string, number>,
): Option[] {
  const favoured: Option[] = [];
  const buckets: Option[][] = [];
  for (const option of options) {
    if (preferred.has(option.room.node.name)) favoured.push(option);
    else if (unlike) (buckets[0] ??= []).push(option);
    else (buckets[fragmentation(option, need)] ??= []).push(option);
  }
  const favour = ({ room }: Option) => preferred.get(room.node.name) ?? 0;
  favoured.sort((a, b) => favour(b) - favour(a) || fragmentation(a, need) - fragmentation(b, need));
  if (unlike) buckets[0]?.sort(byStrength);
  const picked = favoured.slice(0, nodes);
  for (const bucket of buckets) {
    // Buckets that nothing fell into are holes.
    for (const option of bucket ?? []) {
      if (picked.length === nodes) return picked;
      picked.push(option);
    }
  }
  return picked;
}

function byStrength(a: Option, b: Option): number {
  return (b.slowest.memoryMiB ?? 0) - (a.slowest.memoryMiB ?? 0);
}

/** Neighbours in the topology get neighbouring ranks; unlike nodes stand by strength. */
function inRankOrder(
  picked: Option[],
  { unlike }: Candidate,
  topology: readonly string[],
): Option[] {
  if (unlike) return picked.sort(byStrength);
  if (picked.length < 2 || topology.length === 0) return picked;
  const domains = new Map<string, Option[]>();
  for (const option of picked) {
    const { labels } = option.room.node;
    const path = JSON.stringify(topology.map((label) => labels[label] ?? null));
    const domain = domains.get(path);
    if (domain) domain.push(option);
    else domains.set(path, [option]);
  }
  return [...domains.values()].flat();
}

function because(
  options: readonly Option[],
  { favour, label, options: among }: Candidate,
  chosen: readonly Option[],
  need: Resources,
): string {
  const [first] = chosen;
  const { fitting, kinds } = count(options);
  const together = label ?? (chosen.length > 1 ? need.within : undefined);
  const reasons: string[] = [];
  if (favour > 0) reasons.push("where it ran or saved last");
  if (together) reasons.push(`same ${together} ${first?.room.node.labels[together]}`);
  if (first && first.kind !== ANY_KIND && kinds > 1) {
    reasons.push(`smallest memory that does (${first.kind})`);
  }
  if (first && first.slots.some((slot) => slot.left < 1)) reasons.push("the fullest shared GPU");
  else if (among.length > chosen.length) reasons.push("the fullest that fit");
  const what = need.gpuShare === undefined
    ? `${need.gpusPerNode} suitable free GPU(s)`
    : `${need.gpuShare} of a suitable GPU free`;
  const taken = reasons.length > 0
    ? reasons.join(", then ")
    : fitting > chosen.length
    ? "the first"
    : "all of them";
  const pace = paceOf(chosen);
  return `${fitting} node(s) had ${what}; taken: ${taken}${pace ? `; ${pace}` : ""}`;
}

/** How many nodes and kinds of GPU there were to choose from. */
function count(options: readonly Option[]): { fitting: number; kinds: number } {
  const kinds = new Set<string>();
  let fitting = 0;
  let previous: Option | undefined;
  for (const option of options) {
    // The options of one node stand together.
    if (option.room !== previous?.room) fitting++;
    if (option.kind !== previous?.kind && option.kind !== ANY_KIND) kinds.add(option.kind);
    previous = option;
  }
  return { fitting, kinds: kinds.size };
}

/** Which GPU the others of an unlike gang wait for. */
function paceOf(chosen: readonly Option[]): string | undefined {
  const kinds = new Set(chosen.flatMap((option) => option.slots.map(kindOf)));
  if (kinds.size < 2) return undefined;
  const weakest = [...chosen].sort(byStrength).at(-1);
  if (!weakest) return undefined;
  const { model, memoryMiB } = weakest.slowest;
  const memory = memoryMiB === null ? "" : ` (${toGb(memoryMiB)} GB)`;
  return `${model}${memory} on ${weakest.room.node.name} is the weakest and sets the pace`;
}
