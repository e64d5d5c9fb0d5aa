/**
 * Who has how many GPUs at this moment of a pass: by queue, by user, by group. What is placed is
 * added at once, so that quotas and fair share hold within one pass too. A CPU slot of a node
 * without GPUs counts as a GPU, here and in `usage.ts`.
 *
 * @example
 * const ledger = new Ledger(input, input.holdings);
 * ledger.isWithinQuota(request, gpusOf(request.need)); // true: it borrows from nobody
 * ledger.add(request, gpusOf(request.need)); // it has been placed
 *
 * @module
 */
import type { Group, Queue, User } from "../../cluster/cluster.ts";
import type { Resources } from "../../jobs/job.ts";
import type { Claimant, Holding, ScheduleInput } from "./types.ts";

/**
 * GPUs are counted in millionths, which are whole numbers: sums of shares such as 0.1 are exact and
 * do not depend on the order in which they are added.
 */
const MICRO = 1_000_000;

/** How far ahead fair share counts the GPUs that a user has now. */
const AHEAD_HOURS = 1;

/** GPUs that a need takes on so many nodes; a part of one where it has a `gpuShare`. */
export function gpusOf(need: Resources, nodes: number = need.nodes): number {
  return nodes * need.gpusPerNode * (need.gpuShare ?? 1);
}

/** GPUs that a job has, which for an elastic one may be more than it needs. */
export function heldGpus({ placement }: Pick<Holding, "placement">): number {
  return placement.reduce((sum, { gpus, share }) => sum + gpus.length * (share ?? 1), 0);
}

const indices = new WeakMap<object, ReadonlyMap<string, unknown>>();

/** Queues, users or groups by name; computed once for each list. */
export function byName<T extends { readonly name: string }>(
  list: readonly T[],
): ReadonlyMap<string, T> {
  const known = indices.get(list) as ReadonlyMap<string, T> | undefined;
  if (known) return known;
  const index = new Map(list.map((item) => [item.name, item]));
  indices.set(list, index);
  return index;
}

/** GPUs of each name, in millionths. */
class Counts {
  readonly #micro = new Map<string, number>();

  change(name: string, micro: number): void {
    this.#micro.set(name, (this.#micro.get(name) ?? 0) + micro);
  }

  micro(name: string): number {
    return this.#micro.get(name) ?? 0;
  }
}

/** Counts the GPUs of a pass. Its maps are as large as the queues, users and groups that it meets. */
export class Ledger {
  readonly #queues: ReadonlyMap<string, Queue>;
  readonly #users: ReadonlyMap<string, User>;
  readonly #groups: readonly Group[];
  readonly #usage: ScheduleInput["usage"];
  readonly #hasQuotas: boolean;
  readonly #ofQueue = new Counts();
  readonly #ofUser = new Counts();
  readonly #ofGroup = new Counts();
  #weekOfGroup: Map<string, number> | undefined;

  /** Begins with what `holdings` have, those that are being stopped included. */
  constructor(
    input: Pick<ScheduleInput, "queues" | "users" | "groups" | "usage">,
    holdings: readonly Holding[],
  ) {
    this.#queues = byName(input.queues);
    this.#users = byName(input.users);
    this.#groups = input.groups;
    this.#usage = input.usage;
    this.#hasQuotas = input.queues.some((queue) => queue.quotaGpus !== undefined);
    for (const holding of holdings) this.add(holding, heldGpus(holding));
  }

  /** The claimant has so many GPUs more. */
  add(claimant: Claimant, gpus: number): void {
    this.#change(claimant, Math.round(gpus * MICRO));
  }

  /** The claimant has so many GPUs less. */
  remove(claimant: Claimant, gpus: number): void {
    this.#change(claimant, -Math.round(gpus * MICRO));
  }

  /** GPUs that jobs of the queue have. */
  queueGpus(name: string): number {
    return this.#ofQueue.micro(name) / MICRO;
  }

  /** GPUs that jobs of the user have; "" for the jobs that name nobody. */
  userGpus(name: string): number {
    return this.#ofUser.micro(name) / MICRO;
  }

  /** GPUs that the members of the group have together. */
  groupGpus(name: string): number {
    return this.#ofGroup.micro(name) / MICRO;
  }

  /** GPU-hours that the members of the group have used together in the last seven days. */
  groupWeekHours(name: string): number {
    this.#weekOfGroup ??= this.#sumWeeks();
    return this.#weekOfGroup.get(name) ?? 0;
  }

  /**
   * GPUs that the queue is sure of: 0 for one without a quota when others have one, undefined when
   * none has.
   */
  quotaOf(queue: string): number | undefined {
    return this.#hasQuotas ? this.#queues.get(queue)?.quotaGpus ?? 0 : undefined;
  }

  /** True when the claimant's queue stays within its quota with so many GPUs more. */
  isWithinQuota(claimant: Claimant, gpus: number): boolean {
    const quota = this.quotaOf(claimant.queue);
    if (quota === undefined) return true;
    return this.#ofQueue.micro(claimant.queue) + Math.round(gpus * MICRO) <= quota * MICRO;
  }

  /**
   * How much a user has had in proportion to the user's share; who has least is next. The GPUs held
   * now count for the hour ahead, so that what has been placed in this pass, or has just started,
   * counts at once and in both cases alike.
   */
  score(user: string): number {
    const share = this.#users.get(user)?.share ?? 1;
    const used = (this.#usage.decayed.get(user) ?? 0) + this.userGpus(user) * AHEAD_HOURS;
    return share > 0 ? used / share : Infinity;
  }

  #change({ queue, user }: Claimant, micro: number): void {
    this.#ofQueue.change(queue, micro);
    this.#ofUser.change(user, micro);
    for (const group of this.#groupsOf(user)) this.#ofGroup.change(group, micro);
  }

  /** Each once, even if a user names it twice. */
  #groupsOf(user: string): ReadonlySet<string> {
    return new Set(this.#users.get(user)?.groups);
  }

  #sumWeeks(): Map<string, number> {
    const sums = new Map(this.#groups.map((group) => [group.name, 0]));
    for (const name of this.#users.keys()) {
      const used = this.#usage.week.get(name) ?? 0;
      for (const group of this.#groupsOf(name)) sums.set(group, (sums.get(group) ?? 0) + used);
    }
    return sums;
  }
}
