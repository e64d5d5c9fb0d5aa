/**
 * Decides about one job: its status, what must be stopped, and whether it asks to be launched.
 * Whether there is room for it is the scheduler's business (`schedule.ts`).
 *
 * @module
 */
import type { Attempt, JobStatus } from "../jobs/status.ts";
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

/** Decides about one job. Pure but for `hold.mayStop`, which counts. */
export function decideJob(input: JobInput): Decision {
  const { plan, want, invalid } = input;
  const at: At = { now: plan.now, commit: plan.desired.commit };
  let status = adopt(input, at);
  if (want) status = describeJob(status, want, at);
  if (invalid) status = describeInvalid(status, invalid, at);
  const attempt = newestAttempt(status);
  const fences = fenceOld(input, attempt);
  const decision = attempt && !attempt.end
    ? decideActive(input, status, attempt, at)
    : decideIdle(input, status, at);
  if (fences.length === 0) return decision;
  const { candidate: _, ...rest } = decision;
  return { ...rest, actions: [...fences, ...decision.actions] };
}

/** The status from history; runs that history does not know (it was lost) are adopted. */
function adopt(input: JobInput, at: At): JobStatus {
  const { name, history, want, invalid, sightings } = input;
  const file = want?.file ?? invalid?.file ?? history?.file ?? "";
  const status = history ?? newStatus(name, file, at);
  const newest = sightings.reduce<Sighting | undefined>(
    (best, s) => !best || s.run.attempt > best.run.attempt ? s : best,
    undefined,
  );
  if (!newest || newest.run.attempt <= status.attempt) return status;
  const { run } = newest;
  const attempt: Attempt = {
    attempt: run.attempt,
    commit: run.meta.commit,
    specDigest: run.meta.specDigest,
    codeDigest: null,
    placement: run.meta.nodes.map((node, i) => ({ node, gpus: run.meta.gpus[i] ?? [] })),
    because: "found running on the nodes",
    recordedAt: iso(run.createdAtMs),
    ...(run.startedAtMs ? { startedAt: iso(run.startedAtMs) } : {}),
  };
  return putAttempt(change(status, { specDigest: run.meta.specDigest }, at), attempt, at);
}

/** Kills what an older attempt, or an attempt that has ended, left running. */
function fenceOld(input: JobInput, newest: Attempt | undefined): Action[] {
  return input.sightings.flatMap(({ node, run }): Action[] => {
    const current = newest && run.attempt === newest.attempt;
    const misplaced = current && newest.placement[run.rank]?.node !== node;
    if (!isAlive(run) || (current && !newest.end && !misplaced)) return [];
    const because = `attempt ${run.attempt} is over; attempt ${newest?.attempt ?? "?"} counts`;
    return [{ kind: "stop", node, run: idOf(run), graceMs: 0, because }];
  });
}

function idOf({ job, attempt, rank }: { job: string; attempt: number; rank: number }) {
  return { job, attempt, rank };
}
