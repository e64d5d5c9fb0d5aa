/**
 * One run for one time, whatever happens to the controller, the manifest and the memory of what was
 * deleted. A few lines stand for the planner: what it would write of the jobs.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { CronSchedule, DesiredJob } from "../jobs/job.ts";
import { isFinal } from "../jobs/lifecycle.ts";
import type { JobStatus } from "../jobs/status.ts";
import { withInstances } from "./instances.ts";
import { job, NOW, status, world } from "./testing/build.ts";

const MINUTE = 60_000;
const iso = (ms: number) => new Date(ms).toISOString();

function nightly(schedule: Pick<CronSchedule, "cron" | "concurrency" | "keep">): DesiredJob {
  return job("nightly", {
    schedule: { ...schedule, timezone: "UTC", startWithinMs: 180 * MINUTE },
  });
}

function known(changes: Partial<JobStatus> = {}): JobStatus {
  return status("nightly", { reason: "Scheduled", ...changes });
}

Deno.test("a controller killed at any time makes no second run for one time", () => {
  const steps = fc.array(
    fc.record({
      minutes: fc.constantFrom(0, 1, 1, 5, 9, 35),
      isRecorded: fc.boolean(),
      ends: fc.constantFrom(undefined, undefined, "Succeeded" as const, "Failed" as const),
      isDeleted: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    }),
    { maxLength: 40 },
  );
  const given = fc.record({
    concurrency: fc.constantFrom("allow", "forbid", "replace"),
    keep: fc.integer({ min: 0, max: 2 }),
    cron: fc.constantFrom("*/10 * * * *", "0 * * * *"),
    steps,
  });
  fc.assert(fc.property(given, ({ steps, ...schedule }) => {
    const template = nightly(schedule);
    let now = NOW;
    let history = new Map([["nightly", known()]]);
    const made = new Set<string>();
    for (const { minutes, isRecorded, ends, isDeleted } of steps) {
      now += minutes * MINUTE;
      const jobs = isDeleted ? [job("other")] : [template];
      const { desired, ...rest } = world({ jobs, nodes: [] });
      const result = withInstances(desired, { ...rest.history, jobs: history }, now);
      // A pass that ends before its record leaves nothing behind.
      if (!isRecorded) continue;
      const next = record(history, result.desired.jobs, now);
      for (const name of next.keys()) {
        if (name === "nightly" || name === "other" || history.has(name)) continue;
        assert.ok(!made.has(name), `${name} was made again`);
        made.add(name);
      }
      history = forget(end(next, ends));
    }
  }));
});

/** What the planner would write: new jobs wait, and those that nobody wants are remembered. */
function record(
  history: ReadonlyMap<string, JobStatus>,
  jobs: ReadonlyMap<string, DesiredJob>,
  now: number,
): Map<string, JobStatus> {
  const next = new Map(history);
  for (const [name, { spec }] of jobs) {
    const old = next.get(name);
    if (spec.schedule) {
      const stays = old?.reason === "Scheduled";
      const submittedAt = old?.submittedAt ?? iso(now);
      next.set(name, stays ? old : known({ submittedAt, since: iso(now) }));
    } else if (spec.state === "cancelled" && old) {
      next.set(name, { ...old, phase: "Cancelled", reason: "Cancelled" });
    } else if (!old) {
      next.set(name, status(name, spec.parent === undefined ? {} : { parent: spec.parent }));
    }
  }
  for (const [name, old] of next) {
    if (jobs.has(name)) continue;
    const phase = isFinal(old.phase) ? old.phase : "Cancelled";
    next.set(name, { ...old, phase, reason: "ManifestDeleted" });
  }
  return next;
}

/** The oldest unfinished run ends. */
function end(history: Map<string, JobStatus>, phase: "Succeeded" | "Failed" | undefined) {
  const open = [...history.values()].filter((s) => s.parent && s.phase === "Pending");
  const oldest = open.toSorted((a, b) => a.name < b.name ? -1 : 1)[0];
  if (phase && oldest) history.set(oldest.name, { ...oldest, phase, reason: phase });
  return history;
}

/** The worst case: nothing that was deleted is remembered. */
function forget(history: Map<string, JobStatus>) {
  for (const { name, parent, reason } of [...history.values()]) {
    if (parent && reason === "ManifestDeleted") history.delete(name);
  }
  return history;
}
