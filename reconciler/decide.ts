/**
 * Decides about one job: its status, what must be stopped, and whether it asks to be launched.
 * Whether there is room for it is the business of `queue.ts`.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { RunRecord } from "../jobs/run.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { LAUNCH_TIMEOUT_MS } from "./attempt_step.ts";
import { decideActive } from "./decide_active.ts";
import { decideIdle } from "./decide_idle.ts";
import type { Decision, JobInput } from "./decision.ts";
import {
  type At,
  change,
  describeInvalid,
  describeJob,
  iso,
  newestAttempt,
  newStatus,
  putAttempt,
} from "./job_status.ts";
import type { Action } from "./model.ts";
import { isAlive, type Sighting } from "./view.ts";

/** Decides about one job. Pure but for `hold.mayStop`, which counts, and `claims`. */
export function decideJob(input: JobInput): Decision {
  const { plan, want, invalid } = input;
  const at: At = { now: plan.now, commit: plan.desired.commit };
  let status = adopt(input, at);
  if (want) status = describeJob(status, want, at);
  if (invalid) status = describeInvalid(status, invalid, at);
  const attempt = newestAttempt(status);
  const decision = attempt && !attempt.end
    ? decideActive(input, status, attempt, at)
    : decideIdle(input, status, at);
  const old = oldRuns(input, attempt);
  if (old.length === 0) return decision;
  // Nothing is launched beside what is still dying, whether or not it must be told again.
  const { candidate: _, ...rest } = decision;
  const others = decision.actions.filter((action) => action.kind !== "launch");
  return { ...rest, actions: [...fences(old, attempt), ...others] };
}

/** How far a run that the status branch does not know may be ahead of it: it was rewound. */
const MAX_AHEAD = 1000;

/** The status from history; runs that history does not know (it was lost) are adopted. */
function adopt(input: JobInput, at: At): JobStatus {
  const { name, history, want, invalid, sightings } = input;
  const file = want?.file ?? invalid?.file ?? history?.file ?? "";
  const status = history ?? newStatus(name, file, at);
  if (!sightings.some(({ run }) => run.attempt > status.attempt)) return status;
  if (isConfirmed(newestAttempt(status), sightings)) return status;
  const credible = sightings.filter((s) =>
    speaksForItself(s) && s.run.attempt <= status.attempt + MAX_AHEAD
  );
  const number = credible.reduce((most, s) => Math.max(most, s.run.attempt), 0);
  if (number <= status.attempt) return status;
  const seen = credible.filter((s) => s.run.attempt === number)
    .toSorted((a, b) => a.run.rank - b.run.rank || (a.node < b.node ? -1 : 1));
  // A record whose spec.json is damaged names no gang; another rank's may.
  const { run } = seen.find((s) => s.run.meta.nodes.length > 0) ?? seen[0] as Sighting;
  // Its number is used up; the run itself does not count and is fenced.
  if (!isVouchedFor(run, seen, input)) return change(status, { attempt: number }, at);
  const recordedMs = foundAt(run.createdAtMs, at);
  const startedMs = run.startedAtMs && Math.max(recordedMs, Math.min(run.startedAtMs, at.now));
  const attempt: Attempt = {
    attempt: run.attempt,
    commit: run.meta.commit,
    specDigest: run.meta.specDigest,
    codeDigest: want?.specDigest === run.meta.specDigest ? want.codeDigest : null,
    placement: run.meta.nodes.length > 0
      ? run.meta.nodes.map((node, i) => ({ node, gpus: run.meta.gpus[i] ?? [] }))
      : seen.map((s) => ({ node: s.node, gpus: s.run.gpus })),
    because: "found on the nodes",
    recordedAt: iso(recordedMs),
    ...(startedMs ? { startedAt: iso(startedMs) } : {}),
  };
  // Nobody launches what has not been submitted.
  const submittedMs = Math.min(Date.parse(status.submittedAt), recordedMs);
  const { specDigest } = run.meta;
  return putAttempt(change(status, { specDigest, submittedAt: iso(submittedMs) }, at), attempt, at);
}

/** A node's clock may be off: what is found is not so old that its launch has timed out by that. */
function foundAt(nodeMs: number, { now }: At): number {
  return Math.min(Math.max(nodeMs, now - LAUNCH_TIMEOUT_MS / 2), now);
}

/**
 * True while the attempt on record runs where it was placed. Attempts are recorded before they are
 * launched, so whoever then claims a later one lies, or holds what a rewound branch forgot; one
 * node's word must not end what others run.
 */
function isConfirmed(attempt: Attempt | undefined, sightings: readonly Sighting[]): boolean {
  return attempt !== undefined && attempt.end === undefined &&
    sightings.some(({ node, run }) =>
      run.attempt === attempt.attempt && isAlive(run) &&
      attempt.placement[run.rank]?.node === node
    );
}

/** A node can say what it runs, never what another node runs. */
function speaksForItself({ node, run }: Sighting): boolean {
  return run.meta.nodes.length === 0 || run.meta.nodes[run.rank] === node;
}

/** True when no node of the gang that can be asked denies its part in it. */
function isVouchedFor(run: RunRecord, seen: readonly Sighting[], { plan }: JobInput): boolean {
  return run.meta.nodes.every((node, rank) =>
    plan.observed.nodes.get(node as NodeName)?.state !== "reachable" ||
    seen.some((s) => s.node === node && s.run.rank === rank)
  );
}

/** What an older attempt, or an attempt that has ended, left running. */
function oldRuns(input: JobInput, newest: Attempt | undefined): Sighting[] {
  return input.sightings.filter(({ node, run }) => {
    const current = newest && run.attempt === newest.attempt;
    const misplaced = current && newest.placement[run.rank]?.node !== node;
    return isAlive(run) && (!current || newest.end !== undefined || misplaced);
  });
}

/** Kills it. Who was told already is told again only when no supervisor is left to obey. */
function fences(old: readonly Sighting[], newest: Attempt | undefined): Action[] {
  return old.flatMap(({ node, run }): Action[] => {
    if (run.stop?.graceMs === 0 && run.state === "stopping") return [];
    const because = `attempt ${run.attempt} is over; attempt ${newest?.attempt ?? "?"} counts`;
    return [{ kind: "stop", node, run: idOf(run), graceMs: 0, because }];
  });
}

function idOf({ job, attempt, rank }: { job: string; attempt: number; rank: number }) {
  return { job, attempt, rank };
}
