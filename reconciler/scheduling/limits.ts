/**
 * What a queue, a user and a group may use at most. A job that would go past a limit waits, and the
 * others pass it: what it waits for is its own jobs' end, not room.
 *
 * @example
 * const limit = limitOf(request, gpusOf(request.need), ledger, input);
 * limit?.message; // "user ada may use 8 GPUs at once; with this job's 4 it would be more"
 *
 * @module
 */
import { byName, type Ledger } from "./ledger.ts";
import type { Request, ScheduleInput } from "./types.ts";

/** Why a job may not have GPUs now. */
export interface Limit {
  /** Names and limits only, so that it stands as long as the limit does. */
  readonly message: string;
  /** With the numbers of this moment. */
  readonly detail: string;
  readonly numbers: Readonly<Record<string, number>>;
  /** Whose limit it is, when others share it and the job could start under it some day. */
  readonly shared?: string;
}

/** Whose limits a job shares with others. */
export function sharedBy({ queue, user }: Request, { users }: Pick<LimitInput, "users">): string[] {
  return [ofQueue(queue), ...(byName(users).get(user)?.groups ?? []).map(ofGroup)];
}

function ofQueue(name: string): string {
  return `queue ${name}`;
}

function ofGroup(name: string): string {
  return `group ${name}`;
}

type LimitInput = Pick<ScheduleInput, "queues" | "users" | "groups" | "usage">;

/**
 * The first limit that the job would go past with so many GPUs; undefined: it may have them. Looked
 * at in order: its queue, its user, the user's groups. Without any `users:` nobody has limits but
 * the queues; neither has a user that `users:` does not name.
 */
export function limitOf(
  request: Request,
  gpus: number,
  ledger: Ledger,
  input: LimitInput,
): Limit | undefined {
  const limit = queueLimit(request, gpus, ledger, input);
  if (limit) return sharedWith(`queue ${request.queue}`, limit);
  const user = byName(input.users).get(request.user);
  if (!user) return undefined;
  const ofUser = atOnce(`user ${user.name}`, user.maxGpus, ledger.userGpus(user.name), gpus) ??
    inWeek(`user ${user.name}`, user.gpuHoursPerWeek, input.usage.week.get(user.name) ?? 0);
  if (ofUser) return ofUser;
  for (const name of user.groups) {
    const group = byName(input.groups).get(name);
    const ofGroup = atOnce(`group ${name}`, group?.maxGpus, ledger.groupGpus(name), gpus) ??
      inWeek(`group ${name}`, group?.gpuHoursPerWeek, ledger.groupWeekHours(name));
    if (ofGroup) return sharedWith(`group ${name}`, ofGroup);
  }
  return undefined;
}

function queueLimit(
  { queue: name }: Request,
  gpus: number,
  ledger: Ledger,
  { queues }: LimitInput,
): Limit | undefined {
  const queue = byName(queues).get(name);
  const used = ledger.queueGpus(name);
  const limit = atOnce(`queue ${name}`, queue?.maxGpus, used, gpus);
  if (limit || queue?.borrow !== false) return limit;
  return atOnce(`queue ${name}, which may not borrow,`, ledger.quotaOf(name), used, gpus);
}

/** Who waits for the ends of others' jobs may be overtaken for ever; see `schedule.ts`. */
function sharedWith(shared: string, limit: Limit): Limit {
  const { needed, limit: most } = limit.numbers;
  const isPossible = needed !== undefined && most !== undefined && needed <= most + 1e-6;
  return isPossible ? { ...limit, shared } : limit;
}

function atOnce(
  who: string,
  limit: number | undefined,
  used: number,
  needed: number,
): Limit | undefined {
  // As in the ledger: a millionth of a GPU is nothing.
  if (limit === undefined || used + needed <= limit + 1e-6) return undefined;
  const may = `${who} may use ${count(limit)} at once`;
  const never = needed > limit + 1e-6;
  return {
    message: never
      ? `can never start: it needs ${count(needed)}, and ${may}`
      : `${may}; with this job's ${show(needed)} it would be more`,
    detail: `${may} and has ${show(used)} now; this job needs ${show(needed)}`,
    numbers: { limit, used, needed },
  };
}

function inWeek(who: string, limit: number | undefined, used: number): Limit | undefined {
  if (limit === undefined || used < limit) return undefined;
  const may = `${who} may use ${show(limit)} GPU-hours in seven days`;
  return {
    message: limit > 0 ? `${may} and has used them` : `can never start: ${may}`,
    detail: `${may} and has used ${show(used)}`,
    numbers: { limitHours: limit, usedHours: used },
  };
}

function count(gpus: number): string {
  return `${show(gpus)} GPU${gpus === 1 ? "" : "s"}`;
}

function show(value: number): string {
  return String(Math.round(value * 100) / 100);
}
