/**
 * Serves the queue of a pass: who may be tried at all, what the scheduler makes of them, and what
 * that means for the statuses.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { JobStatus } from "../jobs/status.ts";
import { earliest } from "./elapsed.ts";
import { familiesOf, type Family } from "./families.ts";
import { arrayLimit, gateOf, type Look } from "./gates.ts";
import {
  type At,
  change,
  hasStarted,
  iso,
  move,
  newestAttempt,
  putAttempt,
  putCondition,
  putEviction,
  STARTED,
} from "./job_status.ts";
import { withMemoryRisk } from "./memory_risk.ts";
import type { Action, PlanInput, Waiting } from "./model.ts";
import {
  type Candidate,
  holdingsOf,
  launchedWith,
  leavesByMs,
  liveOf,
  requestOf,
} from "./requests.ts";
import { chooseResume, type Resume } from "./resume.ts";
import { bookingsOf, roomsOf } from "./scheduling/rooms.ts";
import { schedule } from "./scheduling/schedule.ts";
import type { Confirmation, Evict, Placed, Schedule } from "./scheduling/types.ts";
import { inTurn } from "./turns.ts";
import { usageOf } from "./usage.ts";

/** Reason of a job that waits for all nodes to say that they do not run it. */
const STATUS_LOST = "StatusLost";

/** Reason of a job whose checkpoint is not where it could run. */
const NOT_SHARED = "CheckpointNotShared";

/**
 * Reasons of jobs that wait for something which their siblings have no part in. They are tried
 * beside as many others as `maxParallel` says: a sweep does not stand still for one of its jobs.
 */
const STUCK: ReadonlySet<string> = new Set([NOT_SHARED, "Unschedulable"]);

/** What came of the queue. */
export interface Served {
  readonly launches: readonly Action[];
  readonly waiting: readonly Waiting[];
  readonly needCheckpoints: readonly string[];
  readonly wakeAtMs: number | undefined;
}

/** Serves the queue and writes what came of it into `statuses`. */
export function serveQueue(
  input: PlanInput,
  candidates: readonly Candidate[],
  statuses: Map<string, JobStatus>,
  at: At,
): Served {
  const family = familiesOf(input.desired, statuses);
  const gated = passGates(input, candidates, statuses, family, at);
  const siblings = (parent: string) => family.childrenOf(parent);
  const { cluster } = input.desired;
  const jobs = new Map(gated.ready.map((candidate) => [candidate.status.name, candidate]));
  const requests = gated.ready.map((one) => requestOf(one, siblings, input.observed));
  const live = liveOf(statuses.values());
  const holdings = holdingsOf(input, live, siblings);
  const bookings = bookingsOf(
    input.observed,
    live,
    (name, launch) => launchedWith(name, launch, input),
    (name) => statuses.get(name),
  );
  const beyond = beyondLimit(family);
  const resumes = new Map<string, Resume>();
  const served = schedule({
    requests,
    holdings,
    rooms: roomsOf(cluster, input.observed, bookings, input.now),
    queues: cluster.queues,
    users: cluster.users,
    groups: cluster.groups,
    scheduling: cluster.scheduling,
    usage: usageOf(statuses.values(), input.now, cluster.scheduling.halfLifeMs),
    now: input.now,
    limit: cluster.policy.maxLaunchesPerPass,
    confirm: (request, nodes) => {
      const asks = jobs.get(request.name);
      const candidate = asks ?? running(input, statuses, request.name);
      const answer = confirm(input, candidate, nodes, resumes);
      return (answer.kind === "refused" ? undefined : asks && beyond(asks)) ?? answer;
    },
  });
  const waiting = noteWaiting(served, jobs, statuses, at);
  noteEvictions(input, served.evictions, statuses, at);
  const launches = served.placed.flatMap((placed) => {
    const candidate = jobs.get(placed.request.name);
    if (!candidate) return [];
    const { job: { spec: { parent } } } = candidate;
    const resume = resumes.get(placed.request.name);
    const { status, action } = launch(placed, candidate, resume, at);
    const { placement } = placed;
    const others = parent === undefined ? [] : siblings(parent);
    const told = withMemoryRisk(status, candidate.job, placement, others, input.observed, at);
    statuses.set(status.name, told);
    return [action];
  });
  const soon = gated.held || served.waiting.some((w) => w.reason === "LaunchLimit");
  return {
    launches,
    waiting: [...waiting, ...gated.waiting],
    needCheckpoints: needCheckpoints(served).filter((name) => input.desired.jobs.has(name)),
    wakeAtMs: earliest(
      gated.wakeAtMs,
      soon ? at.now + 1000 : undefined,
      // The record comes first; the next pass stops them.
      served.evictions.length > 0 ? at.now + 1 : undefined,
      nextStuckMs(input, live),
    ),
  };
}

/** When one that is being stopped is to be taken for stuck, next. */
function nextStuckMs(input: PlanInput, live: readonly JobStatus[]): number | undefined {
  const times = live.flatMap((status) => {
    const attempt = newestAttempt(status);
    const byMs = attempt && leavesByMs(status, attempt, input);
    return byMs !== undefined && byMs > input.now ? [byMs] : [];
  });
  return earliest(...times);
}

interface Gated {
  readonly ready: readonly Candidate[];
  readonly waiting: readonly Waiting[];
  /** True when somebody waits for nodes to answer. */
  readonly held: boolean;
  readonly wakeAtMs: number | undefined;
}

/** Sorts out who may not be launched now, whatever is free. */
function passGates(
  input: PlanInput,
  candidates: readonly Candidate[],
  statuses: Map<string, JobStatus>,
  family: Family,
  at: At,
): Gated {
  const hold = fearOfForgotten(input);
  const look = { ...family, now: at.now };
  const ready: Candidate[] = [];
  const waiting: Waiting[] = [];
  let held = false;
  let wakeAtMs: number | undefined;
  for (const candidate of candidates) {
    const { name, reason } = candidate.status;
    const isHeld = hold !== undefined && (input.history.lost || reason === STATUS_LOST);
    held ||= isHeld;
    const why = isHeld ? { reason: STATUS_LOST, message: hold } : barOf(candidate, look);
    if (!why) {
      const { parent } = candidate.job.spec;
      if (parent !== undefined && !STUCK.has(reason)) family.admit(parent);
      ready.push(candidate);
      continue;
    }
    if ("wakeAtMs" in why) wakeAtMs = earliest(wakeAtMs, why.wakeAtMs);
    waiting.push({ job: name, reason: why.reason, message: why.message });
    statuses.set(name, wait(candidate.status, why.reason, why.message, at));
  }
  return { ready, waiting, held, wakeAtMs };
}

/** What keeps a candidate from being tried. A job that goes on is asked no more whom it waits for. */
function barOf({ job, status }: Candidate, look: Look) {
  const started = hasStarted(status);
  const { blocked } = job;
  const isOpen = started && blocked?.reason === "DependencyCycle";
  return (isOpen ? undefined : blocked) ?? gateOf(job, look, started);
}

/** Refuses further children once as many of them hold or get GPUs as `maxParallel` says. */
function beyondLimit(family: Family): (candidate: Candidate) => Confirmation | undefined {
  const granted = new Map<string, Set<string>>();
  return ({ job: { spec: { name, parent, maxParallel } } }) => {
    if (parent === undefined || maxParallel === undefined) return undefined;
    const names = granted.get(parent) ?? new Set();
    granted.set(parent, names);
    if (!names.has(name) && family.holdingOf(parent) + names.size >= maxParallel) {
      return { kind: "refused", ...arrayLimit(parent, maxParallel) };
    }
    names.add(name);
    return undefined;
  };
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

/** A job that has GPUs, as a candidate for others. */
function running(
  { desired }: PlanInput,
  statuses: ReadonlyMap<string, JobStatus>,
  name: string,
): Candidate | undefined {
  const [job, status] = [desired.jobs.get(name), statuses.get(name)];
  return job && status && { job, status };
}

/** Can the job go on from its checkpoint on these nodes? */
function confirm(
  input: PlanInput,
  candidate: Candidate | undefined,
  nodes: readonly NodeName[],
  resumes: Map<string, Resume>,
): Confirmation {
  if (!candidate || candidate.status.attempt === 0) return { kind: "go" };
  const { name } = candidate.status;
  if (!input.observed.checkpointsOf.has(name)) return { kind: "ask" };
  const resume = chooseResume(candidate.job, candidate.status, nodes, input.observed);
  if (resume.kind === "refused") {
    return { kind: "refused", reason: NOT_SHARED, message: resume.message };
  }
  if (resume.kind === "fresh") return { kind: "go" };
  resumes.set(name, resume);
  return { kind: "go", order: resume.order, note: `resumes from step ${resume.step}` };
}

/**
 * Writes why jobs wait. While their checkpoints are looked at, what was found when they were looked
 * at last stands.
 */
function noteWaiting(
  served: Schedule,
  jobs: ReadonlyMap<string, Candidate>,
  statuses: Map<string, JobStatus>,
  at: At,
): Waiting[] {
  const waiting: Waiting[] = served.asked.flatMap((name) => {
    const status = jobs.get(name)?.status;
    return status?.reason === NOT_SHARED
      ? [{ job: name, reason: NOT_SHARED, message: status.message }]
      : [];
  });
  for (const { waits, ahead } of inTurn(served.waiting)) {
    const { request: { name }, reason, message, detail, numbers, expected } = waits;
    const told = { job: name, reason, message: detail, ahead, numbers };
    waiting.push(expected ? { ...told, expected } : told);
    const candidate = jobs.get(name);
    if (candidate) statuses.set(name, wait(candidate.status, reason, message, at));
  }
  return waiting;
}

/** Who was refused for where its checkpoints are is asked again, so that the answer stands. */
function needCheckpoints(served: Schedule): string[] {
  const refused = served.waiting.filter((w) => w.reason === NOT_SHARED);
  return [...new Set([...served.asked, ...refused.map((w) => w.request.name)])];
}

/** Records who must go, but for those whom nobody would stop: they would be leaving for ever. */
function noteEvictions(
  { desired }: PlanInput,
  evictions: readonly Evict[],
  statuses: Map<string, JobStatus>,
  at: At,
): void {
  for (const evict of evictions) if (desired.jobs.has(evict.job)) noteEviction(evict, statuses, at);
}

/** Records that an attempt must go; the next pass stops it. */
function noteEviction(evict: Evict, statuses: Map<string, JobStatus>, at: At): void {
  const status = statuses.get(evict.job);
  if (!status) return;
  const { reason, by, message } = evict;
  const evicted = {
    reason,
    ...(by === evict.job ? {} : { by }),
    message,
    at: iso(at.now),
  };
  statuses.set(evict.job, putEviction(status, evicted, at));
}

/** The next attempt of a job: what is recorded of it, and what starts it. */
function launch(
  { placement, because }: Placed,
  { job, status }: Candidate,
  resume: Resume | undefined,
  at: At,
): { status: JobStatus; action: Action } {
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
  const ranks = placement.map((_, rank) => rank);
  return {
    status: putCondition(putAttempt(next, attempt, at), STARTED, undefined, at),
    action: { kind: "launch", job, attempt, ranks, masterPort: null, because },
  };
}
