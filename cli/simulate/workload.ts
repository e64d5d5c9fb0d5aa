/**
 * From the lines of a trace to jobs of one cluster: how many nodes each takes, and what the
 * scheduler is told of its length.
 *
 * @module
 */
import type { Resources } from "../../jobs/job.ts";
import { unsuitable } from "../../reconciler/scheduling/fit.ts";
import type { Length, Room } from "../../reconciler/scheduling/types.ts";
import type { Estimates } from "./options.ts";
import type { TraceRow } from "./trace.ts";

/** A job that is replayed. */
export interface SimJob {
  /** In the order of submission. */
  readonly name: string;
  readonly submitMs: number;
  /** Of its work, without waiting. The scheduler does not see it. */
  readonly durationMs: number;
  readonly user: string;
  readonly priority: number;
  /** The same object for equal needs. */
  readonly need: Resources;
  /** What the scheduler knows of its length. */
  readonly length: Length | undefined;
  /** Where it stands in the trace, if that is a file. */
  readonly line?: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Limits as people write them. Longer ones are multiples of the last. */
const WRITTEN_MS = [
  HOUR_MS / 4,
  HOUR_MS,
  4 * HOUR_MS,
  12 * HOUR_MS,
  DAY_MS,
  3 * DAY_MS,
  7 * DAY_MS,
  30 * DAY_MS,
];

/** The jobs of a trace in the order of submission. */
export function workloadOf(
  rows: readonly TraceRow[],
  rooms: readonly Room[],
  estimates: Estimates,
): SimJob[] {
  const sorted = rows.toSorted((a, b) => a.submitSeconds - b.submitSeconds);
  const digits = String(rows.length).length;
  const needOf = needsOn(rooms);
  return sorted.map((row, i) => {
    const durationMs = Math.max(1, Math.round(row.durationSeconds * 1000));
    return {
      name: `job-${String(i + 1).padStart(digits, "0")}`,
      submitMs: Math.round(row.submitSeconds * 1000),
      durationMs,
      user: row.user,
      priority: row.priority,
      need: needOf(row),
      length: lengthOf(durationMs, estimates),
      ...(row.line === undefined ? {} : { line: row.line }),
    };
  });
}

/** GPUs that a job holds. */
export function gpusOf({ nodes, gpusPerNode }: Resources): number {
  return nodes * gpusPerNode;
}

/**
 * Finds what jobs need on these nodes. Without `nodes` a job takes one node if one is large enough,
 * else the fewest whole nodes; their last GPUs may be more than it asks for, since each node of a
 * gang gives the same number.
 */
export function needsOn(
  rooms: readonly Room[],
): (row: Pick<TraceRow, "gpus" | "nodes" | "vramGb">) => Resources {
  const known = new Map<string, Resources>();
  return ({ gpus, nodes: wanted, vramGb }) => {
    const key = `${gpus}/${wanted}/${vramGb}`;
    const found = known.get(key);
    if (found) return found;
    const shape = wanted === undefined
      ? fewestNodes(gpus, sizesOf(rooms, vramGb))
      : { nodes: wanted, gpusPerNode: gpus / wanted };
    const need = { ...shape, nodeSelector: {}, ...(vramGb === undefined ? {} : { vramGb }) };
    known.set(key, need);
    return need;
  };
}

/** Numbers of GPUs of the nodes with enough memory on each, the largest first. */
function sizesOf(rooms: readonly Room[], vramGb: number | undefined): number[] {
  const one = {
    nodes: 1,
    gpusPerNode: 1,
    nodeSelector: {},
    ...(vramGb === undefined ? {} : { vramGb }),
  };
  return rooms.filter((room) => unsuitable(room, one) === undefined)
    .map((room) => room.slots.size)
    .sort((a, b) => b - a);
}

function fewestNodes(
  gpus: number,
  sizes: readonly number[],
): Pick<Resources, "nodes" | "gpusPerNode"> {
  const largest = sizes[0] ?? 0;
  if (gpus <= largest || largest === 0) return { nodes: 1, gpusPerNode: gpus };
  for (const size of new Set(sizes)) {
    const count = Math.ceil(gpus / size);
    if (sizes.filter((other) => other >= size).length >= count) {
      return { nodes: count, gpusPerNode: size };
    }
  }
  return { nodes: Math.ceil(gpus / largest), gpusPerNode: largest };
}

function lengthOf(durationMs: number, estimates: Estimates): Length | undefined {
  if (estimates === "none") return undefined;
  if (estimates === "exact") return { ms: durationMs, basis: "limit" };
  const last = WRITTEN_MS.at(-1)!;
  const ms = WRITTEN_MS.find((written) => written >= durationMs) ??
    Math.ceil(durationMs / last) * last;
  return { ms, basis: "limit" };
}
