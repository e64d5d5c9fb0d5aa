/**
 * The planner: from what is wanted, what is seen and what is remembered to what is to be done.
 * Pure and synchronous: no clock, no random number, no I/O; its input is never changed.
 *
 * @example
 * const { actions, statuses } = plan({ desired, observed, history, now: clock.now() });
 *
 * @module
 */
import { isFinal } from "../jobs/lifecycle.ts";
import { nextExpiryMs } from "../cluster/cordon.ts";
import { JOB_NAME } from "../jobs/schema.ts";
import type { JobStatus } from "../jobs/status.ts";
import { decideJob } from "./decide.ts";
import { cleanings } from "./clean.ts";
import { pruneHold, stopBudget } from "./guards.ts";
import { asTemplateSays, withInstances } from "./instances.ts";
import type { At } from "./job_status.ts";
import type { Action, InvalidJob, Plan, PlanInput } from "./model.ts";
import { serveQueue } from "./queue.ts";
import type { Candidate } from "./requests.ts";
import { isAlive, type Sighting, sightingsByJob } from "./view.ts";

/** Jobs that nobody knows and that one pass looks at: a node may claim as many as it likes. */
const MAX_STRANGERS = 100;

const NO_SIGHTINGS: readonly Sighting[] = [];

/** Plans one pass. */
export function plan(given: PlanInput): Plan {
  const sightings = sightingsByJob(given.observed.nodes);
  const instances = withInstances(given.desired, given.history, given.now, living(sightings));
  const input = withEveryNode(withoutClaimed({ ...given, desired: instances.desired }));
  const { desired, observed, history, now } = input;
  const at: At = { now, commit: desired.commit };
  const reachable = [...observed.nodes.values()].some((node) => node.state === "reachable");
  const unclaimed = strangers(input, sightings);
  const prune = pruneHold(input, unclaimed);
  const mayStop = stopBudget(desired.cluster.policy.maxStopsPerPass);
  const claims = new Set<string>();
  const statuses = new Map<string, JobStatus>();
  const actions: Action[] = [];
  const candidates: Candidate[] = [];
  let wakeAtMs = instances.wakeAtMs;
  const wake = (ms: number | undefined) => {
    if (ms !== undefined) wakeAtMs = Math.min(ms, wakeAtMs ?? ms);
  };
  const invalid = invalidByName(input);
  for (const name of allNames(input, invalid, unclaimed)) {
    if (history.unreadable.has(name)) continue;
    const decision = decideJob({
      plan: input,
      name,
      want: desired.jobs.get(name),
      invalid: invalid.get(name),
      history: history.jobs.get(name),
      sightings: sightings.get(name) ?? NO_SIGHTINGS,
      networkWorks: reachable,
      claims,
      hold: { prune, mayStop },
      scheduled: instances.templates.get(name),
    });
    statuses.set(name, decision.status);
    for (const action of decision.actions) actions.push(action);
    wake(decision.wakeAtMs);
    if (decision.candidate) {
      const job = asTemplateSays(decision.candidate, desired);
      candidates.push({ job, status: decision.status });
    }
  }
  const queue = serveQueue(input, candidates, statuses, at);
  wake(queue.wakeAtMs);
  wake(nextExpiryMs(desired.cluster.nodes, now));
  actions.push(...queue.launches);
  actions.push(...cleanings(input));
  return {
    actions,
    statuses,
    waiting: queue.waiting,
    needCheckpoints: queue.needCheckpoints,
    wakeAtMs,
    held: prune ? [prune] : [],
  };
}

/** Jobs of which something lives somewhere. */
function living(sightings: ReadonlyMap<string, readonly Sighting[]>): string[] {
  return [...sightings].flatMap(([name, seen]) => seen.some((s) => isAlive(s.run)) ? [name] : []);
}

/** A node that was not observed at all is unknown, not removed. */
function withEveryNode(input: PlanInput): PlanInput {
  const { desired, observed, now } = input;
  const missing = desired.cluster.nodes.filter((node) => !observed.nodes.has(node.name));
  if (missing.length === 0) return input;
  const nodes = new Map(observed.nodes);
  for (const { name } of missing) {
    nodes.set(name, { state: "unknown", node: name, sinceMs: now, reason: "not observed yet" });
  }
  return { ...input, observed: { ...observed, nodes } };
}

/**
 * Leaves out jobs of a name under which a job of another file runs that is broken now: two files
 * that claim one name are a mistake, and none of them says that what runs is to stop.
 */
function withoutClaimed(input: PlanInput): PlanInput {
  const { desired, history } = input;
  const broken = new Set([...desired.invalid.values()].map(({ file }) => file));
  if (broken.size === 0) return input;
  const claimed = [...history.jobs.values()].filter(({ name, file, attempts }) => {
    const job = broken.has(file) ? desired.jobs.get(name) : undefined;
    const last = attempts.at(-1);
    return job && job.file !== file && last && !last.end && last.specDigest !== job.specDigest;
  });
  if (claimed.length === 0) return input;
  const jobs = new Map(desired.jobs);
  for (const { name } of claimed) jobs.delete(name);
  return { ...input, desired: { ...desired, jobs } };
}

/** Sorted, so that what a limit cuts off does not depend on the order of maps. */
function allNames(
  input: PlanInput,
  invalid: ReadonlyMap<string, unknown>,
  unclaimed: readonly string[],
): string[] {
  const { desired, history } = input;
  return [
    ...new Set([
      ...history.jobs.keys(),
      ...desired.jobs.keys(),
      ...invalid.keys(),
      ...unclaimed,
    ]),
  ].sort();
}

/**
 * Jobs that nobody wants or remembers, but that hold machines. A name that no manifest can have
 * names no file either: somebody else made that folder.
 */
function strangers(input: PlanInput, sightings: ReadonlyMap<string, readonly Sighting[]>) {
  const { desired, history } = input;
  const found = [...sightings].flatMap(([name, seen]) =>
    desired.jobs.has(name) || history.jobs.has(name) || !JOB_NAME.test(name) ||
      !seen.some((s) => isAlive(s.run))
      ? []
      : [name]
  );
  return found.toSorted().slice(0, MAX_STRANGERS);
}

/**
 * Broken manifests by the job they belong to. A file that does not parse names no job, so the job
 * that the status branch last saw in that file keeps it: it must not look deleted.
 */
function invalidByName(input: PlanInput): ReadonlyMap<string, InvalidJob> {
  const { desired, history } = input;
  if (desired.invalid.size === 0) return desired.invalid;
  const byFile = new Map([...desired.invalid].map(([name, job]) => [job.file, { name, job }]));
  const named = new Map(desired.invalid);
  for (const [name, status] of history.jobs) {
    const broken = byFile.get(status.file) ?? ofParent(input, status);
    if (!broken || desired.jobs.has(name) || broken.name === name) continue;
    if (status.reason === "ManifestDeleted" && isFinal(status.phase)) continue;
    if (!history.jobs.has(broken.name)) named.delete(broken.name);
    named.set(name, broken.job);
  }
  for (const name of desired.jobs.keys()) named.delete(name);
  return named;
}

/** One of many jobs of a manifest that was moved and broken: the file's name is its parent's. */
function ofParent({ desired }: PlanInput, { parent }: JobStatus) {
  const job = parent === undefined ? undefined : desired.invalid.get(parent);
  return job && parent !== undefined ? { name: parent, job } : undefined;
}
