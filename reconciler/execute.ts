/**
 * Carries out a plan. Every effect is idempotent on the nodes, and none of its results is
 * remembered but the failures of launches: the next observation tells what became of it.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { NodeName, NodeSpec } from "../cluster/node.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Attempt } from "../jobs/status.ts";
import { type Action, attemptKey, type LaunchFailure } from "./model.ts";
import type { CodeArchive, Fleet, LaunchSpec, Outcome } from "./ports.ts";
import type { SecretStore, StateRepository } from "./ports.ts";
import { checkpointDir } from "./resume.ts";
import { readSecrets } from "./secrets.ts";

/** The doors that `execute` acts through. */
export interface Doors {
  readonly repository: StateRepository;
  readonly fleet: Fleet;
  /** Absent: no secret can be had. */
  readonly secrets?: SecretStore;
  readonly log: Log;
}

/** Structured log lines; `fields` never hold secrets. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  msg: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** What came of the actions. */
export interface Executed {
  readonly failures: ReadonlyMap<string, LaunchFailure>;
  /** Operations that were sent to nodes. */
  readonly mutations: number;
  /** Set when a node refused because a newer controller has been there. */
  readonly deposed: string | undefined;
}

/** Most launches and stops under way at once. */
const PARALLEL = 64;

/** Carries out the actions: stops and cleanings first, then the launches. */
export async function execute(
  actions: readonly Action[],
  cluster: Cluster,
  doors: Doors,
): Promise<Executed> {
  const failures = new Map<string, LaunchFailure>();
  let mutations = 0;
  let deposed: string | undefined;
  const note = (outcome: Outcome<unknown>) => {
    mutations++;
    if (outcome.kind === "terminal" && outcome.reason.startsWith("stale-epoch")) {
      deposed = outcome.reason;
    }
  };
  const launches = actions.filter((action) => action.kind === "launch");
  const others = actions.filter((action) => action.kind !== "launch");
  await inParallel(others, async (action) => {
    const outcome = await stopOrClean(action, doors.fleet);
    note(outcome);
    report(doors.log, action, outcome);
  });
  const archives = new Map<string, Promise<CodeArchive>>();
  await inParallel(launches, async (action) => {
    const failure = await launchGang(action, cluster, doors, archives, note);
    if (failure) failures.set(attemptKey(action.job.spec.name, action.attempt.attempt), failure);
  });
  return { failures, mutations, deposed };
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker));
}

type Other = Exclude<Action, { kind: "launch" }>;
type Launch = Extract<Action, { kind: "launch" }>;

function stopOrClean(action: Other, fleet: Fleet): Promise<Outcome<void>> {
  return action.kind === "stop"
    ? fleet.stop(action.node, action.run, action.graceMs, action.because)
    : fleet.clean(action.node, action.job, action.throughAttempt);
}

function report(log: Log, action: Other, outcome: Outcome<void>): void {
  const { kind, node, because } = action;
  const job = action.kind === "stop" ? action.run.job : action.job;
  const attempt = action.kind === "stop" ? action.run.attempt : action.throughAttempt;
  log(outcome.kind === "ok" ? "info" : "warn", kind, {
    node,
    job,
    attempt,
    because,
    ...(action.kind === "stop" ? { rank: action.run.rank, graceMs: action.graceMs } : {}),
    outcome: outcome.kind,
    ...(outcome.kind === "ok" ? {} : { reason: outcome.reason }),
  });
}

/**
 * Reads the secrets, ships the code, launches rank 0 (which finds a free port), then the others at
 * once. The secrets travel beside the spec, which is written down on the nodes.
 */
async function launchGang(
  action: Launch,
  cluster: Cluster,
  doors: Doors,
  archives: Map<string, Promise<CodeArchive>>,
  note: (outcome: Outcome<unknown>) => void,
): Promise<LaunchFailure | undefined> {
  const { job, attempt } = action;
  const fail = (rank: number, outcome: Exclude<Outcome<unknown>, { kind: "ok" }>) => {
    const node = attempt.placement[rank]?.node ?? "";
    const { reason, kind } = outcome;
    const fields = { job: job.spec.name, attempt: attempt.attempt, rank, node, reason };
    doors.log("warn", "launch failed", { ...fields, outcome: kind });
    // An epoch that is too low is about the controller, not about the job.
    const terminal = kind === "terminal" && !reason.startsWith("stale-epoch");
    return { terminal, node, rank, reason };
  };
  const secrets = await readSecrets(job, doors.secrets);
  if ("missing" in secrets) {
    return fail(action.ranks[0] ?? 0, { kind: "retryable", reason: secrets.missing });
  }
  const shipped = await shipCode(action, doors, archives, note);
  if (shipped) return fail(shipped.rank, shipped.outcome);
  const launchRank = async (rank: number, port: number) => {
    const node = attempt.placement[rank]?.node as NodeName;
    const spec = launchSpec(job, attempt, rank, port, cluster);
    if (!spec) {
      const reason = `${node} is not in cluster.yaml any more`;
      // The next pass sees that the node is gone, and places the job anew.
      return { rank, outcome: { kind: "retryable" as const, reason } };
    }
    const run = { job: job.spec.name, attempt: attempt.attempt, rank };
    const outcome = await doors.fleet.launch(node, run, spec, secrets.values);
    note(outcome);
    return { rank, outcome };
  };
  let port = action.masterPort;
  if (port === null) {
    const first = await launchRank(0, 0);
    if (first.outcome.kind !== "ok") return fail(0, first.outcome);
    port = first.outcome.value.run.masterPort;
    if (port === null) return fail(0, { kind: "retryable", reason: "rank 0 names no port" });
  }
  const others = action.ranks.filter((rank) => rank !== 0 || action.masterPort !== null);
  const results = await Promise.all(others.map((rank) => launchRank(rank, port ?? 0)));
  for (const { rank, outcome } of results) if (outcome.kind !== "ok") return fail(rank, outcome);
  doors.log("info", "launch", {
    job: job.spec.name,
    attempt: attempt.attempt,
    nodes: attempt.placement.map((p) => p.node),
    ranks: action.ranks,
    because: action.because,
  });
  return undefined;
}

async function shipCode(
  action: Launch,
  doors: Doors,
  archives: Map<string, Promise<CodeArchive>>,
  note: (outcome: Outcome<unknown>) => void,
): Promise<{ rank: number; outcome: Exclude<Outcome<void>, { kind: "ok" }> } | undefined> {
  const digest = action.attempt.codeDigest;
  if (digest === null) return undefined;
  const missing = action.ranks.filter((rank) =>
    !doors.fleet.hasCode(action.attempt.placement[rank]?.node as NodeName, digest)
  );
  if (missing.length === 0) return undefined;
  let archive: CodeArchive;
  try {
    const packing = archives.get(digest) ?? doors.repository.archive(digest);
    archives.set(digest, packing);
    archive = await packing;
  } catch (error) {
    const reason = `cannot pack the code ${digest.slice(0, 12)}: ${(error as Error).message}`;
    return { rank: missing[0] ?? 0, outcome: { kind: "retryable", reason } };
  }
  const sent = await Promise.all(missing.map(async (rank) => {
    const node = action.attempt.placement[rank]?.node as NodeName;
    const outcome = await doors.fleet.putCode(node, archive);
    note(outcome);
    return { rank, outcome };
  }));
  for (const { rank, outcome } of sent) if (outcome.kind !== "ok") return { rank, outcome };
  return undefined;
}

/** What one node is told; undefined when the node left the cluster. */
export function launchSpec(
  job: DesiredJob,
  attempt: Attempt,
  rank: number,
  masterPort: number,
  cluster: Cluster,
): LaunchSpec | undefined {
  const { spec } = job;
  const byName = new Map(cluster.nodes.map((node) => [node.name as string, node]));
  const node = byName.get(attempt.placement[rank]?.node ?? "");
  const first = byName.get(attempt.placement[0]?.node ?? "");
  if (!node || !first) return undefined;
  return {
    nodes: attempt.placement.length,
    gpusPerNode: spec.resources.gpusPerNode,
    gpus: attempt.placement[rank]?.gpus ?? [],
    master: { address: first.address, port: masterPort },
    localAddress: node.address,
    rendezvousId: `${spec.name}-${attempt.attempt}`,
    ...(node.interface ? { interface: node.interface } : {}),
    launcher: spec.launcher,
    program: spec.program,
    args: [...spec.flags, ...spec.args],
    code: attempt.codeDigest,
    workdir: spec.workdir ?? null,
    project: node.project ?? null,
    env: { ...cluster.env, ...spec.env },
    ...(spec.secrets ? { secretNames: Object.keys(spec.secrets) } : {}),
    python: node.python,
    activation: activationOf(node, job, cluster),
    checkpointDir: checkpointDir(job),
    resumeFrom: attempt.resumedFrom?.path ?? null,
    resumeStep: attempt.resumedFrom?.step ?? null,
    resumeArgs: attempt.resumedFrom ? spec.checkpoint.resumeArgs : [],
    config: spec.config,
    graceMs: spec.graceMs,
    meta: {
      commit: attempt.commit,
      specDigest: attempt.specDigest,
      nodes: attempt.placement.map((p) => p.node),
      gpus: attempt.placement.map((p) => p.gpus),
    },
  };
}

function activationOf(node: NodeSpec, job: DesiredJob, cluster: Cluster) {
  const name = job.spec.activate ?? node.activate;
  return name === undefined ? null : cluster.environments[name] ?? null;
}
