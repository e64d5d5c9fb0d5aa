/** Jobs that must have ended by a time, and templates, which never run. */
import assert from "node:assert/strict";
import type { JobChanges } from "./testing/build.ts";
import {
  ago,
  attempt,
  ended,
  job,
  NOW,
  reachable,
  run,
  running,
  status,
  STOPPED,
} from "./testing/build.ts";
import { decideIn } from "./testing/decide.ts";

const nodes = [reachable("n1")];
const live = reachable("n1", { runs: [run("a", 1, 0, ["n1"])] });
const told = { ...ended(1, { reason: "stopped" as const }), stop: STOPPED };
const stopped = reachable("n1", { runs: [run("a", 1, 0, ["n1"], told)] });
const by = (deadlineMs: number, changes: JobChanges = {}) => job("a", { deadlineMs, ...changes });

Deno.test("a job that waits is woken at its deadline, and has failed then", () => {
  const early = decideIn({ jobs: [by(NOW + 5000)], history: [status("a")], nodes });
  assert.deepEqual([early.candidate?.spec.name, early.wakeAtMs], ["a", NOW + 5000]);
  const late = decideIn({ jobs: [by(NOW)], history: [status("a")], nodes });
  assert.deepEqual([late.status.phase, late.status.reason], ["Failed", "Deadline"]);
  assert.equal(
    late.status.message,
    "it had to end by 2026-01-01T12:00:00.000Z; it never got room; " +
      "move or remove `deadline:` to queue it again",
  );
  assert.equal(late.candidate, undefined);
});

Deno.test("a deadline that was over when the job was submitted is told as such, once and for all", () => {
  const over = "that was over before it was submitted";
  const first = decideIn({ jobs: [by(NOW - 5000)], nodes });
  assert.match(first.status.message, new RegExp(over));
  const next = decideIn({
    jobs: [by(NOW - 5000)],
    history: [first.status],
    nodes,
    now: NOW + 9000,
  });
  assert.equal(next.status, first.status);
  const done = attempt(1, ["n1"], { endedAt: ago(9000), end: "succeeded" });
  const ran = status("a", { phase: "Succeeded", reason: "Succeeded", attempts: [done] });
  const again = decideIn({ jobs: [by(NOW - 5000, { rerun: 1 })], history: [ran], nodes });
  assert.match(again.status.message, new RegExp(over));
});

Deno.test("a backoff does not outlast the deadline", () => {
  const waiting = status("a", {
    phase: "Recovering",
    retries: 2,
    notBefore: new Date(NOW + 60_000).toISOString(),
    attempts: [attempt(1, ["n1"], { end: "failed" })],
  });
  const early = decideIn({ jobs: [by(NOW + 5000)], history: [waiting], nodes });
  assert.deepEqual([early.candidate, early.wakeAtMs], [undefined, NOW + 5000]);
  const late = decideIn({ jobs: [by(NOW)], history: [waiting], nodes });
  assert.deepEqual([late.status.phase, late.status.notBefore], ["Failed", undefined]);
  assert.match(late.status.message, /it got no room again/);
});

Deno.test("a job that runs past its deadline is stopped with its grace and has failed of it", () => {
  const history = [running("a", ["n1"])];
  const early = decideIn({ jobs: [by(NOW + 5000)], history, nodes: [live] });
  assert.deepEqual([early.stops, early.wakeAtMs], [[], NOW + 5000]);
  const jobs = [by(NOW, { graceMs: 7000 })];
  const first = decideIn({ jobs, history, nodes: [live] });
  assert.deepEqual(first.stops.map((stop) => stop.graceMs), [7000]);
  const done = decideIn({ jobs, history: [first.status], nodes: [stopped] });
  assert.deepEqual([done.last?.end, done.last?.failure?.class], ["failed", "deadline"]);
  assert.deepEqual([done.status.phase, done.status.reason], ["Failed", "Deadline"]);
  assert.match(done.status.message, /^it had to end by .*Z; move or remove `deadline:`/);
  assert.equal(done.status.retries, 0);
});

Deno.test("a job that failed of its deadline stays so, and no pass changes a word of it", () => {
  const finished = attempt(1, ["n1"], {
    end: "failed",
    failure: { class: "deadline", message: "it had to end by 2026-01-01T11:59:50.000Z" },
  });
  const changed = { specDigest: "d2", rerun: 1 };
  for (const attempts of [[], [finished]]) {
    for (const changes of [{}, changed]) {
      const given = { jobs: [by(NOW - 10_000, changes)], nodes: [stopped] };
      const history = [status("a", { phase: "Running", attempts })];
      const first = decideIn({ ...given, history }).status;
      assert.deepEqual([first.phase, first.reason], ["Failed", "Deadline"]);
      const later = decideIn({ ...given, history: [first], now: NOW + 60_000 });
      assert.equal(later.status, first);
    }
  }
});

Deno.test("a deadline that is moved or removed brings the job back with all its retries", () => {
  const failed = status("a", { phase: "Failed", reason: "Deadline", retries: 2 });
  for (const wanted of [job("a"), by(NOW + 1)]) {
    const { status: after, candidate } = decideIn({ jobs: [wanted], history: [failed], nodes });
    assert.deepEqual([after.phase, after.reason, after.retries], ["Pending", "Submitted", 0]);
    assert.equal(candidate?.spec.name, "a");
  }
  const same = decideIn({ jobs: [by(NOW)], history: [failed], nodes });
  assert.equal(same.status.phase, "Failed");
});

Deno.test("another failure is not undone by a deadline that is moved", () => {
  const failed = status("a", {
    phase: "Failed",
    reason: "exit-code",
    retries: 4,
    attempts: [attempt(1, ["n1"], { end: "failed" })],
  });
  assert.equal(decideIn({ jobs: [by(NOW + 1)], history: [failed], nodes }).status, failed);
  assert.equal(decideIn({ jobs: [by(NOW - 1)], history: [failed], nodes }).status, failed);
});

Deno.test("a job that has succeeded, or rests, has no deadline", () => {
  const done = status("a", {
    phase: "Succeeded",
    attempts: [attempt(1, ["n1"], { end: "succeeded" })],
  });
  assert.equal(decideIn({ jobs: [by(NOW - 1)], history: [done], nodes }).status, done);
  const suspended = by(NOW - 1, { state: "suspended" });
  const rests = decideIn({ jobs: [suspended], history: [status("a")], nodes });
  assert.equal(rests.status.phase, "Suspended");
});

Deno.test("an attempt that is evicted when the deadline passes makes room, then the job fails", () => {
  const evicted = { reason: "Preempted" as const, message: "b goes first", at: ago(1000) };
  const history = [running("a", ["n1"], {
    attempts: [attempt(1, ["n1"], { startedAt: ago(9000), evicted })],
  })];
  const done = decideIn({ jobs: [by(NOW)], history, nodes: [stopped] });
  assert.deepEqual([done.last?.end, done.status.reason], ["evicted", "Deadline"]);
});

const schedule = {
  cron: "0 3 * * *",
  timezone: "UTC",
  concurrency: "forbid",
  keep: 3,
  startWithinMs: 3_600_000,
} as const;

Deno.test("a template is never launched and says when its next run is", () => {
  const scheduled = { reason: "Scheduled", message: "its next run is at 2026-01-02T03:00:00.000Z" };
  const given = { jobs: [job("a", { schedule })], nodes, scheduled };
  const succeeded = status("a", {
    phase: "Succeeded",
    attempts: [attempt(1, ["n1"], { end: "succeeded" })],
  });
  for (const history of [[], [status("a")], [succeeded]]) {
    const first = decideIn({ ...given, history });
    assert.deepEqual([first.status.phase, first.status.reason], ["Pending", "Scheduled"]);
    assert.equal(first.status.message, scheduled.message);
    assert.deepEqual([first.candidate, first.actions], [undefined, []]);
    assert.equal(decideIn({ ...given, history: [first.status] }).status, first.status);
  }
  const suspended = job("a", { schedule, state: "suspended" });
  assert.equal(decideIn({ ...given, jobs: [suspended] }).status.phase, "Suspended");
});

Deno.test("a job says which manifest it is one of", () => {
  const { status: after } = decideIn({ jobs: [job("a", { parent: "sweep" })], nodes });
  assert.equal(after.parent, "sweep");
});
