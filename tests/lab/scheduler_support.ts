/**
 * What the tests of the scheduler have in common: a cluster with queues and rules, what ranks left
 * behind line by line, and how many GPUs jobs had at once.
 *
 * @example
 * const lab = await schedulerLab(t, { scheduling: { preemption: { priority: true } } });
 * await lab.harness.push({ "cluster.yaml": lab.cluster({ h2: { cordoned: "fan" } }) });
 *
 * @module
 */
import { parse, stringify } from "yaml";
import type { JobStatus } from "../../jobs/status.ts";
import type { Harness } from "./harness.ts";
import { eventually } from "./processes.ts";
import type { Context } from "./suite.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A harness, and its `cluster.yaml` with changes to nodes by name. */
export interface SchedulerLab {
  readonly harness: Harness;
  cluster(changes?: Readonly<Record<string, Fields>>): string;
}

/** Starts a service on hosts with so many GPUs each; `sections` go into `cluster.yaml`. */
export async function schedulerLab(
  t: Context,
  sections: Fields,
  gpusPerHost = 1,
): Promise<SchedulerLab> {
  for (const host of t.lab.hosts) {
    await host.changeGpus((state) => {
      const [first] = state.gpus;
      if (first === undefined) throw new Error(`Cannot add GPUs to ${host.name}: it has none`);
      const more = Array.from({ length: gpusPerHost - 1 }, (_, k) => ({
        ...first,
        uuid: `GPU-${crypto.randomUUID()}`,
        "pci.bus_id": `00000000:0${k + 2}:00.0`,
      }));
      return { ...state, gpus: [first, ...more] };
    });
  }
  const options = { gpusPerHost, ...(t.python === "" ? {} : { python: t.python }) };
  const harness = await t.harness({ ...options, service: false });
  const cluster: SchedulerLab["cluster"] = (changes = {}) => {
    const plain = parse(harness.clusterYaml(options)) as { nodes: { name: string }[] };
    const nodes = plain.nodes.map((node) => ({ ...node, ...changes[node.name] }));
    return stringify({ ...plain, ...sections, nodes });
  };
  if (Object.keys(sections).length > 0) {
    await harness.commit({ "cluster.yaml": cluster() }, "queues and rules");
    await harness.publish();
  }
  await harness.startService();
  return { harness, cluster };
}

/** A line that a rank left in its trace. */
export interface Line {
  readonly event: string;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  readonly [fact: string]: unknown;
}

/** All that one start of one rank left, in order. */
export interface Trace {
  readonly job: string;
  readonly attempt: number;
  readonly rank: number;
  readonly lines: readonly Line[];
}

/** The traces of a job, by attempt and rank. */
export function tracesOf(harness: Harness, job: string): Trace[] {
  const traces: Trace[] = [];
  for (const { name } of Deno.readDirSync(harness.witnessDir)) {
    if (!name.startsWith(`${job}.`)) continue;
    const text = Deno.readTextFileSync(`${harness.witnessDir}/${name}`);
    // The last line may be half written.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").slice(0, -1);
    const lines = whole.map((line): Line => {
      const { time, ...facts } = JSON.parse(line) as { event: string; time: number };
      return { ...facts, timeMs: time * 1000 };
    });
    const [, attempt, rank] = name.split(".");
    traces.push({ job, attempt: Number(attempt), rank: Number(rank), lines });
  }
  return traces.sort((a, b) => a.attempt - b.attempt || a.rank - b.rank);
}

/** The steps that a rank took, in order. */
export function stepsOf({ lines }: Trace): number[] {
  return lines.filter(({ event }) => event === "step" || event === "alive")
    .map(({ step }) => Number(step));
}

/** Waits until some rank of an attempt has taken a step; gives that line. */
export function stepTaken(
  harness: Harness,
  job: string,
  attempt: number,
  step: number,
  timeoutMs = 60_000,
): Promise<Line> {
  const what = `see ${job}/${attempt} take step ${step}`;
  return eventually(what, timeoutMs, () => {
    const lines = tracesOf(harness, job).filter((trace) => trace.attempt === attempt)
      .flatMap((trace) => trace.lines);
    return lines.find((line) => Number(line["step"]) >= step);
  }, async () => `${await harness.statusFile(`jobs/${job}.yaml`)}${harness.service.tail(60)}`);
}

/** The most GPUs that jobs had at once, from the record of each attempt to its end. */
export function mostGpusAtOnce(statuses: readonly JobStatus[]): number {
  const attempts = statuses.flatMap((status) => status.attempts).map((attempt) => ({
    fromMs: Date.parse(attempt.recordedAt),
    toMs: Date.parse(attempt.endedAt ?? "9999-01-01T00:00:00Z"),
    gpus: attempt.placement.reduce((sum, { gpus }) => sum + gpus.length, 0),
  }));
  const had = (ms: number) =>
    attempts.filter(({ fromMs, toMs }) => fromMs <= ms && ms < toMs)
      .reduce((sum, { gpus }) => sum + gpus, 0);
  return Math.max(0, ...attempts.map(({ fromMs }) => had(fromMs)));
}

/** Seconds between two times in milliseconds, for people. */
export function seconds(fromMs: number, toMs: number): string {
  return `${((toMs - fromMs) / 1000).toFixed(1)} s`;
}

/** All ranks of it ended well. */
export function succeeded(status: JobStatus): boolean {
  return status.phase === "Succeeded";
}

/** A person did not want it any more, and it has ended. */
export function cancelled(status: JobStatus): boolean {
  return status.phase === "Cancelled";
}

/** Its newest attempt runs. */
export function running(status: JobStatus): boolean {
  return status.phase === "Running";
}

/** The nodes of the newest attempt in rank order. */
export function nodesOf({ attempts }: JobStatus): string[] {
  return attempts.at(-1)?.placement.map(({ node }) => node) ?? [];
}

/** The whole numbers from `from` to `to`, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, k) => from + k);
}
