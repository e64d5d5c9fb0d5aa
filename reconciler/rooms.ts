/**
 * Rooms: how much of each node is left during one pass, and why a node takes nothing.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import { countedGpus, type Slot, slotsOf } from "../cluster/capacity.ts";
import type { NodeName, NodeSpec } from "../cluster/node.ts";
import type { Resources } from "../jobs/job.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { Observed } from "./model.ts";
import { isAlive } from "./view.ts";

/** One node during scheduling; `free` shrinks as jobs are placed. */
export interface Room {
  readonly node: NodeSpec;
  free: Slot[];
  /** Slots that exist, free or not; undefined when nobody knows. */
  readonly total: number | undefined;
  /** Why nothing may start here now. */
  readonly closed: string | undefined;
  readonly busy: readonly string[];
}

/** The room on every node, in the order of the cluster. */
export function roomsOf(
  cluster: Cluster,
  observed: Observed,
  statuses: Iterable<JobStatus>,
): Room[] {
  const booked = bookings(observed, statuses);
  return cluster.nodes.map((node) => {
    const seen = observed.nodes.get(node.name);
    const closed = (why: string): Room => ({
      node,
      free: [],
      total: node.hardware.gpus,
      closed: why,
      busy: [],
    });
    if (!seen || seen.state === "unknown") {
      return closed(`cannot be asked (${seen?.reason ?? "not observed yet"})`);
    }
    const gpus = countedGpus(node, seen.gpus);
    if (gpus === undefined) return closed(seen.gpuProblem ?? "its GPUs are unknown");
    const slots = slotsOf(node, gpus, booked.get(node.name) ?? new Set());
    const room = { node, free: [...slots.free], total: slots.total, busy: slots.busy };
    if (node.cordoned) {
      return { ...room, free: [], closed: `is cordoned (${node.cordoned.reason})` };
    }
    return { ...room, closed: undefined };
  });
}

/** Uuids that runs of ours hold: those observed alive, and those recorded for live attempts. */
function bookings(
  observed: Observed,
  statuses: Iterable<JobStatus>,
): Map<NodeName, Set<string>> {
  const booked = new Map<NodeName, Set<string>>();
  const book = (node: NodeName, uuids: readonly string[]) => {
    const set = booked.get(node) ?? new Set();
    for (const uuid of uuids) set.add(uuid);
    booked.set(node, set);
  };
  for (const seen of observed.nodes.values()) {
    if (seen.state !== "reachable") continue;
    for (const run of seen.runs) if (isAlive(run)) book(seen.node, run.gpus);
  }
  for (const status of statuses) {
    const attempt = status.attempts.at(-1);
    if (!attempt || attempt.end) continue;
    for (const placed of attempt.placement) book(placed.node as NodeName, placed.gpus);
  }
  return booked;
}

/** Why a node never suits a job, whatever is free; undefined when it does. */
export function unsuitable(room: Room, need: Resources): string | undefined {
  const { node, total } = room;
  for (const [key, value] of Object.entries(need.nodeSelector)) {
    if (node.labels[key] !== value) return `has no label ${key}: ${value}`;
  }
  const { cpuCores, ramGb, gpuModel, vramGb } = node.hardware;
  if (total !== undefined && total < need.gpusPerNode) return `has ${total} GPUs`;
  if (need.cpuCores && cpuCores !== undefined && cpuCores < need.cpuCores) {
    return `has ${cpuCores} CPU cores`;
  }
  if (need.ramGb && ramGb !== undefined && ramGb < need.ramGb) return `has ${ramGb} GB of RAM`;
  const seen = room.free.length > 0 || room.busy.length > 0;
  if (!seen && need.gpuModel && gpuModel && !matchesModel(gpuModel, need.gpuModel)) {
    return `has ${gpuModel}`;
  }
  if (!seen && need.vramGb && vramGb !== undefined && vramGb < need.vramGb) {
    return `has ${vramGb} GB of GPU memory`;
  }
  return undefined;
}

/** The free slots of a room that suit a job. */
export function suitableSlots(room: Room, need: Resources): Slot[] {
  if (!need.gpuModel && !need.vramGb) return room.free;
  return room.free.filter((slot) => {
    if (need.gpuModel && !matchesModel(slot.model, need.gpuModel)) return false;
    // A card of "12 GB" reports a little less than 12 × 1024 MiB.
    return !need.vramGb || (slot.memoryMiB ?? 0) >= need.vramGb * 1024 * 0.93;
  });
}

function matchesModel(model: string, wanted: string): boolean {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  return plain(model).includes(plain(wanted));
}
