/**
 * Large worlds for the planner: a cluster, jobs that run on it, and jobs that wait.
 *
 * @example
 * plan(build({ ...BASE, nodes: 1000, running: 2000, pending: 10_000 }));
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { DesiredJob, Resources } from "../jobs/job.ts";
import type { RunRecord } from "../jobs/run.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { PlanInput } from "../reconciler/model.ts";
import { plan } from "../reconciler/plan.ts";
import {
  ago,
  attempt,
  cluster,
  gpu,
  job,
  nodeSpec,
  reachable,
  run,
  running,
  status,
  unknown,
  world,
} from "../reconciler/testing/build.ts";

/** GPUs of each node. */
export const GPUS = 8;

const MINUTE_MS = 60_000;
const USERS = 50;
const QUEUES = 5;
const CHILDREN = 100;

/** What worlds differ in. */
export interface Mix {
  readonly nodes: number;
  /** Spread evenly over the nodes. */
  readonly running: number;
  readonly pending: number;
  /** GPUs of each node that running jobs leave free. */
  readonly free: number;
  /** What pending jobs ask for, in turn. */
  readonly shapes: readonly Partial<Resources>[];
  /** Nodes that do not answer. */
  readonly away: number;
  /** False: the pending jobs are new and were never planned. */
  readonly known: boolean;
  /** 50 users and 5 queues; each queue has a fifth of the cluster as its quota. */
  readonly shared?: boolean;
  /** Queues of the running jobs, of those 5: fewer means that they have borrowed. */
  readonly queuesInUse?: number;
  /** Running jobs may be stopped for those of a higher priority. */
  readonly byPriority?: boolean;
  /** Every job has a `maxDuration`, from 10 minutes to 4 days. */
  readonly lengths?: boolean;
  /** Pending jobs are children of manifests with a matrix, 100 each. */
  readonly children?: boolean;
}

/** One GPU each. */
export const SMALL: Mix["shapes"] = [{ nodes: 1, gpusPerNode: 1 }];

/** 16 shapes, from one GPU to 16 whole nodes. */
const MIXED: Mix["shapes"] = [1, 2, 4, 8].flatMap((gpusPerNode) =>
  [1, 2, 4, 16].map((nodes) => ({ nodes, gpusPerNode }))
);

/** 200 shapes: what people write differs in memory more than in GPUs. */
export const MANY: Mix["shapes"] = Array.from({ length: 200 }, (_, i) => ({
  ...MIXED[i % MIXED.length],
  ramGb: 1 + i % 50,
  vramGb: 10 + i % 60,
}));

/** The figures that issue and README speak of; every GPU is in use. */
export const BASE: Mix = {
  nodes: 1000,
  running: 2000,
  pending: 10_000,
  free: 0,
  shapes: MIXED,
  away: 0,
  known: true,
};

/** The same number from 0 to 1 for the same index, without any pattern. */
export function scatter(index: number): number {
  const mixed = Math.imul(index + 1, 0x9e3779b1);
  return (Math.imul(mixed ^ mixed >>> 15, 0x85ebca6b) >>> 0) / 2 ** 32;
}

/** Names of so many nodes. */
export function nodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `n${String(i).padStart(4, "0")}`);
}

/** The cluster of a mix. */
export function clusterOf(names: readonly string[], mix: Pick<Mix, "shared" | "byPriority">) {
  const base = cluster(names.map((name) => nodeSpec(name)));
  const preemption = { ...base.scheduling.preemption, byPriority: mix.byPriority ?? false };
  const plain: Cluster = { ...base, scheduling: { ...base.scheduling, preemption } };
  if (!mix.shared) return plain;
  const quotaGpus = names.length * GPUS / QUEUES;
  return {
    ...plain,
    queues: Array.from(
      { length: QUEUES },
      (_, i) => ({ name: `q${i}`, priority: 0, quotaGpus }),
    ),
    users: Array.from({ length: USERS }, (_, i) => ({ name: `u${i}`, groups: [], share: 1 })),
  };
}

/** What a job of a mix says besides its need. */
function describe(index: number, mix: Mix, queues: number, ranMs = 0) {
  const longest = Math.log(4 * 24 * 60 / 10);
  return {
    ...(mix.shared ? { owner: `u${index % USERS}`, queue: `q${index % queues}` } : {}),
    ...(mix.lengths
      ? { maxDurationMs: ranMs + Math.round(10 * Math.exp(scatter(index) * longest)) * MINUTE_MS }
      : {}),
  };
}

/** Builds a mix; with `known` as it is after it has been planned once. */
export function build(mix: Mix): PlanInput {
  const names = nodeNames(mix.nodes);
  const jobs: DesiredJob[] = [];
  const history: JobStatus[] = [];
  const runs = new Map<string, RunRecord[]>(names.map((name) => [name, []]));
  const perJob = mix.running > 0 ? (GPUS - mix.free) * mix.nodes / mix.running : 0;
  for (let i = 0; i < mix.running; i++) {
    const name = `run-${String(i).padStart(5, "0")}`;
    const node = names[i % mix.nodes] as string;
    const first = Math.floor(i / mix.nodes) * perJob;
    const gpus = Array.from({ length: perJob }, (_, k) => gpu(node, first + k).uuid);
    // Not one of them has just started, or nobody would stop it.
    const ranMs = 20 * MINUTE_MS + i * 1000;
    const startedAt = ago(ranMs);
    const spec = describe(i, mix, mix.queuesInUse ?? QUEUES, ranMs);
    const { maxDurationMs: _, ...known } = spec;
    const placed = attempt(1, [node], { placement: [{ node, gpus }], recordedAt: startedAt });
    jobs.push(job(name, { ...spec, resources: { gpusPerNode: perJob } }));
    history.push(running(name, [node], { ...known, attempts: [{ ...placed, startedAt }] }));
    runs.get(node)?.push(run(name, 1, 0, [node], { gpus }));
  }
  for (let i = 0; i < mix.pending; i++) {
    const parent = mix.children ? `sweep-${Math.floor(i / CHILDREN)}` : undefined;
    const name = `${parent ?? "wait"}-${String(i).padStart(5, "0")}`;
    const shape = mix.shapes[i % mix.shapes.length] ?? {};
    const spec = {
      priority: i % 5,
      ...describe(i, mix, QUEUES),
      ...(parent === undefined ? {} : { parent }),
    };
    jobs.push(job(name, { ...spec, resources: shape }));
    const { maxDurationMs: _, ...known } = spec;
    if (mix.known) history.push(status(name, known));
  }
  const given = (checkpointsOf: readonly string[]) =>
    world({
      cluster: clusterOf(names, mix),
      jobs,
      history,
      checkpointsOf,
      nodes: names.map((name, i) =>
        i < mix.away ? unknown(name) : reachable(name, {
          gpus: Array.from({ length: GPUS }, (_, k) => gpu(name, k)),
          runs: runs.get(name) ?? [],
        })
      ),
    });
  const fresh = given([]);
  if (!mix.known) return fresh;
  const first = plan(fresh);
  const asked = first.needCheckpoints.length > 0 ? given(first.needCheckpoints) : fresh;
  return { ...asked, history: { ...asked.history, jobs: settled(first.statuses) } };
}

/** What waits, as it was planned; what was launched or stopped by that stays as it was. */
function settled(statuses: ReadonlyMap<string, JobStatus>): ReadonlyMap<string, JobStatus> {
  return new Map([...statuses].map(([name, status]) => {
    const last = status.attempts.at(-1);
    if (!last?.evicted) return [name, status];
    const { evicted: _, ...rest } = last;
    return [name, { ...status, attempts: [...status.attempts.slice(0, -1), rest] }];
  }));
}
