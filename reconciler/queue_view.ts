/**
 * Who has how much, for people: each queue with its quota, each user with GPUs, use and share, all
 * counted as the scheduler counts (`scheduling/ledger.ts`, `usage.ts`). For whoever shows the
 * present, such as `GET /api/queue` and `ugro queue`: most of these numbers move with the clock.
 *
 * @example
 * const { users } = queueView(cluster, [...statuses], Date.now());
 * users[0]; // { name: "ada", gpus: 8, share: 1, decayedGpuHours: 120.5, score: 128.5, … }
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { JobStatus } from "../jobs/status.ts";
import { heldGpus, Ledger } from "./scheduling/ledger.ts";
import type { Usage } from "./scheduling/types.ts";
import { usageOf } from "./usage.ts";

/** Most queues, and most users, that are listed. */
export const LISTED = 200;

const NO_USAGE: Usage = { decayed: new Map(), week: new Map() };

/** A queue, and what its jobs have. */
export interface QueueRow {
  readonly name: string;
  readonly priority: number;
  readonly gpus: number;
  readonly quotaGpus?: number;
  readonly maxGpus?: number;
}

/** A user ("" stands for the jobs that name nobody), and what the jobs have and had. */
export interface UserRow {
  readonly name: string;
  readonly gpus: number;
  readonly share: number;
  /** Older ones count less, by `scheduling.halfLife`. */
  readonly decayedGpuHours: number;
  /** In the last seven days. */
  readonly weekGpuHours: number;
  /** Of fair share: who has least is next. null: the share is 0, so that everybody else is. */
  readonly score: number | null;
  readonly maxGpus?: number;
  readonly gpuHoursPerWeek?: number;
}

/** What of `cluster.yaml` decides who may have how much. */
export type Rules = Pick<Cluster, "queues" | "users" | "groups" | "scheduling">;

/** GPUs in use as the scheduler counts them, and the names that it met. */
export function countGpus(
  cluster: Rules,
  statuses: Iterable<JobStatus>,
  usage: Usage = NO_USAGE,
) {
  const ledger = new Ledger({ ...cluster, usage }, []);
  const queues = new Set<string>();
  const users = new Set<string>();
  for (const { name, queue, priority, owner: user = "", attempts } of statuses) {
    const attempt = attempts.at(-1);
    if (!attempt || attempt.end) continue;
    const need = { nodes: attempt.placement.length, gpusPerNode: 0, nodeSelector: {} };
    const claimant = { name, queue, priority, user, need, length: undefined };
    ledger.add(claimant, heldGpus(attempt));
    queues.add(queue);
    users.add(user);
  }
  return { ledger, queues, users };
}

/** All queues and users at this moment, sorted by name. */
export function queueView(cluster: Rules, statuses: readonly JobStatus[], now: number) {
  const usage = usageOf(statuses, now, cluster.scheduling.halfLifeMs);
  const { ledger, ...met } = countGpus(cluster, statuses, usage);
  const declaredQueues = new Map(cluster.queues.map((queue) => [queue.name, queue]));
  const declaredUsers = new Map(cluster.users.map((user) => [user.name, user]));
  const queues = sorted([...declaredQueues.keys(), ...met.queues]).map((name): QueueRow => ({
    name,
    priority: declaredQueues.get(name)?.priority ?? 0,
    gpus: ledger.queueGpus(name),
    ...given("quotaGpus", declaredQueues.get(name)?.quotaGpus),
    ...given("maxGpus", declaredQueues.get(name)?.maxGpus),
  }));
  const names = [...declaredUsers.keys(), ...met.users, ...usage.decayed.keys()];
  const users = sorted(names).map((name): UserRow => {
    const user = declaredUsers.get(name);
    const score = ledger.score(name);
    return {
      name,
      gpus: ledger.userGpus(name),
      share: user?.share ?? 1,
      decayedGpuHours: hundredths(usage.decayed.get(name) ?? 0),
      weekGpuHours: hundredths(usage.week.get(name) ?? 0),
      score: Number.isFinite(score) ? hundredths(score) : null,
      ...given("maxGpus", user?.maxGpus),
      ...given("gpuHoursPerWeek", user?.gpuHoursPerWeek),
    };
  });
  return { queues, users };
}

/** Each name once, in order, and not more of them than are listed. */
export function sorted(names: Iterable<string>): string[] {
  return [...new Set(names)].sort().slice(0, LISTED);
}

/** A field that is left out where there is nothing to say. */
export function given<K extends string, V>(key: K, value: V | undefined) {
  return (value === undefined ? {} : { [key]: value }) as { readonly [key in K]?: V };
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
