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

/** Decides about one job. Pure but for `hold.mayStop`, which counts, and `claims`. */
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
  const number = sightings.reduce((most, s) => Math.max(most, s.run.attempt), 0);
  if (number <= status.attempt) return status;
  const seen = sightings.filter((s) => s.run.attempt === number)
    .toSorted((a, b) => a.run.rank - b.run.rank || (a.node < b.node ? -1 : 1));
  // A record whose spec.json is damaged names no gang; another rank's may.
  const { run } = seen.find((s) => s.run.meta.nodes.length > 0) ?? seen[0] as Sighting;
  const attempt: Attempt = {
    attempt: run.attempt,
    commit: run.meta.commit,
    specDigest: run.meta.specDigest,
    codeDigest: want?.specDigest === run.meta.specDigest ? want.codeDigest : null,
    placement: run.meta.nodes.length > 0
      ? run.meta.nodes.map((node, i) => ({ node, gpus: run.meta.gpus[i] ?? [] }))
      : seen.map((s) => ({ node: s.node, gpus: s.run.gpus })),
    because: "found on the nodes",
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
    // Told already; only a run without a supervisor needs to be told again.
    if (run.stop?.graceMs === 0 && run.state === "stopping") return [];
    const because = `attempt ${run.attempt} is over; attempt ${newest?.attempt ?? "?"} counts`;
    return [{ kind: "stop", node, run: idOf(run), graceMs: 0, because }];
  });
}

function idOf({ job, attempt, rank }: { job: string; attempt: number; rank: number }) {
  return { job, attempt, rank };
}
