/**
 * Making room: which jobs must save and stop so that a request fits. Those go that lose least GPU
 * time since their last checkpoint, and nobody goes who need not. The search is greedy, node by
 * node, so that it is cheap on a thousand of them: the set is minimal, not always the cheapest.
 *
 * @example
 * const made = makeRoom(request, { rooms, holdings, ledger, input });
 * if (made.kind === "evict") for (const { holding } of made.victims) stop(holding);
 *
 * @module
 */
import type { NodeName } from "../../cluster/node.ts";
import { gangs, kindsOn } from "./fit.ts";
import { Freed } from "./freed.ts";
import { heldGpus, type Ledger } from "./ledger.ts";
import {
  byPriority,
  comesBackFirst,
  type Grounds,
  mayEvict,
  type PolicyInput,
  surplusOf,
} from "./preempt_policy.ts";
import { type Candidate, cheapest, type Site, type Victim } from "./victims.ts";
import type { Holding, Request, Room, ScheduleInput } from "./types.ts";

/** Most other jobs whose checkpoints are looked at for one request. */
const MAX_ASKED = 32;

/** What `makeRoom` looks at. */
export interface RoomState {
  /** Where the request may be placed, with what is free now. */
  readonly rooms: readonly Room[];
  readonly holdings: readonly Holding[];
  /** Counts all holdings, those that are being stopped included. */
  readonly ledger: Ledger;
  /** `rooms`: all of them, those included that are not for this request. */
  readonly input: PolicyInput & Pick<ScheduleInput, "rooms">;
}

/** How a request gets its room. */
export type RoomMade =
  /** Not by stopping anybody. `why` is a stable sentence. */
  | { readonly kind: "none"; readonly why?: string }
  /** It fits once the jobs that are being stopped have left: nobody else need go. */
  | {
    readonly kind: "coming";
    readonly from: readonly string[];
    readonly nodes: readonly NodeName[];
  }
  /** The checkpoints of these jobs must be looked at first. */
  | { readonly kind: "ask"; readonly jobs: readonly string[] }
  | {
    readonly kind: "evict";
    readonly victims: readonly { readonly holding: Holding; readonly reason: Grounds }[];
    readonly nodes: readonly NodeName[];
  };

/**
 * Decides who makes room for a request that does not fit into what is free. Linear in the rooms
 * and, but for a sort, in the holdings.
 */
export function makeRoom(request: Request, state: RoomState): RoomMade {
  const { holdings, ledger, input } = state;
  const leaving = holdings.filter((holding) => holding.leaving);
  const gone = new Map<string, number>();
  for (const { queue, placement } of leaving) {
    gone.set(queue, (gone.get(queue) ?? 0) + heldGpus({ placement }));
  }
  const allowed = holdings.flatMap((whole) => {
    if (mayEvict(whole, request, ledger, input, gone)) return [{ whole, holding: whole }];
    const holding = surplusOf(whole, input);
    return holding ? [{ whole, holding }] : [];
  });
  if (leaving.length === 0 && allowed.length === 0) return nobody(request, state);

  const { need } = request;
  const touched = nodesOf([...leaving, ...allowed.map(({ holding }) => holding)]);
  const sites = state.rooms.flatMap((room): Site[] =>
    room.free.length > 0 || touched.has(room.node.name)
      ? kindsOn(room, need).map(({ kind, slots }) => ({ kind, slots, room }))
      : []
  );
  const sets = gangs(sites, need);
  if (sets.length === 0) return { kind: "none" };
  const freed = new Freed([...new Set(sets.flat().map(({ room }) => room))], need);
  if (freed.fits()) return { kind: "none" };
  for (const holding of leaving) freed.stop(holding);
  if (freed.fits()) return coming(freed, leaving);

  const candidates = candidatesOf(allowed, freed, input);
  const search = { candidates, freed, gone, request, ledger, input };
  const found = cheapest(sets, search);
  if (!found) return nobody(request, state);
  if (found.some((victim) => isSpared(victim, found, gone, request, state))) {
    return nobody(request, state);
  }
  const unknown = found.filter(({ candidate }) => candidate.whole.lostMs === undefined);
  if (unknown.length > 0) return ask(unknown, candidates);
  for (const { candidate } of found) freed.stop(candidate.holding);
  const victims = found.map(({ candidate, reason }) => ({ holding: candidate.whole, reason }));
  const theirs = nodesOf(found.map(({ candidate }) => candidate.holding));
  return { kind: "evict", victims, nodes: freed.nodes((node) => theirs.has(node)) };
}

/**
 * What may be stopped alone may have to be spared beside the others: once they are gone too, it
 * comes back within its queue's quota before the request.
 */
function isSpared(
  { candidate, reason }: Victim,
  found: readonly Victim[],
  gone: ReadonlyMap<string, number>,
  request: Request,
  { ledger }: RoomState,
): boolean {
  const others = new Map(gone);
  for (const { candidate: { holding } } of found) {
    if (holding === candidate.holding) continue;
    others.set(holding.queue, (others.get(holding.queue) ?? 0) + heldGpus(holding));
  }
  return reason === "Preempted" && comesBackFirst(candidate.whole, request, ledger, others);
}

function coming(freed: Freed, leaving: readonly Holding[]): RoomMade {
  const theirs = nodesOf(leaving);
  const nodes = freed.nodes((node) => !theirs.has(node));
  const from = leaving
    .filter(({ placement }) => placement.some(({ node }) => nodes.includes(node as NodeName)))
    .map(({ name }) => name);
  return { kind: "coming", from: from.sort(), nodes };
}

function nodesOf(holdings: readonly Holding[]): Set<string> {
  return new Set(holdings.flatMap(({ placement }) => placement.map(({ node }) => node)));
}

/**
 * The jobs that may be stopped and hold something which the request could use, the cheapest first.
 * A job with a node that cannot be asked is none: nobody could tell that it has stopped.
 */
function candidatesOf(
  allowed: readonly Pick<Candidate, "whole" | "holding">[],
  freed: Freed,
  input: RoomState["input"],
): Candidate[] {
  const asked = new Set<string>();
  for (const { node, closed, cordoned } of input.rooms) {
    if (closed === undefined || cordoned) asked.add(node.name);
  }
  return allowed
    .filter(({ whole }) => whole.placement.every(({ node }) => asked.has(node)))
    .filter(({ holding }) => holding.placement.some(({ node }) => freed.room(node)))
    .map(({ whole, holding }) => ({ whole, holding, cost: costOf(whole, input.now) }))
    .sort((a, b) => a.cost - b.cost || byWorth(a.whole, b.whole, input))
    .map(({ whole, holding, cost }, rank) => ({ whole, holding, cost, rank }));
}

/** GPU time that is lost with a job: at most all of it, where nobody has looked yet. */
function costOf(holding: Holding, now: number): number {
  return (holding.lostMs ?? now - holding.startedMs) * heldGpus(holding);
}

/** Of equally dear ones: the lower priority, then who started last. */
function byWorth(a: Holding, b: Holding, input: PolicyInput): number {
  return byPriority(a, b, input) || b.startedMs - a.startedMs || (a.name < b.name ? -1 : 1);
}

/**
 * Asks about those found, and about others that may have saved later than they seem to have and
 * could replace them. Their cost can only prove lower, so that the next call finds them known.
 */
function ask(found: readonly Victim[], candidates: readonly Candidate[]): RoomMade {
  // All of those found, known or not: what nobody asks about is not known in the next pass.
  const jobs = found.map(({ candidate }) => candidate.holding.name);
  const others = candidates.filter(({ holding: { name, lostMs } }) =>
    lostMs === undefined && !jobs.includes(name)
  );
  for (const { holding } of others.slice(0, MAX_ASKED)) jobs.push(holding.name);
  return { kind: "ask", jobs: jobs.sort() };
}

/** Nobody can make the room; says so where it is only that they started a moment ago. */
function nobody(request: Request, { holdings, ledger, input }: RoomState): RoomMade {
  const { scheduling } = input;
  const preemption = { ...scheduling.preemption, protectMs: 0 };
  const later = { ...input, scheduling: { ...scheduling, preemption } };
  const tooYoung = holdings.some((each) =>
    !mayEvict(each, request, ledger, input) && mayEvict(each, request, ledger, later)
  );
  if (!tooYoung) return { kind: "none" };
  return { kind: "none", why: "jobs that could make room have only just started" };
}
