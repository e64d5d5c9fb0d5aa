/**
 * Says why a job gets no room, for people and for programs.
 *
 * @module
 */
import type { Resources } from "../../jobs/job.ts";
import { gangs, kindsOn, optionsOn, unsuitable } from "./fit.ts";
import type { Request, Room, Waits } from "./types.ts";
import { describeNeed } from "./words.ts";

/** Why a job waits, whoever it is. */
export type Refusal = Pick<Waits, "reason" | "message" | "detail" | "numbers">;

/** Most nodes that a sentence names. */
const NAMED = 5;

/** Why a job does not fit now; `keepers` are the waiting jobs for which room is kept. */
export function refuse(
  request: Request,
  rooms: readonly Room[],
  keepers: readonly string[],
): Refusal {
  const { need } = request;
  const suited = rooms.filter((room) => unsuitable(room, need) === undefined);
  const numbers = { nodes: need.nodes, gpusPerNode: need.gpusPerNode, suited: suited.length };
  if (!isPossible(suited, need)) return never(need, rooms, suited, numbers);
  const open = suited.flatMap((room) => optionsOn(room, need, Infinity));
  const fitting = new Set(open.map(({ room }) => room.node.name)).size;
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
  const cordoned = suited.filter((room) => room.cordoned).map((room) => room.node.name);
  const isCordoned = cordoned.length > 0 && fitting + cordoned.length >= need.nodes;
  return {
    reason: isCordoned ? "Cordoned" : "Resources",
    message: isCordoned
      ? `needs ${wanted}; not enough are free beside what is cordoned (${list(cordoned)})`
      : `needs ${wanted}; not enough are free`,
    detail: `${fitting} of ${need.nodes} node(s) found. ${obstacles(suited)}`,
    numbers: { ...numbers, fitting },
  };
}

/** Whether it could run if nothing else did. Nobody knows what a node has that does not answer. */
function isPossible(suited: readonly Room[], need: Resources): boolean {
  const kinds = suited.flatMap((room) => kindsOn(room, need).map((kind) => ({ ...kind, room })));
  const sets = gangs(kinds, { ...need, nodes: 1 });
  const largest = Math.max(0, ...sets.map((set) => new Set(set.map(({ room }) => room)).size));
  // What is cordoned may come back, and is not among the kinds.
  const hidden = suited.filter((room) =>
    room.closed || room.cordoned && kindsOn(room, need).length === 0
  );
  return largest + hidden.length >= need.nodes;
}

function obstacles(suited: readonly Room[]): string {
  const found = suited.flatMap((room) => {
    if (room.closed) return [`${room.node.name} ${room.closed}`];
    return room.busy.length > 0 ? [`${room.node.name}: ${room.busy.join(", ")}`] : [];
  });
  return found.length === 0 ? "What was free went to jobs before it" : list(found, "; ");
}

function never(
  need: Resources,
  rooms: readonly Room[],
  suited: readonly Room[],
  numbers: Readonly<Record<string, number>>,
): Refusal {
  const other = rooms.find((room) => unsuitable(room, need) !== undefined);
  const why = other ? ` (${other.node.name} ${unsuitable(other, need)})` : "";
  const unlike = suited.length >= need.nodes
    ? `, but not enough with like GPUs${
      need.within ? ` and the same ${need.within}` : ""
    }; \`resources.mixedGpus: true\` lets it run on unlike ones, at the pace of the weakest`
    : why;
  const message = `needs ${describeNeed(need)}; the cluster has ${suited.length} such node(s)` +
    unlike;
  return { reason: "Unschedulable", message, detail: message, numbers };
}

function list(texts: readonly string[], between = ", "): string {
  const more = texts.length > NAMED ? `${between}and ${texts.length - NAMED} more` : "";
  return texts.slice(0, NAMED).join(between) + more;
}
