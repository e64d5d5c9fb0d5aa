/**
 * Elastic jobs (`nodes: 1..4`) get more nodes where nobody else can use them: at once when they are
 * placed, later by being stopped right after a checkpoint and placed again with more.
 *
 * @module
 */
import type { NodeName } from "../../cluster/node.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import { kindsOn, type Option } from "./fit.ts";
import type { Holding, Room, ScheduleInput } from "./types.ts";

/** Most jobs that one pass makes larger, or looks at for that. */
const MAX_STEPS = 4;

/** Most jobs for which one pass searches the rooms. */
const MAX_SEARCHED = 64;

/** More lost work than this is not worth it: the job is asked again after its next checkpoint. */
const MAX_LOST_MS = 60_000;

/** What `growing` looks at, after the queue has been served. */
export interface GrowState {
  readonly rooms: readonly Room[];
  readonly holdings: readonly Holding[];
  /** What is free for a job without being in anybody's way. */
  readonly optionsOf: (holding: Holding) => readonly Option[];
  /** How many of so many further nodes its limits allow. */
  readonly allowed: (holding: Holding, nodes: number) => number;
  /** Whether it could go on from its checkpoint there. */
  readonly confirmed: (holding: Holding, nodes: readonly NodeName[]) => boolean;
  readonly input: Pick<ScheduleInput, "scheduling" | "now">;
}

/** A step towards a larger job. */
export interface Growth {
  /** `ask`: its checkpoints must be looked at first; `resize`: it saves, stops and is placed again. */
  readonly kind: "ask" | "resize";
  readonly job: string;
  readonly message: string;
}

/**
 * Running jobs that had better be placed again because at least one more node is free for them;
 * only such as have just saved. Two jobs never count on the same node. Who has not saved lately is
 * asked about as long as it could grow.
 */
export function growing(state: GrowState): Growth[] {
  const rooms = byNode(state.rooms);
  if (!state.rooms.some(({ free }) => free.length > 0)) return [];
  const steps: Growth[] = [];
  const taken = new Set<string>();
  const elastic = state.holdings.filter((holding) => mayGrow(holding, state.input))
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .slice(0, MAX_SEARCHED);
  let begun = 0;
  for (const holding of elastic) {
    if (begun === MAX_STEPS) break;
    const { name, placement, need, lostMs } = holding;
    const options = state.optionsOf(holding).filter(({ room }) => !taken.has(room.node.name));
    const more = extra(placement, options, need, rooms);
    const nodes = more.length > 0 ? state.allowed(holding, more.length) : 0;
    if (nodes < 1) continue;
    const added = more.slice(0, nodes).map(({ room }) => room.node.name);
    const had = placement.map(({ node }) => node as NodeName);
    if (lostMs !== undefined && !state.confirmed(holding, [...had, ...added])) continue;
    const waits = lostMs !== undefined && lostMs > MAX_LOST_MS;
    if (!waits) {
      begun++;
      for (const node of added) taken.add(node);
    }
    steps.push({
      kind: lostMs === undefined || waits ? "ask" : "resize",
      job: name,
      message: `has just saved, and goes on with ${placement.length + nodes} nodes instead of ` +
        `${placement.length}: nobody else can use them`,
    });
  }
  return steps;
}

function mayGrow(holding: Holding, { scheduling, now }: GrowState["input"]): boolean {
  const { need, placement, leaving, fixed, unsure, grewInVain, startedMs } = holding;
  return (need.maxNodes ?? 0) > placement.length && !leaving && !fixed && !unsure && !grewInVain &&
    now - startedMs >= scheduling.preemption.protectMs;
}

/**
 * Nodes that a job with `maxNodes` can use beyond those that it has, at most up to that: with GPUs
 * of the same kind and, where it says `within`, in the same place.
 */
export function extraNodes(
  placement: readonly PlacedRank[],
  options: readonly Option[],
  need: Resources,
  rooms: readonly Room[],
): Option[] {
  return extra(placement, options, need, byNode(rooms));
}

function extra(
  placement: readonly PlacedRank[],
  options: readonly Option[],
  need: Resources,
  rooms: ReadonlyMap<string, Room>,
): Option[] {
  const kind = commonKind(placement, need, rooms);
  const most = (need.maxNodes ?? need.nodes) - placement.length;
  const place = placeOf(rooms.get(placement[0]?.node ?? ""), need);
  if (kind === undefined || place === undefined || most <= 0) return [];
  const nodes = new Set<string>(placement.map(({ node }) => node));
  const found: Option[] = [];
  for (const option of options) {
    const { name } = option.room.node;
    if (option.kind !== kind || nodes.has(name) || placeOf(option.room, need) !== place) continue;
    nodes.add(name);
    found.push(option);
    if (found.length === most) break;
  }
  return found;
}

/** The kind of the GPUs that a job has; undefined when some of its nodes could not be used again. */
function commonKind(
  placement: readonly PlacedRank[],
  need: Resources,
  rooms: ReadonlyMap<string, Room>,
): string | undefined {
  let common: string | undefined;
  for (const { node, gpus } of placement) {
    const room = rooms.get(node);
    const kind = room &&
      kindsOn(room, need).find(({ slots }) =>
        gpus.every((uuid) => slots.some((slot) => slot.uuid === uuid))
      )?.kind;
    if (kind === undefined || (common !== undefined && kind !== common)) return undefined;
    common = kind;
  }
  return common;
}

/** Where a gang must lie: "" is anywhere, undefined nowhere, as the node lacks the label. */
function placeOf(room: Room | undefined, { within }: Resources): string | undefined {
  return within === undefined ? "" : room?.node.labels[within];
}

function byNode(rooms: readonly Room[]): ReadonlyMap<string, Room> {
  return new Map(rooms.map((room) => [room.node.name, room]));
}
