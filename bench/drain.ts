/**
 * How many jobs the planner admits in a second: 15,000 jobs are submitted at once and drained
 * through `plan()`, pass after pass, on a simulated cluster of 1,000 nodes with 8 GPUs each.
 *
 * In the loop of a pass: the launches of the last pass run, some runs have ended (exit code 0), the
 * statuses of the last pass are the history of this one; then `plan()` with all of it. Only the
 * time in `plan()` counts. Not in the loop, as nothing of it is the planner's: git, ssh, and the
 * machines.
 *
 * @example
 * deno task bench drain
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { Resources } from "../jobs/job.ts";
import type { RunRecord } from "../jobs/run.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { Action, PlanInput } from "../reconciler/model.ts";
import { plan } from "../reconciler/plan.ts";
import type { ReachableNode } from "../reconciler/ports.ts";
import { ended, gpu, job, NOW, reachable, run, world } from "../reconciler/testing/build.ts";
import { median, time, type Timed } from "./stopwatch.ts";
import { figures, type Row, timings } from "./table.ts";
import { clusterOf, GPUS, nodeNames, scatter } from "./world.ts";

const NODES = 1000;
const JOBS = 15_000;
const ROUNDS = 3;
const PASS_MS = 10_000;
/** More passes than any drain needs: a bench must end. */
const MAX_PASSES = 10_000;

/** Of 100 jobs: mostly one GPU, few wide ones. */
const SHAPES: readonly (readonly [count: number, need: Partial<Resources>])[] = [
  [70, { gpusPerNode: 1 }],
  [14, { gpusPerNode: 2 }],
  [8, { gpusPerNode: 4 }],
  [5, { gpusPerNode: 8 }],
  [2, { nodes: 2, gpusPerNode: 8 }],
  [1, { nodes: 4, gpusPerNode: 8 }],
];
const BAG = SHAPES.flatMap(([count, need]) => Array.from({ length: count }, () => need));

/** What one drain is like. */
interface Drain {
  readonly name: string;
  /** `policy.maxLaunchesPerPass`. */
  readonly limit: number;
  /** Passes that a job runs: from half of it to one and a half times. */
  readonly passes: number;
  /** 50 users in 5 queues with quotas. */
  readonly shared: boolean;
}

const DRAINS: readonly Drain[] = [
  { name: "500 launches a pass (the default)", limit: 500, passes: 5, shared: false },
  { name: "500 a pass, 50 users, 5 queues", limit: 500, passes: 5, shared: true },
  { name: "500 a pass, the cluster stays full", limit: 500, passes: 20, shared: false },
  { name: "1,000 a pass", limit: 1000, passes: 4, shared: false },
];

/** The machines of a drain. */
class Machines {
  readonly nodes = new Map<NodeName, ReachableNode>();
  /** By the pass in which they end. */
  readonly #ending = new Map<number, RunRecord[]>();
  #started = 0;

  constructor(names: readonly string[], private readonly drain: Drain) {
    for (const name of names) {
      const gpus = Array.from({ length: GPUS }, (_, k) => gpu(name, k));
      this.nodes.set(name as NodeName, reachable(name, { gpus }));
    }
  }

  /** Does what a plan says. */
  act(actions: readonly Action[], pass: number, now: number): void {
    for (const action of actions) {
      if (action.kind === "launch") this.#launch(action, pass, now);
      if (action.kind === "clean") {
        this.#change(action.node, (runs) => runs.filter(({ job }) => job !== action.job));
      }
      // Nobody's manifest changes, and nobody is preempted: what has not ended goes on.
      if (action.kind === "stop") throw new Error(`Cannot stop ${action.run.job}: not simulated`);
    }
  }

  /** Ends what ends before this pass. */
  end(pass: number, now: number): void {
    const over = new Map<string, Set<string>>();
    for (const { job, meta } of this.#ending.get(pass) ?? []) {
      for (const node of meta.nodes) over.set(node, (over.get(node) ?? new Set()).add(job));
    }
    this.#ending.delete(pass);
    for (const [node, jobs] of over) {
      this.#change(
        node as NodeName,
        (runs) =>
          runs.map((one) => jobs.has(one.job) ? { ...one, ...ended(0, { endedAtMs: now }) } : one),
      );
    }
  }

  #launch({ job, attempt }: Extract<Action, { kind: "launch" }>, pass: number, now: number) {
    const { placement, specDigest, commit } = attempt;
    const nodes = placement.map(({ node }) => node);
    const gpus = placement.map((rank) => rank.gpus);
    const { name } = job.spec;
    placement.forEach((placed, rank) => {
      const started: RunRecord = run(name, attempt.attempt, rank, nodes, {
        meta: { commit, specDigest, nodes, gpus },
        gpus: placed.gpus,
        createdAtMs: now,
        startedAtMs: now,
      });
      this.#change(placed.node as NodeName, (runs) => [...runs, started]);
      if (rank === 0) this.#endLater(started, pass);
    });
  }

  #endLater(started: RunRecord, pass: number): void {
    const passes = Math.max(1, Math.round(this.drain.passes * (0.5 + scatter(this.#started++))));
    const others = this.#ending.get(pass + passes);
    if (others) others.push(started);
    else this.#ending.set(pass + passes, [started]);
  }

  #change(node: NodeName, to: (runs: readonly RunRecord[]) => readonly RunRecord[]): void {
    const seen = this.nodes.get(node);
    if (seen) this.nodes.set(node, { ...seen, runs: to(seen.runs) });
  }
}

/** What a drain took. */
interface Result {
  /** Of each `plan()`. */
  readonly times: readonly Timed<unknown>[];
  readonly heapMiB: number;
}

/** Submits all jobs and plans until the last of them has succeeded. */
function drainOnce(drain: Drain): Result {
  const names = nodeNames(NODES);
  const base = clusterOf(names, drain);
  const policy = { ...base.policy, maxLaunchesPerPass: drain.limit };
  const machines = new Machines(names, drain);
  const jobs = Array.from({ length: JOBS }, (_, i) =>
    job(`job-${String(i).padStart(5, "0")}`, {
      priority: i % 3,
      resources: BAG[Math.floor(scatter(i) * BAG.length)] ?? {},
      ...(drain.shared ? { owner: `u${i % 50}`, queue: `q${i % 5}` } : {}),
    }));
  const start = world({ cluster: { ...base, policy }, jobs, nodes: [], checkpointsOf: [] });
  let statuses: ReadonlyMap<string, JobStatus> = new Map();
  const times: Timed<unknown>[] = [];
  let heap = 0;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const now = NOW + pass * PASS_MS;
    machines.end(pass, now);
    const input: PlanInput = {
      ...start,
      observed: { ...start.observed, nodes: new Map(machines.nodes) },
      history: { ...start.history, jobs: statuses },
      now,
    };
    const timed = time(() => plan(input));
    const planned = timed.result;
    // Not the plan itself, which would stay in memory.
    times.push({ ...timed, result: undefined });
    heap = Math.max(heap, Deno.memoryUsage().heapUsed);
    statuses = planned.statuses;
    machines.act(planned.actions, pass, now);
    if (isDrained(statuses)) return { times, heapMiB: heap / 1024 / 1024 };
  }
  throw new Error(`Cannot drain ${JOBS} jobs in ${MAX_PASSES} passes: ${drain.name}`);
}

function isDrained(statuses: ReadonlyMap<string, JobStatus>): boolean {
  for (const { phase } of statuses.values()) if (phase !== "Succeeded") return false;
  return true;
}

/** Three rows a drain: admissions, passes, memory. */
export function benchDrain(): Promise<Row[]> {
  console.log(`${JOBS} jobs through plan() on ${NODES} nodes x ${GPUS} GPUs: time in plan() alone`);
  console.log(
    "Peers, in their own words and not measured here: Kueue about 43 a second in its own",
  );
  console.log("benchmark, Slurm 500 a second sustained.\n");
  const rows: Row[] = [];
  for (const drain of DRAINS) {
    const results = Array.from({ length: ROUNDS }, () => drainOnce(drain));
    const rate = (of: (timed: Timed<unknown>) => number) =>
      results.map(({ times }) => JOBS * 1000 / times.reduce((sum, each) => sum + of(each), 0));
    rows.push(
      {
        ...figures(`${drain.name}: admissions`, "a second", rate(({ wallMs }) => wallMs)),
        cpu: median(rate(({ cpuMs }) => cpuMs)),
      },
      timings(`${drain.name}: one pass`, results.flatMap(({ times }) => times)),
      figures(`${drain.name}: most heap in use`, "MiB", results.map(({ heapMiB }) => heapMiB)),
    );
  }
  return Promise.resolve(rows);
}
