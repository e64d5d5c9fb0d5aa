/**
 * How long the planner takes for a large cluster: 1,000 nodes of 8 GPUs and 10,000 jobs.
 *
 * @example
 * deno task bench plan
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import type { RunRecord } from "../jobs/run.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { PlanInput } from "../reconciler/model.ts";
import { plan } from "../reconciler/plan.ts";
import {
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
import { figures, type Row } from "./table.ts";

const REPEATS = 31;
const NODES = 1000;
const GPUS = 8;
const RUNNING = 2000;
const PENDING = 8000;

/** What differs between the mixes. */
interface Mix {
  readonly name: string;
  /** Shapes that pending jobs ask for, in turn. */
  readonly shapes: readonly { readonly nodes: number; readonly gpusPerNode: number }[];
  /** GPUs of each node that running jobs leave free. */
  readonly free: number;
  /** Nodes that do not answer. */
  readonly away: number;
  /** False: the pending jobs are new and were never planned. */
  readonly known: boolean;
}

const SMALL = [{ nodes: 1, gpusPerNode: 1 }];
const MIXED = [1, 2, 4, 8].flatMap((gpusPerNode) =>
  [1, 2, 4, 16].map((nodes) => ({ nodes, gpusPerNode }))
);
const MIXES: readonly Mix[] = [
  { name: "full, nothing changes", shapes: MIXED, free: 0, away: 0, known: true },
  { name: "full, 8,000 new jobs", shapes: MIXED, free: 0, away: 0, known: false },
  { name: "half free, small jobs", shapes: SMALL, free: 4, away: 0, known: false },
  { name: "half free, gangs", shapes: MIXED, free: 4, away: 0, known: false },
  { name: "one node in ten away", shapes: MIXED, free: 0, away: 100, known: true },
];

function nodeName(index: number): string {
  return `n${String(index).padStart(4, "0")}`;
}

/** Two running jobs a node, 8,000 pending ones; after one pass, unless the jobs are new. */
function build(mix: Mix): PlanInput {
  const names = Array.from({ length: NODES }, (_, i) => nodeName(i));
  const perJob = (GPUS - mix.free) / (RUNNING / NODES);
  const jobs: DesiredJob[] = [];
  const history: JobStatus[] = [];
  const runs = new Map<string, RunRecord[]>(names.map((name) => [name, []]));
  for (let i = 0; i < RUNNING; i++) {
    const name = `run-${String(i).padStart(5, "0")}`;
    const index = i % NODES;
    const node = nodeName(index);
    const first = Math.floor(i / NODES) * perJob;
    const gpus = Array.from({ length: perJob }, (_, k) => gpu(node, first + k).uuid);
    const placed = attempt(1, [node], { placement: [{ node, gpus }] });
    jobs.push(job(name, { resources: { gpusPerNode: perJob } }));
    history.push(
      running(name, [node], { attempts: [{ ...placed, startedAt: placed.recordedAt }] }),
    );
    runs.get(node)?.push(run(name, 1, 0, [node], { gpus }));
  }
  for (let i = 0; i < PENDING; i++) {
    const name = `wait-${String(i).padStart(5, "0")}`;
    const shape = mix.shapes[i % mix.shapes.length] ?? { nodes: 1, gpusPerNode: 1 };
    jobs.push(job(name, { priority: i % 5, resources: shape }));
    if (mix.known) history.push(status(name, { priority: i % 5 }));
  }
  const given = world({
    cluster: cluster(names.map((name) => nodeSpec(name))),
    jobs,
    history,
    checkpointsOf: [],
    nodes: names.map((name, i) =>
      i < mix.away ? unknown(name) : reachable(name, {
        gpus: Array.from({ length: GPUS }, (_, k) => gpu(name, k)),
        runs: runs.get(name) ?? [],
      })
    ),
  });
  return mix.known
    ? { ...given, history: { ...given.history, jobs: plan(given).statuses } }
    : given;
}

/** Times of plans, in milliseconds, after a few that are not counted. */
function measure(input: PlanInput): number[] {
  for (let i = 0; i < 5; i++) plan(input);
  return Array.from({ length: REPEATS }, () => {
    const start = performance.now();
    plan(input);
    return performance.now() - start;
  });
}

/** One row a mix. */
export function benchPlan(): Promise<Row[]> {
  const title = `plan ${NODES} nodes x ${GPUS} GPUs, ${RUNNING + PENDING} jobs: `;
  return Promise.resolve(
    MIXES.map((mix) => figures(title + mix.name, "ms", measure(build(mix)))),
  );
}
