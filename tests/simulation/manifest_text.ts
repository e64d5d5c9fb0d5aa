/**
 * What people write: manifests and `cluster.yaml`, in YAML's JSON form.
 *
 * @module
 */
import type { JobDoc, Scenario, ScenarioNode, Schedule } from "./scenario.ts";

/** GPUs of each rank. */
export function cardsOf({ gpus, share }: JobDoc): number {
  return share === undefined ? gpus : 1;
}

/** GPUs that a job with so many nodes has: parts of them, where it shares. */
export function gpusOf(doc: JobDoc, nodes = doc.nodes): number {
  return nodes * cardsOf(doc) * (doc.share ?? 1);
}

/** The manifest. Times in it are counted from `startMs`. */
export function manifestText(name: string, doc: JobDoc, startMs: number): string {
  const time = (seconds: number) => new Date(startMs + seconds * 1000).toISOString();
  return JSON.stringify({
    name,
    command: ["train"],
    resources: resourcesOf(doc),
    recovery: { maxRetries: doc.maxRetries, backoff: "5s", maxBackoff: "60s" },
    grace: `${doc.graceS}s`,
    training: { version: doc.version ?? 1 },
    secrets: { TOKEN: { env: "TOKEN" } },
    ...given("state", doc.state),
    ...given("priority", doc.priority),
    ...given("rerun", doc.rerun),
    ...given("owner", doc.owner),
    ...given("queue", doc.queue),
    ...given("after", doc.after),
    ...given("maxParallel", doc.maxParallel),
    ...(doc.maxDurationS ? { maxDuration: `${doc.maxDurationS}s` } : {}),
    ...(doc.startAfterS ? { startAfter: time(doc.startAfterS) } : {}),
    ...(doc.deadlineS ? { deadline: time(doc.deadlineS) } : {}),
    ...(doc.matrix ? { matrix: { seed: numbersTo(doc.matrix) } } : {}),
    ...(doc.schedule ? { schedule: scheduleOf(doc.schedule) } : {}),
    ...(doc.neededBy ? { checkpoint: { neededBy: doc.neededBy } } : {}),
    ...(doc.code === "repository" ? { code: { repository: "scripts" } } : {}),
    ...(doc.code === "git" ? { code: { git: "https://forge.example/a/b.git", rev: "v1" } } : {}),
  });
}

function resourcesOf(doc: JobDoc) {
  return {
    nodes: doc.maxNodes === undefined ? doc.nodes : `${doc.nodes}..${doc.maxNodes}`,
    gpusPerNode: cardsOf(doc),
    ...given("gpuShare", doc.share),
    ...given("mixedGpus", doc.mixed),
  };
}

function scheduleOf({ everyMin, concurrency, keep, startWithinS, retired }: Schedule) {
  const often = everyMin < 60 ? `*/${everyMin} * * * *` : `0 */${everyMin / 60} * * *`;
  const cron = retired ? "0 0 31 12 *" : often;
  return { cron, concurrency, keep, startWithin: `${startWithinS}s` };
}

/** 1 to n. */
export function numbersTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1);
}

function given(key: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [key]: value };
}

/** What decides what runs: two manifests that agree in it need no restart. */
export function decisive(doc: JobDoc): string {
  const { nodes, maxNodes, version, code, neededBy, share, mixed } = doc;
  const needs = [nodes, maxNodes ?? 0, cardsOf(doc), share ?? 0, mixed ?? false];
  return JSON.stringify([needs, version ?? 1, code ?? "", neededBy ?? ""]);
}

/** A cordon as a person writes it. */
export interface WrittenCordon {
  readonly untilMs?: number;
  readonly drain?: true;
  readonly index?: number;
}

/** `cluster.yaml`. */
export function clusterText(
  { policy }: Scenario,
  nodes: readonly ScenarioNode[],
  cordons: ReadonlyMap<string, WrittenCordon>,
): string {
  const { pollS, nodeLostAfterS, maxStopsPerPass, maxLaunchesPerPass } = policy;
  const { queues, users, groups, scheduling } = policy;
  return JSON.stringify({
    nodes: nodes.map(({ name, cpuSlots }) => ({
      name,
      host: `${name}.example`,
      ...(cpuSlots ? { cpuSlots } : {}),
      ...given("cordoned", cordonOf(cordons.get(name))),
    })),
    policy: {
      pollInterval: `${pollS}s`,
      nodeLostAfter: `${nodeLostAfterS}s`,
      maxStopsPerPass,
      maxLaunchesPerPass,
    },
    ...given("queues", queues),
    ...given("users", users),
    ...given("groups", groups),
    ...(scheduling ? { scheduling: schedulingOf(scheduling) } : {}),
  });
}

function schedulingOf(
  { policy, preempt, reclaim, protectS, protectPriority }: NonNullable<
    Scenario["policy"]["scheduling"]
  >,
) {
  return {
    ...given("policy", policy),
    preemption: {
      ...given("priority", preempt),
      ...given("reclaim", reclaim),
      ...given("protectFor", protectS === undefined ? undefined : `${protectS}s`),
      ...given("protectPriority", protectPriority),
    },
  };
}

function cordonOf(cordon: WrittenCordon | undefined) {
  if (!cordon) return undefined;
  const { untilMs, drain, index } = cordon;
  return {
    reason: "maintenance",
    ...given("drain", drain),
    ...given("until", untilMs === undefined ? undefined : new Date(untilMs).toISOString()),
    ...given("gpus", index === undefined ? undefined : [index]),
  };
}
