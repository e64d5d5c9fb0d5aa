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
import { JOB_NAME } from "../jobs/schema.ts";
import type { JobStatus } from "../jobs/status.ts";
import { decideJob } from "./decide.ts";
import { cleanings } from "./clean.ts";
import { pruneHold, stopBudget } from "./guards.ts";
import { type At, change, iso, move, putAttempt } from "./job_status.ts";
import type { Action, InvalidJob, Plan, PlanInput, Waiting } from "./model.ts";
import { roomsOf } from "./rooms.ts";
import { type Candidate, type Placement, queueOrder, schedule } from "./schedule.ts";
import { isAlive, type Sighting, sightingsByJob } from "./view.ts";

/** Reason of a job that waits for all nodes to say that they do not run it. */
const STATUS_LOST = "StatusLost";

/** Jobs that nobody knows and that one pass looks at: a node may claim as many as it likes. */
const MAX_STRANGERS = 100;

const NO_SIGHTINGS: readonly Sighting[] = [];

/** Plans one pass. */
export function plan(given: PlanInput): Plan {
  const input = withEveryNode(given);
  const { desired, observed, history, now } = input;
  const at: At = { now, commit: desired.commit };
  const sightings = sightingsByJob(observed.nodes);
  const reachable = [...observed.nodes.values()].some((node) => node.state === "reachable");
  const unclaimed = strangers(input, sightings);
  const prune = pruneHold(input, unclaimed);
  const mayStop = stopBudget(desired.cluster.policy.maxStopsPerPass);
  const claims = new Set<string>();
  const statuses = new Map<string, JobStatus>();
  const actions: Action[] = [];
  const candidates: Candidate[] = [];
  let wakeAtMs: number | undefined;
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
    });
    statuses.set(name, decision.status);
    for (const action of decision.actions) actions.push(action);
    wake(decision.wakeAtMs);
    if (decision.candidate) {
      candidates.push({ job: decision.candidate, status: decision.status });
    }
  }
  const queue = serve(input, candidates, statuses, at);
  wake(queue.wakeAtMs);
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
    const broken = byFile.get(status.file);
    if (!broken || desired.jobs.has(name) || broken.name === name) continue;
    if (status.reason === "ManifestDeleted" && isFinal(status.phase)) continue;
    if (!history.jobs.has(broken.name)) named.delete(broken.name);
    named.set(name, broken.job);
  }
  for (const name of desired.jobs.keys()) named.delete(name);
  return named;
}

interface Served {
  readonly launches: readonly Action[];
  readonly waiting: readonly Waiting[];
  readonly needCheckpoints: readonly string[];
  readonly wakeAtMs: number | undefined;
}

/** Serves the queue and writes what came of it into `statuses`. */
function serve(
  input: PlanInput,
  candidates: readonly Candidate[],
  statuses: Map<string, JobStatus>,
  at: At,
): Served {
  const { desired, observed } = input;
  const hold = fearOfForgotten(input);
  const ready: Candidate[] = [];
  const waiting: Waiting[] = [];
  for (const candidate of queueOrder(desired.cluster, candidates)) {
    const { name, reason } = candidate.status;
    const isHeld = hold !== undefined && (input.history.lost || reason === STATUS_LOST);
    const why = isHeld ? { reason: STATUS_LOST, message: hold } : candidate.job.blocked;
    if (!why) ready.push(candidate);
    else {
      waiting.push({ job: name, ...why });
      statuses.set(name, wait(candidate.status, why.reason, why.message, at));
    }
  }
  const rooms = roomsOf(desired.cluster, observed, statuses.values());
  const served = schedule(ready, rooms, observed, desired.cluster.policy.maxLaunchesPerPass);
  for (const { candidate, reason, message, detail } of served.waiting) {
    const { name } = candidate.status;
    waiting.push({ job: name, reason, message: detail });
    statuses.set(name, wait(candidate.status, reason, message, at));
  }
  const launches = served.placed.map((placement) => launch(placement, statuses, at));
  const limited = served.waiting.some((w) => w.reason === "LaunchLimit");
  const held = waiting.some((w) => w.reason === STATUS_LOST);
  const wakeAtMs = held || limited ? at.now + 1000 : undefined;
  return { launches, waiting, needCheckpoints: served.needCheckpoints, wakeAtMs };
}

/** A waiting job is `Pending`, or stays `Recovering` with what failed still told. */
function wait(status: JobStatus, reason: string, message: string, at: At): JobStatus {
  const phase = status.phase === "Recovering" ? "Recovering" : "Pending";
  return move(status, { phase, reason, message }, at);
}

/**
 * If the status branch was lost, a node that cannot be asked may run any job: those that were there
 * then are not launched until every node has answered or has been away for `nodeLostAfter`. Their
 * status says so, which is how a later pass, or another controller, knows.
 */
function fearOfForgotten({ desired, observed, now }: PlanInput): string | undefined {
  const lostAfter = desired.cluster.policy.nodeLostAfterMs;
  for (const { name } of desired.cluster.nodes) {
    const seen = observed.nodes.get(name);
    if (seen?.state === "unknown" && now - seen.sinceMs < lostAfter) {
      return `the status branch was lost and ${name} cannot be asked what it runs`;
    }
  }
  return undefined;
}

function launch(placed: Placement, statuses: Map<string, JobStatus>, at: At): Action {
  const { job, status, placement, because, resume } = placed;
  const number = status.attempt + 1;
  const attempt = {
    attempt: number,
    commit: at.commit,
    specDigest: job.specDigest,
    codeDigest: job.codeDigest,
    placement,
    because,
    ...(resume ? { resumedFrom: { path: resume.path, step: resume.step } } : {}),
    recordedAt: iso(at.now),
  };
  const nodes = placement.map((p) => p.node).join(", ");
  const message = `attempt ${number} is launched on ${nodes}` +
    (resume ? ` from step ${resume.step}` : "");
  const moved = move(status, { phase: "Launching", reason: "Launching", message }, at);
  const next = change(moved, {
    specDigest: job.specDigest,
    rerun: job.spec.rerun,
    notBefore: undefined,
  }, at);
  statuses.set(status.name, putAttempt(next, attempt, at));
  return {
    kind: "launch",
    job,
    attempt,
    ranks: placement.map((_, rank) => rank),
    masterPort: null,
    because,
  };
}
