/**
 * Serves the queue: which of the jobs that ask to be launched get which GPUs, all of a gang or
 * none. Queues by priority, jobs by priority, then first come, first served; a smaller job may
 * pass one that does not fit yet.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { DesiredJob, Resources } from "../jobs/job.ts";
import type { Attempt, JobStatus, PlacedRank } from "../jobs/status.ts";
import type { Observed } from "./model.ts";
import { chooseResume, type Resume } from "./resume.ts";
import { type Room, suitableSlots, unsuitable } from "./rooms.ts";

/** A job that asks to be launched. */
export interface Candidate {
  readonly job: DesiredJob;
  readonly status: JobStatus;
}

/** A job that gets its GPUs now. */
export interface Placement extends Candidate {
  readonly placement: readonly PlacedRank[];
  readonly because: string;
  readonly resume: Resume | undefined;
}

/** What became of the candidates. */
export interface Schedule {
  readonly placed: readonly Placement[];
  /** In queue order. */
  readonly waiting: readonly Refused[];
  /** Jobs that there is room for, once it is known where their checkpoints are. */
  readonly needCheckpoints: readonly string[];
}

/** A job that must wait, and why. */
export interface Refused {
  readonly candidate: Candidate;
  readonly reason: string;
  /** Stable: it stands in a status file and must not change with every other job. */
  readonly message: string;
  /** With the numbers of this moment. */
  readonly detail: string;
}

/** Orders candidates: queue, priority, time of submission, name. */
export function queueOrder(cluster: Cluster, candidates: readonly Candidate[]): Candidate[] {
  const queues = new Map(cluster.queues.map((queue) => [queue.name, queue.priority]));
  const keyed = candidates.map((candidate) => {
    const { job: { spec }, status: { submittedAt, name } } = candidate;
    return {
      candidate,
      queue: queues.get(spec.queue) ?? 0,
      priority: spec.priority,
      submittedAt,
      name,
    };
  });
  keyed.sort((a, b) =>
    b.queue - a.queue || b.priority - a.priority || compare(a.submittedAt, b.submittedAt) ||
    compare(a.name, b.name)
  );
  return keyed.map(({ candidate }) => candidate);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const shapes = new WeakMap<Resources, string>();

/** Equal for equal needs; a manifest's is computed once. */
function shapeOf(need: Resources): string {
  const known = shapes.get(need);
  if (known !== undefined) return known;
  const shape = JSON.stringify(need);
  shapes.set(need, shape);
  return shape;
}

/** Reason of a job whose checkpoint is not where it could run. */
const NOT_SHARED = "CheckpointNotShared";

/** Places as many candidates as fit, in order. `rooms` is used up. */
export function schedule(
  ordered: readonly Candidate[],
  rooms: Room[],
  observed: Observed,
  limit: number,
): Schedule {
  const placed: Placement[] = [];
  const waiting: Refused[] = [];
  const needCheckpoints: string[] = [];
  const full = new Map<string, Refusal>();
  let unanswered = 0;
  for (const candidate of ordered) {
    const need = candidate.job.spec.resources;
    const shape = shapeOf(need);
    const refused = full.get(shape) ??
      (placed.length + unanswered >= limit ? LIMIT : undefined);
    const result = refused ?? place(candidate, rooms, observed);
    if (result === "where are its checkpoints?") {
      const { name, reason, message } = candidate.status;
      needCheckpoints.push(name);
      unanswered++;
      // What was found when they were looked at last stands until they have been looked at again.
      if (reason === NOT_SHARED) waiting.push({ candidate, reason, message, detail: message });
    } else if ("placement" in result) placed.push(result);
    else {
      if (result.sameForShape) full.set(shape, result);
      const { reason, message, detail } = result;
      // Asked again and again, so that the answer stands while nothing changes.
      if (reason === NOT_SHARED) needCheckpoints.push(candidate.status.name);
      waiting.push({ candidate, reason, message, detail });
    }
  }
  return { placed, waiting, needCheckpoints };
}

interface Refusal extends Omit<Refused, "candidate"> {
  /** True when every job that needs the same is refused too. */
  readonly sameForShape: boolean;
}

const LIMIT: Refusal = {
  reason: "LaunchLimit",
  message: "is next: this pass has launched as many jobs as it may",
  detail: "maxLaunchesPerPass reached",
  sameForShape: false,
};

/** Gives a candidate its GPUs, or only keeps them for it until its checkpoints are known. */
function place(
  candidate: Candidate,
  rooms: Room[],
  observed: Observed,
): Placement | Refusal | "where are its checkpoints?" {
  const { job, status } = candidate;
  const need = job.spec.resources;
  const last = status.attempts.at(-1);
  const preferred = preferredNodes(job, last, observed);
  const fitting = fits(rooms, need);
  if (fitting.length < need.nodes) return refuse(rooms, need, fitting.length);
  const chosen = choose(fitting, need.nodes, preferred);
  if (status.attempt > 0 && !observed.checkpointsOf.has(status.name)) {
    for (const fit of chosen) take(fit, need.gpusPerNode);
    return "where are its checkpoints?";
  }
  const resume = chooseResume(job, status, chosen.map((c) => c.room.node.name), observed);
  if (resume.kind === "refused") {
    const { message } = resume;
    return { reason: NOT_SHARED, message, detail: message, sameForShape: false };
  }
  const order = resume.kind === "resume" ? resume.order : chosen.map((_, i) => i);
  const placement = order.map((i) => take(chosen[i] as Fit, need.gpusPerNode));
  return {
    ...candidate,
    placement,
    because: because(fitting.length, need, resume.kind === "resume" ? resume : undefined),
    resume: resume.kind === "resume" ? resume : undefined,
  };
}

function take({ room, slots }: Fit, count: number): PlacedRank {
  const uuids = slots.slice(0, count).map((slot) => slot.uuid);
  room.free = room.free.filter((slot) => !uuids.includes(slot.uuid));
  return { node: room.node.name, gpus: uuids };
}

interface Fit {
  readonly room: Room;
  readonly slots: readonly { readonly uuid: string }[];
}

function fits(rooms: readonly Room[], need: Resources): Fit[] {
  const found: Fit[] = [];
  for (const room of rooms) {
    if (room.closed || room.free.length < need.gpusPerNode) continue;
    if (unsuitable(room, need)) continue;
    const slots = suitableSlots(room, need);
    if (slots.length >= need.gpusPerNode) found.push({ room, slots });
  }
  return found;
}

/** Nodes that have the newest checkpoint (2) or ran the last attempt (1). */
function preferredNodes(
  job: DesiredJob,
  last: Attempt | undefined,
  observed: Observed,
): Map<string, number> {
  const preferred = new Map<string, number>();
  if (!last) return preferred;
  for (const placed of last.placement) preferred.set(placed.node, 1);
  let newest = 0;
  const steps = new Map<string, number>();
  for (const seen of observed.nodes.values()) {
    if (seen.state !== "reachable") continue;
    const found = seen.checkpoints.get(job.spec.name)?.find((c) => c.complete);
    if (!found) continue;
    steps.set(seen.node, found.step);
    newest = Math.max(newest, found.step);
  }
  for (const [node, at] of steps) {
    if (at === newest) preferred.set(node, (preferred.get(node) ?? 0) + 2);
  }
  return preferred;
}

/** Preferred nodes first, then those with the least room left (best fit); linear in the nodes. */
function choose(
  fitting: readonly Fit[],
  count: number,
  preferred: ReadonlyMap<string, number>,
): Fit[] {
  const buckets: Fit[][] = [];
  for (const fit of fitting) {
    const favour = preferred.get(fit.room.node.name) ?? 0;
    const key = (3 - favour) * 64 + Math.min(fit.room.free.length, 63);
    (buckets[key] ??= []).push(fit);
  }
  const chosen: Fit[] = [];
  for (const bucket of buckets) {
    for (const fit of bucket ?? []) {
      if (chosen.length < count) chosen.push(fit);
    }
  }
  return chosen;
}

function because(fitting: number, need: Resources, resume: Resume | undefined): string {
  const text = `${fitting} node(s) had ${need.gpusPerNode} suitable free GPU(s); taken: ${
    resume ? "where its checkpoint is, then " : ""
  }the fullest that fit`;
  return resume ? `${text}; resumes from step ${resume.step}` : text;
}

/** `2 nodes with 4 GPUs each (vramGb 24, label zone: a)`. */
export function describeNeed(need: Resources): string {
  const extras = [
    need.vramGb ? `${need.vramGb} GB of memory each` : "",
    need.gpuModel ? `model ${need.gpuModel}` : "",
    ...Object.entries(need.nodeSelector).map(([key, value]) => `label ${key}: ${value}`),
    need.cpuCores ? `${need.cpuCores} CPU cores` : "",
    need.ramGb ? `${need.ramGb} GB of RAM` : "",
  ].filter((text) => text !== "");
  const base = `${need.nodes} node(s) with ${need.gpusPerNode} GPU(s)`;
  return extras.length > 0 ? `${base} (${extras.join(", ")})` : base;
}

function refuse(rooms: readonly Room[], need: Resources, fitting: number): Refusal {
  const suited = rooms.filter((room) => unsuitable(room, need) === undefined);
  const wanted = describeNeed(need);
  if (suited.length < need.nodes) {
    const other = rooms.find((room) => unsuitable(room, need) !== undefined);
    const message = `needs ${wanted}; the cluster has ${suited.length} such node(s)` +
      (other ? ` (${other.node.name} ${unsuitable(other, need)})` : "");
    return { reason: "Unschedulable", message, detail: message, sameForShape: true };
  }
  const obstacles = suited.flatMap((room) => {
    if (room.closed) return [`${room.node.name} ${room.closed}`];
    return room.busy.length > 0 ? [`${room.node.name}: ${room.busy.join(", ")}`] : [];
  });
  return {
    reason: "Resources",
    message: `needs ${wanted}; not enough are free`,
    detail: `${fitting} of ${need.nodes} node(s) found. ${
      obstacles.length === 0 ? "What was free went to jobs before it" : ""
    }${obstacles.slice(0, 5).join("; ")}${
      obstacles.length > 5 ? `; and ${obstacles.length - 5} more` : ""
    }`,
    sameForShape: true,
  };
}
