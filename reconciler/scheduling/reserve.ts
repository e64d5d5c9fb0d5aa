/**
 * Reservations: the start time that a waiting job keeps. Later jobs may run before it wherever
 * they are gone by then, or take what it leaves over; so it is never starved, and nobody whom it
 * does not need waits for it.
 *
 * @module
 */
import type { Slot } from "../../cluster/capacity.ts";
import type { NodeName } from "../../cluster/node.ts";
import { gangs, type Kind, kindsOn } from "./fit.ts";
import { type Timeline, weaker } from "./timeline.ts";
import type { Expected, Request, Reservation, Room } from "./types.ts";

interface Opening extends Kind {
  readonly room: Room;
  readonly at: Expected;
}

/** A reservation, with the slots of each node that would do. */
export interface Reserved extends Reservation {
  readonly suited: ReadonlyMap<NodeName, readonly Slot[]>;
}

/**
 * The earliest start of a job, and where; undefined when no set of nodes that answer will ever have
 * the room. `history`: the earliest that rests on no guess at the end of a job.
 */
export function reserve(
  request: Request,
  rooms: readonly Room[],
  timeline: Timeline,
  now: number,
  ground: "guess" | "history",
): Reserved | undefined {
  const { need } = request;
  const openings: Opening[] = [];
  for (const room of rooms) {
    for (const kind of kindsOn(room, need)) {
      const at = timeline.earliest(room, kind.slots, need, ground === "history");
      if (at) openings.push({ ...kind, room, at });
    }
  }
  let best: { start: Expected; nodes: readonly Opening[] } | undefined;
  for (const set of gangs(openings, need)) {
    const nodes = soonest(set, need.nodes, request.preferred);
    const start = nodes.reduce<Expected>((latest, { at }) => ({
      atMs: Math.max(latest.atMs, at.atMs),
      basis: weaker(latest.basis, at.basis),
    }), { atMs: 0, basis: "limit" });
    if (nodes.length === need.nodes && (!best || start.atMs < best.start.atMs)) {
      best = { start, nodes };
    }
  }
  if (!best) return undefined;
  const { start } = best;
  return {
    job: request.name,
    // It would run already: something passing is in its way.
    start: start.atMs > now ? start : { ...start, basis: "guess" },
    nodes: new Map(best.nodes.map(({ room }) => [room.node.name, need.gpusPerNode])),
    suited: new Map(best.nodes.map(({ room, slots }) => [room.node.name, slots])),
  };
}

/** The nodes that open first; of equals those that the job prefers, then in the cluster's order. */
function soonest(
  set: readonly Opening[],
  count: number,
  preferred: ReadonlyMap<string, number>,
): Opening[] {
  const favour = ({ room }: Opening) => preferred.get(room.node.name) ?? 0;
  const sorted = set.toSorted((a, b) => a.at.atMs - b.at.atMs || favour(b) - favour(a));
  const chosen = new Map<NodeName, Opening>();
  for (const opening of sorted) {
    if (chosen.size === count) break;
    // With unlike GPUs on one node, whichever of them are free first.
    if (!chosen.has(opening.room.node.name)) chosen.set(opening.room.node.name, opening);
  }
  return [...chosen.values()];
}
