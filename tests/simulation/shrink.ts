/**
 * Makes a failing scenario small: takes things out as long as the same invariant is violated.
 *
 * @module
 */
import { simulate } from "./run.ts";
import type { Fault, Scenario } from "./scenario.ts";

/** A scenario that violates an invariant. */
export interface Failing {
  readonly scenario: Scenario;
  readonly invariant: string;
  readonly message: string;
}

/** Shrinks while `mayGoOn`; undefined when the scenario violates nothing. */
export async function shrink(
  scenario: Scenario,
  mayGoOn: () => boolean,
): Promise<Failing | undefined> {
  let best = await failing(scenario);
  if (!best) return undefined;
  for (let smaller = true; smaller && mayGoOn();) {
    smaller = false;
    for (const candidate of candidates(best.scenario)) {
      if (!mayGoOn()) break;
      const found = await failing(candidate);
      if (found?.invariant !== best.invariant) continue;
      best = found;
      smaller = true;
      break;
    }
  }
  return best;
}

async function failing(scenario: Scenario): Promise<Failing | undefined> {
  const { violation } = await simulate(scenario);
  return violation && { scenario, invariant: violation.invariant, message: violation.message };
}

/** Smaller scenarios, the much smaller ones first. */
function* candidates(scenario: Scenario): Generator<Scenario> {
  const { faults, jobs, nodes, controllers } = scenario;
  for (const some of without(faults)) yield { ...scenario, faults: some };
  for (const some of without(jobs)) {
    const names = new Set(some.map(({ name }) => name));
    if (some.length === 0) continue;
    yield { ...scenario, jobs: some, faults: faults.filter((fault) => aboutJobs(fault, names)) };
  }
  for (const some of without(nodes)) {
    if (some.length === 0) continue;
    const names = new Set(some.map(({ name }) => name));
    const left = faults.filter((fault) =>
      !("node" in fault) || !fault.node || names.has(fault.node)
    );
    yield { ...scenario, nodes: some, faults: left };
  }
  if (controllers.length > 1) {
    const left = faults.filter((f) => !("controller" in f) || (f.controller ?? 0) === 0);
    yield { ...scenario, controllers: controllers.slice(0, 1), faults: left };
  }
  const lastMs = Math.max(0, ...faults.map(({ atMs }) => atMs), ...jobs.map(({ atMs }) => atMs));
  if (lastMs + 60_000 < scenario.calmAtMs) yield { ...scenario, calmAtMs: lastMs + 60_000 };
  yield* plainer(scenario);
}

/** A list without its half, its quarters, its eighths, … and each single item. */
function* without<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let size = Math.ceil(list.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < list.length; at += size) {
      yield [...list.slice(0, at), ...list.slice(at + size)];
    }
  }
}

function aboutJobs(fault: Fault, names: ReadonlySet<string>): boolean {
  if ("job" in fault) return names.has(fault.job);
  if (fault.kind !== "broken" || typeof fault.what === "string") return true;
  return names.has(fault.what.job);
}

/** Things left as they usually are. */
function* plainer(scenario: Scenario): Generator<Scenario> {
  const { nodes, controllers, jobs } = scenario;
  if ([...nodes, ...controllers].some(({ skewMs }) => skewMs)) {
    const right = <T extends { readonly skewMs?: number }>({ skewMs: _, ...rest }: T) => rest;
    yield { ...scenario, nodes: nodes.map(right), controllers: controllers.map(right) } as Scenario;
  }
  yield* plainerPolicy(scenario);
  for (const [i, job] of jobs.entries()) {
    for (const key of OPTIONAL) {
      if (job.doc[key] === undefined) continue;
      const { [key]: _, ...doc } = job.doc;
      yield { ...scenario, jobs: jobs.with(i, { ...job, doc }) };
    }
    for (const key of Object.keys(job.behaviour) as (keyof typeof job.behaviour)[]) {
      const { [key]: _, ...behaviour } = job.behaviour;
      if (key === "durationMs") continue;
      yield { ...scenario, jobs: jobs.with(i, { ...job, behaviour }) };
    }
  }
}

/** What a manifest may leave out. */
const OPTIONAL = [
  ...["state", "priority", "maxDurationS", "code", "neededBy", "owner", "queue"] as const,
  ...["maxNodes", "share", "mixed", "matrix", "maxParallel", "after", "startAfterS"] as const,
  ...["deadlineS", "schedule"] as const,
];

function* plainerPolicy(scenario: Scenario): Generator<Scenario> {
  const { policy } = scenario;
  for (const key of ["queues", "users", "groups", "scheduling"] as const) {
    if (policy[key] === undefined) continue;
    const { [key]: _, ...rest } = policy;
    yield { ...scenario, policy: rest };
  }
}
