/**
 * Who may be stopped for whom. A queue has a right to its quota and a job to its priority; what is
 * protected, has just started, or is being stopped already is never touched. What an elastic job
 * has beyond its least size is anybody's.
 *
 * Three rules keep two jobs from stopping one another in turn. Priority goes strictly downwards.
 * What is within its quota cannot be reclaimed. And a job that borrows takes nothing by priority
 * from a queue that is within its quota, because that queue would take it back at once.
 *
 * @module
 */
import { byName, gpusOf, heldGpus, type Ledger } from "./ledger.ts";
import type { Claimant, Holding, Request, ScheduleInput } from "./types.ts";

/** Why a job may be stopped for another one. */
export type Grounds = "Preempted" | "Reclaimed" | "Resized";

/** What of the scheduler's input the policy looks at. */
export type PolicyInput = Pick<ScheduleInput, "queues" | "scheduling" | "now">;

/**
 * On what grounds a job may be stopped for a request; undefined: it may not.
 *
 * @param gone GPUs of each queue that are about to come free although `ledger` still counts them:
 *   those of jobs that are being stopped, and of the victims chosen so far.
 */
export function mayEvict(
  holding: Holding,
  request: Request,
  ledger: Ledger,
  input: PolicyInput,
  gone: ReadonlyMap<string, number> = new Map(),
): Exclude<Grounds, "Resized"> | undefined {
  const { policy, preemption } = input.scheduling;
  if (policy === "fifo" || isProtected(holding, input)) return undefined;
  if (preemption.byPriority && isLower(holding, request, input)) {
    if (!wouldBeTakenBack(holding, request, ledger, gone)) return "Preempted";
  }
  return preemption.reclaim && isBorrowed(holding, request, ledger, gone) ? "Reclaimed" : undefined;
}

/**
 * An elastic job with only those of its nodes that it has beyond its least size. For these it is
 * stopped and placed again whoever asks: it took them only while nobody else could use them.
 * undefined: it has none, or has just started.
 */
export function surplusOf(holding: Holding, input: PolicyInput): Holding | undefined {
  const { need, placement } = holding;
  if (need.maxNodes === undefined || placement.length <= need.nodes) return undefined;
  if (input.scheduling.policy === "fifo" || isUntouchable(holding, input)) return undefined;
  return { ...holding, placement: placement.slice(need.nodes) };
}

/** True for a job that nobody may stop for another one now. */
function isProtected(holding: Holding, input: PolicyInput): boolean {
  const { protectPriority = Infinity } = input.scheduling.preemption;
  return isUntouchable(holding, input) || holding.priority >= protectPriority ||
    byName(input.queues).get(holding.queue)?.preemptible === false;
}

/** True for a job that is being stopped, cannot be stopped, or has just started. */
function isUntouchable(
  { leaving, fixed = false, unsure = false, startedMs }: Holding,
  { scheduling, now }: PolicyInput,
): boolean {
  return leaving || fixed || unsure || now - startedMs < scheduling.preemption.protectMs;
}

/** Orders by what is worth less: the queue's priority, then the job's. */
export function byPriority(a: Claimant, b: Claimant, { queues }: PolicyInput): number {
  const ofQueue = (queue: string) => byName(queues).get(queue)?.priority ?? 0;
  return ofQueue(a.queue) - ofQueue(b.queue) || a.priority - b.priority;
}

function isLower(holding: Holding, request: Request, input: PolicyInput): boolean {
  return byPriority(holding, request, input) < 0;
}

/** True when the request borrows, and what it would take is covered by the quota of another queue. */
function wouldBeTakenBack(
  holding: Holding,
  request: Request,
  ledger: Ledger,
  gone: ReadonlyMap<string, number>,
): boolean {
  if (holding.queue === request.queue) return false;
  return comesBackFirst(holding, request, ledger, gone);
}

/**
 * True when a job that was stopped would be served before the request again: it is covered by a
 * quota, and the request is not. `gone` are the GPUs of each queue that the others leave who are
 * stopped with it.
 */
export function comesBackFirst(
  holding: Holding,
  request: Request,
  ledger: Ledger,
  gone: ReadonlyMap<string, number>,
): boolean {
  const { queue } = holding;
  const quota = ledger.quotaOf(queue);
  if (quota === undefined) return false;
  const others = staying(queue, ledger, gone) - heldGpus(holding);
  // An elastic one comes back at its least size.
  const isCovered = others + gpusOf(holding.need) <= quota + EPSILON;
  // Whoever borrows comes after whoever does not, be its priority what it will.
  return isCovered &&
    (queue === request.queue
      ? others + gpusOf(request.need) > quota + EPSILON
      : !ledger.isWithinQuota(request, gpusOf(request.need)));
}

/**
 * True when the request's queue has a right to GPUs, and the other queue can spare this job's: with
 * what it keeps, it still has its quota. A job that is larger than the whole quota of its queue runs
 * on borrowed GPUs in any case; were it spared, the lender would never get them back.
 */
function isBorrowed(
  holding: Holding,
  request: Request,
  ledger: Ledger,
  gone: ReadonlyMap<string, number>,
): boolean {
  const { queue } = holding;
  const quota = ledger.quotaOf(queue);
  if (quota === undefined || queue === request.queue) return false;
  if (!ledger.isWithinQuota(request, gpusOf(request.need))) return false;
  const stays = staying(queue, ledger, gone);
  const held = heldGpus(holding);
  // An elastic one comes back at its least size: if that is covered, only the rest is borrowed.
  if (held > gpusOf(holding.need) && stays - held + gpusOf(holding.need) <= quota + EPSILON) {
    return false;
  }
  return stays > quota + EPSILON && (held > quota + EPSILON || stays - held >= quota - EPSILON);
}

/** A millionth of a GPU is nothing, as in the ledger. */
const EPSILON = 1e-6;

/** GPUs that a queue has and keeps. */
function staying(queue: string, ledger: Ledger, gone: ReadonlyMap<string, number>): number {
  return ledger.queueGpus(queue) - (gone.get(queue) ?? 0);
}
