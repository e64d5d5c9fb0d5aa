/**
 * Golden scenarios: a file tells manifests, machines and memory, and below `expect:` what one pass
 * makes of them.
 *
 * @module
 */
import { parse, stringify } from "yaml";
import type { RunRecord } from "../../jobs/run.ts";
import type { Attempt, JobStatus } from "../../jobs/status.ts";
import { SimRemote, SimRepository } from "../../providers/sim/repository.ts";
import { DesiredReader } from "../desired.ts";
import type { Action, Desired, Plan } from "../model.ts";
import { plan } from "../plan.ts";
import {
  ago,
  attempt,
  ended,
  gpu,
  NOW,
  reachable,
  run,
  status,
  STOPPED,
  unknown,
  uuid,
  world,
} from "./build.ts";

interface RunLine {
  readonly job: string;
  readonly attempt?: number;
  readonly nodes: readonly string[];
  /** `running` (default), `starting`, `stopping`, `exit N`, `stopped`, `lost`, `rebooted`. */
  readonly state?: string;
  /** Cards of each node; default: the first. */
  readonly gpus?: readonly number[];
}

interface NodeLine {
  readonly unknownForMs?: number;
  readonly gpus?: number;
  readonly gpuProblem?: string;
  readonly foreign?: readonly number[];
  readonly runs?: readonly RunLine[];
  readonly checkpoints?: Readonly<Record<string, readonly number[]>>;
}

interface StatusLine extends Omit<Partial<JobStatus>, "attempts"> {
  readonly attempts?: readonly (Partial<Attempt> & { readonly nodes: readonly string[] })[];
}

interface Scenario {
  readonly about: string;
  readonly files: Readonly<Record<string, string>>;
  readonly nodes: Readonly<Record<string, NodeLine>>;
  readonly history?: Readonly<Record<string, StatusLine>>;
  readonly lost?: boolean;
  readonly checkpointsOf?: readonly string[];
}

/** Plans what a scenario's text tells; gives the text with what came of it. */
export async function play(text: string): Promise<{ about: string; text: string }> {
  const [told = ""] = text.split(/^expect:/m, 1);
  const scenario = parse(told) as Scenario;
  const desired = await read(scenario.files);
  const result = plan(inputOf(scenario, desired));
  const expect = stringify({ expect: outcome(result) }, { lineWidth: 100 });
  return { about: scenario.about, text: `${told.trimEnd()}\n\n${expect}` };
}

async function read(files: Readonly<Record<string, string>>): Promise<Desired> {
  const remote = new SimRemote();
  remote.push(files);
  const { value, problems } = await new DesiredReader(new SimRepository(remote), {})
    .read(remote.desired);
  if (!value) throw new Error(`Cannot play: ${problems.map((p) => p.message).join("; ")}`);
  return value;
}

function inputOf(scenario: Scenario, desired: Desired) {
  const digestOf = (name: string) => desired.jobs.get(name)?.specDigest ?? "d1";
  const history = Object.entries(scenario.history ?? {}).map(([name, line]) =>
    status(name, {
      file: desired.jobs.get(name)?.file ?? `jobs/${name}.yaml`,
      ...line,
      attempts: (line.attempts ?? []).map(({ nodes, ...given }, i) =>
        attempt(i + 1, nodes, { specDigest: digestOf(name), recordedAt: ago(1000), ...given })
      ),
    })
  );
  const nodes = Object.entries(scenario.nodes).map(([name, line]) =>
    line.unknownForMs === undefined
      ? machine(name, line, digestOf)
      : unknown(name, line.unknownForMs)
  );
  const asked = scenario.checkpointsOf ?? [...desired.jobs.keys(), ...history.map((s) => s.name)];
  const base = world({ nodes, history, checkpointsOf: asked, lost: scenario.lost ?? false });
  return { ...base, desired };
}

function machine(name: string, line: NodeLine, digestOf: (job: string) => string) {
  const foreign = new Set(line.foreign ?? []);
  const gpus = Array.from(
    { length: line.gpus ?? 1 },
    (_, i) => gpu(name, i, foreign.has(i) ? [{ kind: "foreign" }] : []),
  );
  return reachable(name, {
    bootId: "boot-2",
    gpus: line.gpuProblem ? undefined : gpus,
    ...(line.gpuProblem ? { gpuProblem: line.gpuProblem } : {}),
    runs: (line.runs ?? []).map((r) => recordOf(name, r, digestOf(r.job))),
    checkpoints: line.checkpoints ?? {},
  });
}

function recordOf(node: string, line: RunLine, specDigest: string): RunRecord {
  const cards = line.gpus ?? [0];
  const gpus = line.nodes.map((name) => cards.map((i) => uuid(name, i)));
  const rank = line.nodes.indexOf(node);
  return run(line.job, line.attempt ?? 1, rank, line.nodes, {
    meta: { commit: "c0", specDigest, nodes: line.nodes, gpus },
    gpus: gpus[rank] ?? [],
    bootId: "boot-2",
    ...stateOf(line.state ?? "running"),
  });
}

function stateOf(word: string): Partial<RunRecord> {
  const exit = /^exit (\d+)$/.exec(word);
  if (exit) return ended(Number(exit[1]));
  switch (word) {
    case "running":
      return {};
    case "starting":
      return { state: "starting", startedAtMs: null, processes: 0 };
    case "stopping":
      return { state: "stopping", stop: STOPPED };
    case "stopped":
      return { ...ended(1, { reason: "stopped" }), stop: STOPPED };
    case "lost":
      return { state: "lost", processes: 2 };
    case "rebooted":
      return { state: "lost", processes: 0, bootId: "boot-1" };
  }
  throw new Error(`Cannot play a run that is ${word}: no such word`);
}

function outcome(result: Plan) {
  const statuses = [...result.statuses.values()].map((s) => {
    const last = s.attempts.at(-1);
    return [s.name, {
      phase: s.phase,
      reason: s.reason,
      message: s.message,
      ...(s.attempt > 0 ? { attempt: s.attempt } : {}),
      ...(s.retries > 0 ? { retries: s.retries } : {}),
      ...(s.notBefore ? { notBeforeInMs: Date.parse(s.notBefore) - NOW } : {}),
      ...(last?.end ? { ended: last.end } : {}),
      ...(s.attempts.at(-2)?.end ? { before: s.attempts.at(-2)?.end } : {}),
      ...(s.conditions.length > 0 ? { conditions: s.conditions.map((c) => c.type) } : {}),
    }];
  });
  return {
    actions: result.actions.map(told),
    statuses: Object.fromEntries(statuses),
    ...(result.waiting.length > 0
      ? { waiting: result.waiting.map((w) => `${w.job}: ${w.reason}: ${w.message}`) }
      : {}),
    ...(result.held.length > 0 ? { held: result.held } : {}),
    ...(result.needCheckpoints.length > 0 ? { needCheckpoints: result.needCheckpoints } : {}),
    ...(result.wakeAtMs === undefined ? {} : { wakeInMs: result.wakeAtMs - NOW }),
  };
}

function told(action: Action): string {
  switch (action.kind) {
    case "launch": {
      const { attempt: number, placement, resumedFrom } = action.attempt;
      const where = action.ranks.map((rank) => {
        const placed = placement[rank];
        return `${rank} on ${placed?.node} (${placed?.gpus.join(" ")})`;
      });
      const from = resumedFrom ? ` from ${resumedFrom.path}` : "";
      const name = action.job.spec.name;
      return `launch ${name}/${number} rank ${where.join(", ")}${from}: ${action.because}`;
    }
    case "stop": {
      const { job, attempt: number, rank } = action.run;
      const how = `in ${action.graceMs} ms: ${action.because}`;
      return `stop ${job}/${number}/${rank} on ${action.node} ${how}`;
    }
    case "clean":
      return `clean ${action.job} through ${action.throughAttempt} on ${action.node}: ` +
        action.because;
  }
}
