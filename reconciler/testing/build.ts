/**
 * Small worlds for tests of the planner, in as few words as the test needs.
 *
 * @example
 * const result = plan(world({ jobs: [job("a")], nodes: [reachable("n1")] }));
 *
 * @module
 */
import { type Cluster, DEFAULT_SCHEDULING, type Policy } from "../../cluster/cluster.ts";
import type { Gpu, GpuOwner } from "../../cluster/gpu.ts";
import type { NodeName, NodeSpec } from "../../cluster/node.ts";
import type { DesiredJob, JobName, JobSpec, Resources } from "../../jobs/job.ts";
import type { Checkpoint, RunExit, RunRecord } from "../../jobs/run.ts";
import type { Attempt, JobStatus, PlacedRank } from "../../jobs/status.ts";
import type { InvalidJob, PlanInput } from "../model.ts";
import type { NodeObservation, ReachableNode, UnknownNode } from "../ports.ts";

/** The present of all small worlds. */
export const NOW = Date.UTC(2026, 0, 1, 12);

/** ISO 8601 of so many milliseconds before the present. */
export function ago(ms: number): string {
  return new Date(NOW - ms).toISOString();
}

/** A policy; what is left out is as in the schema. */
export function policy(changes: Partial<Policy> = {}): Policy {
  return {
    pollIntervalMs: 10_000,
    statusMinIntervalMs: 5_000,
    nodeLostAfterMs: 60_000,
    maxStopsPerPass: 10,
    graceMs: 30_000,
    maxLaunchesPerPass: 500,
    ...changes,
  };
}

/** A machine of `cluster.yaml`. */
export function nodeSpec(name: string, changes: Partial<NodeSpec> = {}): NodeSpec {
  return {
    name: name as NodeName,
    connect: { kind: "ssh", host: name },
    address: `10.0.0.${name.length}`,
    labels: {},
    hardware: {},
    cpuSlots: 0,
    workdir: "~/.ugro",
    python: "python3",
    ...changes,
  };
}

/** A cluster of these machines. */
export function cluster(nodes: readonly (string | NodeSpec)[], changes: Partial<Cluster> = {}) {
  const full: Cluster = {
    name: "test",
    nodes: nodes.map((node) => typeof node === "string" ? nodeSpec(node) : node),
    environments: {},
    queues: [{ name: "default", priority: 0 }],
    users: [],
    groups: [],
    scheduling: DEFAULT_SCHEDULING,
    policy: policy(),
    communication: {},
    env: {},
    training: {},
    ...changes,
  };
  return full;
}

/** Changes of a job: of its spec, and what is around it. */
export type JobChanges = Omit<Partial<JobSpec>, "resources"> & {
  readonly resources?: Partial<Resources>;
  readonly file?: string;
  readonly specDigest?: string;
  readonly codeDigest?: string | null;
};

/** A valid manifest; digest `d1` unless told otherwise. */
export function job(name: string, changes: JobChanges = {}): DesiredJob {
  const { resources, file, specDigest, codeDigest, ...rest } = changes;
  return {
    file: file ?? `jobs/${name}.yaml`,
    specDigest: specDigest ?? "d1",
    codeDigest: codeDigest ?? null,
    spec: {
      name: name as JobName,
      queue: "default",
      priority: 0,
      state: "running",
      rerun: 0,
      program: { kind: "command", argv: ["train"] },
      code: { kind: "node" },
      args: [],
      flags: [],
      env: {},
      launcher: "processes",
      config: {},
      written: {},
      checkpoint: { pattern: "step-*", resumeArgs: [], neededBy: "all" },
      recovery: { maxRetries: 3, backoffMs: 10_000, maxBackoffMs: 300_000 },
      graceMs: 30_000,
      ...rest,
      resources: { nodes: 1, gpusPerNode: 1, nodeSelector: {}, ...resources },
    },
  };
}

/** A manifest that does not parse. */
export function broken(file: string, message = "`nodes` must be a number"): InvalidJob {
  return { file, problems: [{ file, line: 1, column: 1, message }] };
}

/** The uuid of a card of a machine. */
export function uuid(node: string, index = 0): string {
  return `GPU-${node}-${index}`;
}

/** One card; `users` have processes on it. */
export function gpu(node: string, index = 0, users: readonly GpuOwner[] = []): Gpu {
  return {
    uuid: uuid(node, index),
    index,
    model: "H100",
    memoryTotalMiB: 80_000,
    memoryUsedMiB: users.length > 0 ? 20_000 : 4,
    utilisationPct: 0,
    temperatureC: 40,
    powerW: 100,
    eccUncorrected: 0,
    processes: users.map((owner, i) => ({ pid: 100 + i, name: "x", usedMiB: 20_000, owner })),
  };
}

/** What a reachable machine says, by default that it has one idle card. */
export interface Seen {
  readonly gpus?: readonly Gpu[] | undefined;
  readonly gpuProblem?: string;
  readonly runs?: readonly RunRecord[];
  readonly checkpoints?: Readonly<Record<string, readonly (number | Checkpoint)[]>>;
  readonly bootId?: string;
}

/** A machine that answers. */
export function reachable(name: string, seen: Seen = {}): ReachableNode {
  const checkpoints = Object.entries(seen.checkpoints ?? {}).map(([jobName, list]) =>
    [jobName, list.map((c) => typeof c === "number" ? checkpoint(c) : c)] as const
  );
  return {
    state: "reachable",
    node: name as NodeName,
    bootId: seen.bootId ?? "boot-1",
    gpus: "gpus" in seen ? seen.gpus : [gpu(name)],
    ...(seen.gpuProblem ? { gpuProblem: seen.gpuProblem } : {}),
    cpuCores: 8,
    memoryTotalMiB: 64_000,
    memoryAvailableMiB: 60_000,
    diskFreeMiB: 100_000,
    runs: seen.runs ?? [],
    checkpoints: new Map(checkpoints),
  };
}

/** A checkpoint of a step. */
export function checkpoint(step: number, complete = true): Checkpoint {
  return { path: `/w/step-${step}`, step, complete, bytes: 1, modifiedAtMs: NOW };
}

/** A machine that has not answered for so long. */
export function unknown(name: string, forMs = 1000): UnknownNode {
  return { state: "unknown", node: name as NodeName, sinceMs: NOW - forMs, reason: "no answer" };
}

/** One rank: `run("a", 1, 0, ["n1", "n2"])` is on `n1`, the first of a gang of two. */
export function run(
  name: string,
  attempt: number,
  rank: number,
  nodes: readonly string[],
  changes: Partial<RunRecord> = {},
): RunRecord {
  return {
    job: name,
    attempt,
    rank,
    state: "running",
    epoch: 1,
    meta: { commit: "c0", specDigest: "d1", nodes, gpus: nodes.map((node) => [uuid(node)]) },
    gpus: [uuid(nodes[rank] ?? "")],
    masterPort: 29_500,
    createdAtMs: NOW - 10_000,
    startedAtMs: NOW - 9_000,
    bootId: "boot-1",
    processes: 2,
    stop: null,
    exit: null,
    error: null,
    ...changes,
  };
}

/** The fields of a run that has ended. */
export function ended(code: number | null, exit: Partial<RunExit> = {}): Partial<RunRecord> {
  const full = { code, signal: null, reason: "exited" as const, endedAtMs: NOW - 500, ...exit };
  return { state: "exited", processes: 0, exit: full };
}

/** The stop of a run that was told to. */
export const STOPPED = { reason: "test", requestedAtMs: NOW - 2000, graceMs: 30_000 };

/** An attempt on these machines, on card 0 of each. */
export function attempt(
  number: number,
  nodes: readonly string[],
  changes: Partial<Attempt> = {},
): Attempt {
  return {
    attempt: number,
    commit: "c0",
    specDigest: "d1",
    codeDigest: null,
    placement: nodes.map((node): PlacedRank => ({ node, gpus: [uuid(node)] })),
    because: "test",
    recordedAt: ago(10_000),
    ...changes,
  };
}

/** A remembered job. */
export function status(name: string, changes: Partial<JobStatus> = {}): JobStatus {
  const attempts = changes.attempts ?? [];
  return {
    name,
    file: `jobs/${name}.yaml`,
    commit: "c0",
    specDigest: "d1",
    queue: "default",
    priority: 0,
    phase: "Pending",
    reason: "New",
    message: "test",
    since: ago(20_000),
    submittedAt: ago(20_000),
    attempt: attempts.at(-1)?.attempt ?? 0,
    retries: 0,
    rerun: 0,
    conditions: [],
    ...changes,
    attempts,
  };
}

/** A remembered job that runs on these machines. */
export function running(name: string, nodes: readonly string[], changes: Partial<JobStatus> = {}) {
  return status(name, {
    phase: "Running",
    reason: "Running",
    message: `attempt 1 runs on ${nodes.join(", ")}`,
    attempts: [attempt(1, nodes, { startedAt: ago(9_000) })],
    ...changes,
  });
}

/** All that a plan is made of. */
export interface World {
  readonly jobs?: readonly DesiredJob[];
  readonly invalid?: Readonly<Record<string, InvalidJob>>;
  readonly history?: readonly JobStatus[];
  readonly nodes: readonly NodeObservation[];
  readonly cluster?: Cluster;
  readonly policy?: Partial<Policy>;
  readonly lost?: boolean;
  readonly unreadable?: Readonly<Record<string, string>>;
  readonly launchFailures?: PlanInput["observed"]["launchFailures"];
  /** Jobs whose checkpoints were looked for; default: all. */
  readonly checkpointsOf?: readonly string[];
  /** Nodes that could not list checkpoints: nothing is known of them there. */
  readonly unlisted?: readonly string[];
  readonly now?: number;
}

/** The planner's input for a small world. */
export function world(given: World): PlanInput {
  const jobs = given.jobs ?? [];
  const history = given.history ?? [];
  const names = [...jobs.map((j) => j.spec.name as string), ...history.map((s) => s.name)];
  const asked = given.checkpointsOf ?? names;
  const nodes = given.nodes.map((n) =>
    n.state === "unknown" || given.unlisted?.includes(n.node) ? n : {
      ...n,
      checkpoints: new Map([...asked.map((name) => [name, []] as const), ...n.checkpoints]),
    }
  );
  const base = given.cluster ?? cluster(given.nodes.map((n) => n.node));
  const invalid = new Map(Object.entries(given.invalid ?? {}));
  return {
    desired: {
      commit: "c1",
      cluster: given.policy ? { ...base, policy: { ...base.policy, ...given.policy } } : base,
      jobs: new Map(jobs.map((j) => [j.spec.name, j])),
      invalid,
      problems: [...invalid.values()].flatMap((j) => j.problems),
      empty: jobs.length + invalid.size === 0,
    },
    observed: {
      nodes: new Map(nodes.map((n) => [n.node, n])),
      launchFailures: given.launchFailures ?? new Map(),
      checkpointsOf: new Set(asked),
    },
    history: {
      head: given.lost ? undefined : "h1",
      jobs: new Map(history.map((s) => [s.name, s])),
      unreadable: new Map(Object.entries(given.unreadable ?? {})),
      lost: given.lost ?? false,
    },
    now: given.now ?? NOW,
  };
}
