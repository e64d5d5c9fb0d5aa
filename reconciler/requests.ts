/**
 * What the scheduler is told of the jobs: what each asks for, and what each has.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { DesiredJob, Resources } from "../jobs/job.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { liveAttempt } from "./job_status.ts";
import { lengthOf } from "./lengths.ts";
import { likelyGb } from "./memory_risk.ts";
import { attemptKey, type HostNeed, type Observed, type PlanInput } from "./model.ts";
import type { Holding, Request } from "./scheduling/types.ts";
import { hostNeedOf } from "./watch.ts";

/** A job that asks to be launched. */
export interface Candidate {
  readonly job: DesiredJob;
  readonly status: JobStatus;
}

/** Other jobs of the same manifest: how long they took tells how long this one will take. */
export type Siblings = (parent: string) => readonly JobStatus[];

const NOBODY: readonly JobStatus[] = [];

/** What a candidate asks for. */
export function requestOf({ job, status }: Candidate, siblings: Siblings, observed: Observed) {
  const { spec } = job;
  const family = spec.parent ? siblings(spec.parent) : NOBODY;
  const likely = likelyGb(job, status, family);
  const request: Request = {
    name: spec.name,
    queue: spec.queue,
    priority: spec.priority,
    user: spec.owner ?? "",
    need: spec.resources,
    length: lengthOf(job, status, family),
    submittedMs: Date.parse(status.submittedAt),
    preferred: preferredNodes(spec.name, status.attempts.at(-1), observed),
  };
  return likely === undefined ? request : { ...request, likelyGb: likely };
}

/** Nodes that have the newest checkpoint (2) or ran the last attempt (1). */
function preferredNodes(
  name: string,
  last: Attempt | undefined,
  observed: Observed,
): ReadonlyMap<string, number> {
  if (!last) return NONE;
  const preferred = new Map<string, number>();
  for (const placed of last.placement) preferred.set(placed.node, 1);
  if (!observed.checkpointsOf.has(name)) return preferred;
  let newest = 0;
  const steps = new Map<string, number>();
  for (const seen of observed.nodes.values()) {
    if (seen.state !== "reachable") continue;
    const found = seen.checkpoints.get(name)?.find((c) => c.complete);
    if (!found) continue;
    steps.set(seen.node, found.step);
    newest = Math.max(newest, found.step);
  }
  for (const [node, at] of steps) {
    if (at === newest) preferred.set(node, (preferred.get(node) ?? 0) + 2);
  }
  return preferred;
}

const NONE: ReadonlyMap<string, number> = new Map();

/** The jobs with a live attempt. */
export function liveOf(statuses: Iterable<JobStatus>): JobStatus[] {
  const live: JobStatus[] = [];
  for (const status of statuses) {
    const { attempts } = status;
    if (attempts.length > 0 && !attempts[attempts.length - 1]?.end) live.push(status);
  }
  return live;
}

/** What jobs have: those with a live attempt, as `statuses` say. */
export function holdingsOf(
  input: PlanInput,
  statuses: Iterable<JobStatus>,
  siblings: Siblings,
): Holding[] {
  const holdings: Holding[] = [];
  for (const status of statuses) {
    const attempt = liveAttempt(status);
    if (!attempt) continue;
    const job = input.desired.jobs.get(status.name);
    const { name, queue, priority, owner = "" } = status;
    holdings.push({
      name,
      queue,
      priority,
      user: owner,
      need: job?.spec.resources ?? { ...needOf(attempt), ...launchedWith(name, attempt, input) },
      length: job && lengthOf(job, status, job.spec.parent ? siblings(job.spec.parent) : NOBODY),
      placement: attempt.placement,
      startedMs: Date.parse(attempt.startedAt ?? attempt.recordedAt),
      unsure: !attempt.startedAt || status.phase === "Unknown" || isBeingStopped(status, attempt),
      leaving: input.now < (leavesByMs(status, attempt, input) ?? -Infinity),
      ...(job && isStoppable(status, attempt, input) ? {} : { fixed: true }),
      ...(grewInVain(status) ? { grewInVain: true } : {}),
      lostMs: lostMs(name, attempt, input),
    });
  }
  return holdings;
}

/** A stop takes the grace and some seconds; what is still there so long after it may never go. */
const STUCK_MS = 300_000;

function isBeingStopped({ reason }: JobStatus, { evicted }: Pick<Attempt, "evicted">): boolean {
  return evicted !== undefined || reason === "Stopping";
}

/** Until when a job that is being stopped may be expected to go; undefined: it is not. */
export function leavesByMs(
  status: JobStatus,
  attempt: Attempt,
  { desired }: Pick<PlanInput, "desired">,
): number | undefined {
  if (!isBeingStopped(status, attempt)) return undefined;
  const { evicted } = attempt;
  const graceMs = desired.jobs.get(status.name)?.spec.graceMs ?? desired.cluster.policy.graceMs;
  return Date.parse(evicted?.at ?? status.since) + graceMs + STUCK_MS;
}

/** True when its last attempt was stopped so that it could grow, and this one is no larger. */
function grewInVain({ attempts }: JobStatus): boolean {
  const [before, now] = attempts.slice(-2);
  return before?.evicted?.reason === "Resized" && before.evicted.by === undefined &&
    now !== undefined && now.placement.length <= before.placement.length;
}

/** False while a guard holds back its stop, or a node of it could not be told to. */
function isStoppable(
  status: JobStatus,
  attempt: Attempt,
  { observed }: PlanInput,
): boolean {
  const { conditions } = status;
  const { placement } = attempt;
  // One that was told and has not gone is not told again.
  return !isBeingStopped(status, attempt) && !conditions.some(({ type }) => type === "StopHeld") &&
    placement.every(({ node }) => observed.nodes.get(node as NodeName)?.state === "reachable");
}

/**
 * What a launch asked for of each of its machines: as its manifest says while it is the same, else
 * as was last known. undefined: nobody knows.
 */
export function launchedWith(
  job: string,
  launch: Pick<Attempt, "attempt" | "specDigest">,
  { desired, observed }: PlanInput,
): HostNeed | undefined {
  return hostNeedOf(job, launch, desired) ??
    observed.watched?.get(attemptKey(job, launch.attempt))?.host;
}

/** What a job whose manifest is gone or broken has. */
function needOf({ placement }: Attempt): Resources {
  const gpusPerNode = placement[0]?.gpus.length ?? 1;
  return { nodes: placement.length, gpusPerNode, nodeSelector: {} };
}

/** Time since the newest complete checkpoint, by our clock; since the start when there is none. */
function lostMs(name: string, attempt: Attempt, { observed, now }: PlanInput): number | undefined {
  if (!observed.checkpointsOf.has(name)) return undefined;
  let savedMs = Date.parse(attempt.startedAt ?? attempt.recordedAt);
  for (const { node } of attempt.placement) {
    const seen = observed.nodes.get(node as NodeName);
    if (seen?.state !== "reachable") continue;
    for (const { complete, modifiedAtMs } of seen.checkpoints.get(name) ?? []) {
      // A node's clock may be ahead: nothing was saved in the future.
      if (complete) savedMs = Math.max(savedMs, Math.min(modifiedAtMs, now));
    }
  }
  return Math.max(0, now - savedMs);
}
