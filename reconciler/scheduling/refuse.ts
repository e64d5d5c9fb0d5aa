/**
 * Says why a job gets no room, for people and for programs.
 *
 * @module
 */
import type { Resources } from "../../jobs/job.ts";
import { gangs, kindsOn, type Option, optionsOn, unsuitable } from "./fit.ts";
import type { Holding, Request, Room, Waits } from "./types.ts";
import { describeNeed } from "./words.ts";

/** Jobs that have GPUs, and where. */
type Holders = readonly Pick<Holding, "name" | "placement">[];

/** Why a job waits, whoever it is. */
export type Refusal = Pick<Waits, "reason" | "message" | "detail" | "numbers">;

/** What `cluster/capacity.ts` says of a slot that a job of ours has: whose it is, says more. */
const HOLDS_A_RUN = "holds a run";

/** Most nodes, or jobs, that a sentence names. */
const NAMED = 5;

/**
 * Why a job does not fit now; `keepers` are the waiting jobs for which room is kept, `holdings` the
 * jobs that are named where they have what it needs.
 */
export function refuse(
  request: Request,
  rooms: readonly Room[],
  keepers: readonly string[],
  holdings: Holders = [],
): Refusal {
  const { need } = request;
  const found = survey(rooms, need);
  const { suited, kinds, hidden } = found;
  const numbers = { nodes: need.nodes, gpusPerNode: need.gpusPerNode, suited: suited.length };
  if (largest(kinds, need) + hidden < need.nodes) return never(need, rooms, found, numbers);
  const open: Option[] = [];
  let fitting = 0;
  for (const room of suited) {
    const options = optionsOn(room, need, Infinity);
    if (options.length > 0) fitting++;
    for (const option of options) open.push(option);
  }
  const wanted = describeNeed(need);
  if (gangs(open, need).length > 0) {
    return {
      reason: "Priority",
      message: `needs ${wanted}; what is free is kept for jobs before it`,
      detail: `${fitting} node(s) have room, which is kept for ${list(keepers)}. A job that is ` +
        "over before they can start (see `maxDuration`) may run first",
      numbers: { ...numbers, fitting },
    };
  }
  const cordoned = suited.filter((room) => room.cordoned).map(cordonedUntil);
  const isCordoned = cordoned.length > 0 && fitting + cordoned.length >= need.nodes;
  return {
    reason: isCordoned ? "Cordoned" : "Resources",
    message: isCordoned
      ? `needs ${wanted}; not enough are free beside what is cordoned (${list(cordoned)})`
      : `needs ${wanted}; not enough are free`,
    detail: `${fitting} of ${need.nodes} node(s) found. ${obstacles(suited, holdings)}`,
    numbers: { ...numbers, fitting },
  };
}

/** `n1`, or `n1 until 2026-03-01T12:00:00.000Z`: then waiting helps. */
function cordonedUntil({ node: { name, cordoned } }: Room): string {
  const untilMs = cordoned?.untilMs;
  return untilMs === undefined ? name : `${name} until ${new Date(untilMs).toISOString()}`;
}

interface Survey {
  /** Nodes that suit, whatever is free on them. */
  readonly suited: Room[];
  readonly kinds: Pick<Option, "room" | "kind">[];
  /** How many of them have nothing to show, but may: nobody knows what a node has that does not
   * answer, and what is cordoned may come back. */
  readonly hidden: number;
}

function survey(rooms: readonly Room[], need: Resources): Survey {
  const suited: Room[] = [];
  const kinds: Survey["kinds"] = [];
  let hidden = 0;
  for (const room of rooms) {
    const here = kindsOn(room, need);
    // What has the kinds for it suits, if it is in a place.
    const isSuited = here.length > 0 && need.within === undefined ||
      unsuitable(room, need) === undefined;
    if (!isSuited) continue;
    suited.push(room);
    for (const { kind } of here) kinds.push({ kind, room });
    if (here.length === 0 && (room.closed || room.cordoned)) hidden++;
  }
  return { suited, kinds, hidden };
}

/** On how many nodes it could run at most, if nothing else did. A node has each kind once. */
function largest(kinds: Survey["kinds"], need: Resources): number {
  return Math.max(0, ...gangs(kinds, { ...need, nodes: 1 }).map((set) => set.length));
}

function obstacles(suited: readonly Room[], holdings: Holders): string {
  const taken = suited.filter(({ closed, busy }) => closed || busy.length > 0);
  if (taken.length === 0) return "What was free went to jobs before it";
  return list(
    taken.map((room, index) => {
      if (index >= NAMED) return "";
      const { node: { name }, closed } = room;
      return closed ? `${name} ${closed}` : `${name}: ${takenWords(room, holdings)}`;
    }),
    "; ",
  );
}

/** `d1, d4 (2 of 2 GPUs)`, and what else is in the way. */
function takenWords({ node, busy, total, slots }: Room, holdings: Holders): string {
  const here = holdings.filter(({ placement }) => placement.some((p) => p.node === node.name));
  const others = busy.filter((words) => !words.endsWith(HOLDS_A_RUN));
  const held = busy.length - others.length;
  if (here.length === 0 || held === 0) return busy.join(", ");
  const unit = slots.values().next().value?.model === "cpu" ? "CPU slots" : "GPUs";
  const names = list(here.map(({ name }) => name).sort());
  return [`${names} (${held} of ${total ?? held} ${unit})`, ...others].join(", ");
}

function never(
  need: Resources,
  rooms: readonly Room[],
  { suited, hidden }: Survey,
  numbers: Readonly<Record<string, number>>,
): Refusal {
  const other = rooms.find((room) => unsuitable(room, need) !== undefined);
  const why = other ? ` (${other.node.name} ${unsuitable(other, need)})` : "";
  const apart = suited.length >= need.nodes ? notTogether(need, rooms, hidden) : why;
  const message = `needs ${describeNeed(need)}; the cluster has ${suited.length} such node(s)` +
    apart;
  return { reason: "Unschedulable", message, detail: message, numbers };
}

/** Why nodes that suit one by one make no gang, and what would help; no more than that. */
function notTogether(need: Resources, rooms: readonly Room[], hidden: number): string {
  const unlike: Resources = { ...need, mixedGpus: true };
  const most = largest(survey(rooms, unlike).kinds, unlike) + hidden;
  if (need.within !== undefined && most < need.nodes) {
    return `, but no ${need.within} has more than ${most} of them`;
  }
  const place = need.within === undefined ? "" : ` and the same ${need.within}`;
  const advice = need.mixedGpus || most < need.nodes
    ? ""
    : "; `resources.mixedGpus: true` lets it run on unlike ones, at the pace of the weakest";
  return `, but not enough with like GPUs${place}${advice}`;
}

function list(texts: readonly string[], between = ", "): string {
  const more = texts.length > NAMED ? `${between}and ${texts.length - NAMED} more` : "";
  return texts.slice(0, NAMED).join(between) + more;
}
