/**
 * Rooms: how much of each node is left during one pass, and why a node takes nothing.
 *
 * @example
 * const bookings = bookingsOf(observed, live, (job, launch) => launchedWith(job, launch, input));
 * const rooms = roomsOf(desired.cluster, observed, bookings, now);
 *
 * @module
 */
import type { Cluster } from "../../cluster/cluster.ts";
import { countedGpus, type NodeSlots, type Slot, slotsOf } from "../../cluster/capacity.ts";
import { cordonAt, isGpuCordoned } from "../../cluster/cordon.ts";
import type { Gpu } from "../../cluster/gpu.ts";
import type { Cordon, NodeName, NodeSpec } from "../../cluster/node.ts";
import type { RunRecord } from "../../jobs/run.ts";
import type { Attempt, JobStatus, PlacedRank } from "../../jobs/status.ts";
import type { HostNeed, Observed } from "../model.ts";
import type { ReachableNode } from "../ports.ts";
import { isAlive } from "../view.ts";
import type { Room } from "./types.ts";

/** What jobs of ours have of one node. */
export interface Booked {
  /** The part of each slot, by uuid; 1: all of it. */
  readonly parts: ReadonlyMap<string, number>;
  /** Only what jobs asked for by name. */
  readonly cpuCores: number;
  readonly ramGb: number;
  /** True: somebody there has a share of CPU and RAM that nobody knows; so none is left. */
  readonly isUnknown?: boolean;
}

/** One launch of a job. */
type Launch = Pick<Attempt, "attempt" | "specDigest">;

/** What jobs of ours have of each node. */
export type Bookings = ReadonlyMap<NodeName, Booked>;

/**
 * What runs of ours hold: those recorded for live attempts, and those observed alive. A run and
 * its own record count once. A run that nobody recorded has its GPUs for itself.
 *
 * @param needOf what a launch asked for of each node; undefined: nobody knows
 * @param statuses at least those of the jobs with a live attempt
 * @param statusOf finds every status; default: among these
 */
export function bookingsOf(
  observed: Observed,
  statuses: readonly JobStatus[],
  needOf: (job: string, launch: Launch) => HostNeed | undefined,
  statusOf: (job: string) => JobStatus | undefined = among(statuses),
): Bookings {
  const books = new Map<NodeName, Book>();
  const at = (node: NodeName) => {
    let book = books.get(node);
    if (!book) {
      books.set(node, book = { parts: new Map(), cpuCores: 0, ramGb: 0, isUnknown: false });
    }
    return book;
  };
  const book = (node: NodeName, uuids: readonly string[], part: number) => {
    const { parts } = at(node);
    for (const uuid of uuids) parts.set(uuid, (parts.get(uuid) ?? 0) + part);
  };
  const bookHost = (node: NodeName, need: HostNeed | undefined) => {
    if (need && !need.cpuCores && !need.ramGb) return;
    const host = at(node);
    if (!need) return void (host.isUnknown = true);
    host.cpuCores += need.cpuCores ?? 0;
    host.ramGb += need.ramGb ?? 0;
  };
  for (const status of statuses) {
    const attempt = status.attempts.at(-1);
    if (!attempt || attempt.end) continue;
    const need = needOf(status.name, attempt);
    for (const { node, gpus, share } of attempt.placement) {
      book(node as NodeName, gpus, share ?? 1);
      bookHost(node as NodeName, need);
    }
  }
  for (const seen of observed.nodes.values()) {
    if (seen.state !== "reachable") continue;
    for (const run of seen.runs) {
      if (!isAlive(run)) continue;
      const { rank, live } = recordOf(run, seen.node, statusOf(run.job));
      const counted = live ? rank?.gpus ?? [] : [];
      for (const uuid of run.gpus) {
        if (counted.includes(uuid)) continue;
        book(seen.node, [uuid], rank?.gpus.includes(uuid) ? rank.share ?? 1 : 1);
      }
      const launch = { attempt: run.attempt, specDigest: run.meta.specDigest };
      if (!rank || !live) bookHost(seen.node, needOf(run.job, launch));
    }
  }
  return books;
}

interface Book extends Booked {
  readonly parts: Map<string, number>;
  cpuCores: number;
  ramGb: number;
  isUnknown: boolean;
}

function among(statuses: readonly JobStatus[]): (job: string) => JobStatus | undefined {
  const byName = new Map(statuses.map((status) => [status.name, status]));
  return (job) => byName.get(job);
}

/** What was recorded of a run: its rank on its node, and whether that is booked already. */
function recordOf(
  { attempt: number, rank }: RunRecord,
  node: NodeName,
  status: JobStatus | undefined,
): { readonly rank: PlacedRank | undefined; readonly live: boolean } {
  const attempt = status?.attempts.find((each) => each.attempt === number);
  const placed = attempt?.placement[rank];
  if (!attempt || placed?.node !== node) return { rank: undefined, live: false };
  return { rank: placed, live: !attempt.end && attempt === status?.attempts.at(-1) };
}

const NOTHING: Booked = { parts: new Map(), cpuCores: 0, ramGb: 0 };

/** The room on every node, in the order of the cluster. */
export function roomsOf(
  cluster: Cluster,
  observed: Observed,
  bookings: Bookings,
  now: number,
): Room[] {
  return cluster.nodes.map((node) => {
    const cordon = cordonAt(node, now);
    const seen = observed.nodes.get(node.name);
    const whole = cordon !== undefined && cordon.gpus === undefined;
    if (!seen || seen.state === "unknown") {
      return closedRoom(node, cordon, `cannot be asked (${seen?.reason ?? "not observed yet"})`);
    }
    const gpus = countedGpus(node, seen.gpus);
    if (gpus === undefined) {
      return closedRoom(node, cordon, seen.gpuProblem ?? "its GPUs are unknown");
    }
    const booked = bookings.get(node.name) ?? NOTHING;
    const all = slotsOf(node, gpus, booked.parts);
    if (whole) return { ...closedRoom(node, cordon, ""), total: all.total, busy: all.busy };
    const open = cordon ? withoutCordoned(all, gpus, cordon) : all;
    const known = withSeen(node, seen);
    const { cpuCores, ramGb } = known.hardware;
    return {
      node: known,
      free: [...open.free],
      slots: new Map(open.all.map((slot) => [slot.uuid, slot])),
      total: open.total,
      closed: undefined,
      cordoned: open.all.length < all.all.length,
      busy: open.busy,
      cpuLeft: leftOf(cpuCores, booked.cpuCores, booked),
      ramLeftGb: leftOf(ramGb, booked.ramGb, booked),
    };
  });
}

/** What is certain to be left beside what is booked; undefined: the node does not tell. */
function leftOf(has: number | undefined, taken: number, { isUnknown }: Booked) {
  if (has === undefined) return undefined;
  return isUnknown ? Math.min(0, has - taken) : has - taken;
}

/** What is not declared of a node is taken from what was seen there. */
function withSeen(node: NodeSpec, { cpuCores, memoryTotalMiB }: ReachableNode): NodeSpec {
  const { hardware } = node;
  if (hardware.cpuCores !== undefined && hardware.ramGb !== undefined) return node;
  const ramGb = Math.round(memoryTotalMiB / 1024);
  return { ...node, hardware: { cpuCores, ramGb, ...hardware } };
}

/** A node on which nothing may start now. What a person said of it goes before what was seen. */
function closedRoom(node: NodeSpec, cordon: Cordon | undefined, why: string): Room {
  const whole = cordon !== undefined && cordon.gpus === undefined;
  return {
    node,
    free: [],
    slots: new Map(),
    total: node.hardware.gpus,
    closed: whole ? cordonedWords(cordon) : why,
    cordoned: whole,
    busy: [],
    cpuLeft: node.hardware.cpuCores,
    ramLeftGb: node.hardware.ramGb,
  };
}

/** The slots that new work may use, when a person has taken out some of a node's GPUs. */
function withoutCordoned(slots: NodeSlots, gpus: readonly Gpu[], cordon: Cordon): NodeSlots {
  const out = new Set<string>();
  const busy = [...slots.busy];
  slots.all.forEach(({ uuid }, index) => {
    const gpu = gpus.find((each) => each.uuid === uuid) ?? { uuid, index };
    if (!isGpuCordoned(cordon, gpu)) return;
    out.add(uuid);
    const name = gpus.length > 0 ? "GPU" : "CPU slot";
    if (slots.free.some((slot) => slot.uuid === uuid)) {
      busy.push(`${name} ${gpu.index} ${cordonedWords(cordon)}`);
    }
  });
  const keep = (slot: Slot) => !out.has(slot.uuid);
  return { ...slots, free: slots.free.filter(keep), all: slots.all.filter(keep), busy };
}

function cordonedWords({ reason, untilMs }: Cordon): string {
  const until = untilMs === undefined ? "" : ` until ${new Date(untilMs).toISOString()}`;
  return `is cordoned${until} (${reason})`;
}

/** The room on a node as it is declared, with nothing running: for replaying traces. */
export function declaredRoom(node: NodeSpec): Room {
  const { gpus, gpuModel, vramGb, cpuCores, ramGb } = node.hardware;
  const memoryMiB = vramGb === undefined ? null : vramGb * 1024;
  const like = gpus ? { model: gpuModel ?? "GPU", memoryMiB } : { model: "cpu", memoryMiB: null };
  const total = gpus ? gpus : node.cpuSlots;
  const free = Array.from(
    { length: total },
    (_, index): Slot => ({ uuid: `${node.name}:${index}`, ...like, left: 1 }),
  );
  return {
    node,
    free,
    slots: new Map(free.map((slot) => [slot.uuid, slot])),
    total,
    closed: undefined,
    cordoned: false,
    busy: [],
    cpuLeft: cpuCores,
    ramLeftGb: ramGb,
  };
}
