import assert from "node:assert/strict";
import { backoffMs } from "./decide_active.ts";
import type { Action, Plan } from "./model.ts";
import { plan } from "./plan.ts";
import {
  ago,
  attempt,
  broken,
  ended,
  job,
  NOW,
  reachable,
  run,
  running,
  status,
  STOPPED,
  unknown,
  type World,
  world,
} from "./testing/build.ts";

function one(given: World, name = "a") {
  const result = plan(world(given));
  const found = result.statuses.get(name);
  if (!found) throw new Error(`no status of ${name}`);
  return { result, status: found, last: found.attempts.at(-1), kinds: kindsOf(result) };
}

function kindsOf(result: Plan): string[] {
  return result.actions.map((action) => action.kind);
}

function stops(result: Plan): Extract<Action, { kind: "stop" }>[] {
  return result.actions.filter((action) => action.kind === "stop");
}

const live = reachable("n1", { runs: [run("a", 1, 0, ["n1"])] });
const stopping = reachable("n1", {
  runs: [run("a", 1, 0, ["n1"], { state: "stopping", stop: STOPPED })],
});
const stopped = reachable("n1", {
  runs: [run("a", 1, 0, ["n1"], { ...ended(1, { reason: "stopped" }), stop: STOPPED })],
});
const gone = (code: number) => reachable("n1", { runs: [run("a", 1, 0, ["n1"], ended(code))] });

Deno.test("a job that runs and is wanted is left alone, and its status is the same object", () => {
  const before = running("a", ["n1"]);
  const { result, status: after } = one({ jobs: [job("a")], history: [before], nodes: [live] });
  assert.deepEqual(result.actions, []);
  assert.equal(after, before);
});

Deno.test("a suspended job is stopped with its own grace, then rests, then goes on", () => {
  const suspended = job("a", { state: "suspended", graceMs: 7000 });
  const first = one({ jobs: [suspended], history: [running("a", ["n1"])], nodes: [live] });
  assert.equal(stops(first.result)[0]?.graceMs, 7000);
  assert.equal(first.status.reason, "Stopping");
  const second = one({ jobs: [suspended], history: [first.status], nodes: [stopping] });
  assert.deepEqual(second.kinds, [], "it was told already");
  const third = one({ jobs: [suspended], history: [second.status], nodes: [stopped] });
  assert.equal(third.status.phase, "Suspended");
  assert.equal(third.last?.end, "stopped");
  const resumed = one({ jobs: [job("a")], history: [third.status], nodes: [stopped] });
  assert.deepEqual(resumed.kinds, ["launch"]);
  assert.equal(resumed.status.attempt, 2);
});

Deno.test("a cancelled job is stopped and stays cancelled until its manifest says running", () => {
  const cancelled = job("a", { state: "cancelled" });
  const first = one({ jobs: [cancelled], history: [running("a", ["n1"])], nodes: [live] });
  const done = one({ jobs: [cancelled], history: [first.status], nodes: [stopped] });
  assert.equal(done.status.phase, "Cancelled");
  const again = one({ jobs: [cancelled], history: [done.status], nodes: [stopped] });
  assert.equal(again.status, done.status);
});

Deno.test("a deleted job is stopped and keeps a tombstone; when it is back its numbers go on", () => {
  const first = one({ history: [running("a", ["n1"])], nodes: [live] });
  assert.deepEqual(first.kinds, ["stop"]);
  const dead = one({ history: [first.status], nodes: [stopped] });
  assert.equal(dead.status.reason, "ManifestDeleted");
  const still = one({ history: [dead.status], nodes: [stopped] });
  assert.equal(still.status, dead.status, "a tombstone does not change by itself");
  const back = one({ jobs: [job("a")], history: [dead.status], nodes: [stopped] });
  assert.equal(back.status.attempt, 2);
});

Deno.test("a job deleted before any rank started ends cleanly", () => {
  const before = status("a", { phase: "Launching", attempts: [attempt(1, ["n1"])] });
  const { status: after, kinds } = one({ history: [before], nodes: [reachable("n1")] });
  assert.deepEqual(kinds, []);
  assert.equal(after.phase, "Cancelled");
  assert.equal(after.attempts[0]?.end, "stopped");
});

Deno.test("a suspended job whose gang started only in part is stopped, and none is added", () => {
  const nodes = ["n1", "n2"];
  const before = status("a", { phase: "Launching", attempts: [attempt(1, nodes)] });
  const { result } = one({
    jobs: [job("a", { state: "suspended", resources: { nodes: 2 } })],
    history: [before],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, nodes)] }), reachable("n2")],
  });
  assert.deepEqual(result.actions.map((a) => a.kind), ["stop"]);
});

Deno.test("a changed manifest restarts the job; layout and priority do not", () => {
  const history = [running("a", ["n1"])];
  const changed = one({ jobs: [job("a", { specDigest: "d2" })], history, nodes: [live] });
  assert.deepEqual(changed.kinds, ["stop"]);
  const after = one({
    jobs: [job("a", { specDigest: "d2" })],
    history: [changed.status],
    nodes: [stopped],
  });
  assert.deepEqual(after.kinds, ["launch"]);
  assert.equal(after.last?.specDigest, "d2");
  const moved = job("a", { priority: 5, file: "jobs/team/a.yaml" });
  const calm = one({ jobs: [moved], history, nodes: [live] });
  assert.deepEqual(calm.kinds, []);
  assert.equal(calm.status.file, "jobs/team/a.yaml");
});

Deno.test("an invalid manifest leaves what runs alone and does not look deleted", () => {
  const invalid = { "a": broken("jobs/a.yaml") };
  const { status: after, kinds } = one({ invalid, history: [running("a", ["n1"])], nodes: [live] });
  assert.deepEqual(kinds, []);
  assert.equal(after.phase, "Invalid");
  const back = one({ jobs: [job("a")], history: [after], nodes: [live] });
  assert.equal(back.status.phase, "Running");
  assert.equal(back.status.problems, undefined);
});

Deno.test("a broken file is known by its path when the job has another name", () => {
  const history = [running("a", ["n1"], { file: "jobs/team/x.yaml" })];
  const invalid = { "x": broken("jobs/team/x.yaml") };
  const { result, status: after } = one({ invalid, history, nodes: [live] });
  assert.deepEqual(result.actions, []);
  assert.equal(after.phase, "Invalid");
  assert.equal(result.statuses.has("x"), false);
});

Deno.test("a tombstone does not come back to life when the file it was in breaks", () => {
  const dead = status("old", {
    phase: "Cancelled",
    reason: "ManifestDeleted",
    file: "jobs/a.yaml",
    attempts: [attempt(1, ["n1"], { end: "stopped" })],
  });
  const { status: after } = one({
    invalid: { "a": broken("jobs/a.yaml") },
    history: [dead, running("a", ["n1"])],
    nodes: [live],
  }, "old");
  assert.equal(after, dead);
});

Deno.test("a job that ends well while its manifest is broken has succeeded, and is not run again", () => {
  const invalid = { "a": broken("jobs/a.yaml") };
  const done = one({ invalid, history: [running("a", ["n1"])], nodes: [gone(0)] });
  assert.equal(done.status.phase, "Succeeded");
  const after = one({ jobs: [job("a")], history: [done.status], nodes: [gone(0)] });
  assert.deepEqual(after.kinds, []);
  assert.equal(after.status.phase, "Succeeded");
});

Deno.test("a failed job is not tried again because its manifest was broken for a while", () => {
  const failed = status("a", {
    phase: "Failed",
    reason: "exit-code",
    retries: 4,
    attempts: [attempt(1, ["n1"], { end: "failed" })],
  });
  const broke = one({ invalid: { a: broken("jobs/a.yaml") }, history: [failed], nodes: [gone(1)] });
  assert.equal(broke.status.phase, "Failed");
  assert.equal(broke.status.conditions[0]?.type, "ManifestInvalid");
  const mended = one({ jobs: [job("a")], history: [broke.status], nodes: [gone(1)] });
  assert.deepEqual(mended.kinds, []);
  assert.equal(mended.status.phase, "Failed");
  assert.deepEqual(mended.status.conditions, []);
});

Deno.test("failures count on while the manifest is broken", () => {
  const invalid = { a: broken("jobs/a.yaml") };
  const history = [running("a", ["n1"], { retries: 3 })];
  const during = one({ invalid, history, nodes: [gone(1)] });
  assert.deepEqual([during.status.phase, during.status.retries], ["Invalid", 4]);
  const after = one({ jobs: [job("a")], history: [during.status], nodes: [gone(1)] });
  assert.deepEqual([after.status.phase, after.kinds], ["Failed", []]);
});

Deno.test("`rerun:` runs a finished job once more, and only once", () => {
  const done = status("a", {
    phase: "Succeeded",
    reason: "Succeeded",
    attempts: [attempt(1, ["n1"], { end: "succeeded" })],
  });
  const again = one({ jobs: [job("a", { rerun: 1 })], history: [done], nodes: [gone(0)] });
  assert.deepEqual(again.kinds, ["launch"]);
  assert.equal(again.status.rerun, 1);
  const over = one({
    jobs: [job("a", { rerun: 1 })],
    history: [again.status],
    nodes: [reachable("n1", { runs: [run("a", 2, 0, ["n1"], ended(0))] })],
  });
  assert.deepEqual([over.status.phase, over.kinds], ["Succeeded", []]);
});

Deno.test("a changed manifest of a job that has succeeded is noted, not run", () => {
  const done = status("a", {
    phase: "Succeeded",
    attempts: [attempt(1, ["n1"], { end: "succeeded" })],
  });
  const { status: after, kinds } = one({
    jobs: [job("a", { specDigest: "d2" })],
    history: [done],
    nodes: [gone(0)],
  });
  assert.deepEqual(kinds, []);
  assert.match(after.conditions[0]?.message ?? "", /raise `rerun:` to 1/);
});

Deno.test("a failure is retried at once, then after a backoff that doubles up to its limit", () => {
  const recovery = { backoffMs: 10_000, maxBackoffMs: 25_000 };
  assert.deepEqual([0, 1, 2, 3, 4, 90].map((n) => backoffMs(n, recovery)), [
    0,
    0,
    10_000,
    20_000,
    25_000,
    25_000,
  ]);
  const first = one({ jobs: [job("a")], history: [running("a", ["n1"])], nodes: [gone(1)] });
  assert.deepEqual([first.status.retries, first.kinds], [1, ["launch"]]);
  const second = one({
    jobs: [job("a")],
    history: [running("a", ["n1"], { retries: 1 })],
    nodes: [gone(1)],
  });
  assert.deepEqual([second.status.phase, second.kinds], ["Recovering", []]);
  assert.equal(second.result.wakeAtMs, NOW + 10_000);
  const later = plan(world({
    jobs: [job("a")],
    history: [second.status],
    nodes: [gone(1)],
    now: NOW + 10_000,
  }));
  assert.deepEqual(kindsOf(later), ["launch"]);
});

Deno.test("when the retries are used up the job has failed, and a changed manifest tries anew", () => {
  const over = one({
    jobs: [job("a")],
    history: [running("a", ["n1"], { retries: 3 })],
    nodes: [gone(1)],
  });
  assert.deepEqual([over.status.phase, over.kinds], ["Failed", []]);
  const anew = one({
    jobs: [job("a", { specDigest: "d2" })],
    history: [over.status],
    nodes: [gone(1)],
  });
  assert.deepEqual([anew.status.phase, anew.status.retries], ["Launching", 0]);
  const more = one({
    jobs: [job("a", { recovery: { maxRetries: 4, backoffMs: 1000, maxBackoffMs: 1000 } })],
    history: [over.status],
    nodes: [gone(1)],
  });
  assert.deepEqual([more.status.phase, more.status.retries], ["Launching", 4], "the count stays");
});

Deno.test("a changed manifest ends the backoff of the one before", () => {
  const waiting = status("a", {
    phase: "Recovering",
    reason: "exit-code",
    retries: 3,
    notBefore: new Date(NOW + 60_000).toISOString(),
    attempts: [attempt(1, ["n1"], { end: "failed" })],
  });
  const same = one({ jobs: [job("a")], history: [waiting], nodes: [gone(1)] });
  assert.deepEqual([same.kinds, same.status], [[], waiting]);
  const { kinds, status: after } = one({
    jobs: [job("a", { specDigest: "d2" })],
    history: [waiting],
    nodes: [gone(1)],
  });
  assert.deepEqual([kinds, after.retries], [["launch"], 0]);
});

Deno.test("an agent that cannot be started is not tried again", () => {
  const failed = reachable("n1", {
    runs: [run("a", 1, 0, ["n1"], { ...ended(null, { reason: "start-failed" }), processes: 0 })],
  });
  const { status: after } = one({
    jobs: [job("a")],
    history: [running("a", ["n1"])],
    nodes: [failed],
  });
  assert.deepEqual([after.phase, after.reason], ["Failed", "start-failed"]);
});

Deno.test("a node is lost after nodeLostAfter, not before, and that is no retry", () => {
  const history = [running("a", ["n1"])];
  const others = [reachable("n2")];
  const early = one({ jobs: [job("a")], history, nodes: [unknown("n1", 59_000), ...others] });
  assert.deepEqual([early.status.phase, early.kinds], ["Unknown", []]);
  assert.equal(early.result.wakeAtMs, NOW + 1000);
  const late = one({ jobs: [job("a")], history, nodes: [unknown("n1", 60_000), ...others] });
  assert.deepEqual([late.last?.attempt, late.kinds, late.status.retries], [2, ["launch"], 0]);
  assert.equal(late.status.attempts[0]?.end, "node-lost");
  const alone = one({ jobs: [job("a")], history, nodes: [unknown("n1", 900_000)] });
  assert.deepEqual([alone.status.phase, alone.kinds], ["Unknown", []]);
});

Deno.test("a node that left cluster.yaml has its jobs placed elsewhere", () => {
  const { status: after, kinds } = one({
    jobs: [job("a")],
    history: [running("a", ["n9"])],
    nodes: [reachable("n1")],
  });
  assert.deepEqual([kinds, after.attempts[0]?.end], [["launch"], "node-lost"]);
});

Deno.test("maxDuration stops a job and counts as its failure", () => {
  const limited = job("a", { maxDurationMs: 9000 });
  const over = one({ jobs: [limited], history: [running("a", ["n1"])], nodes: [live] });
  assert.deepEqual(over.kinds, ["stop"]);
  const done = one({ jobs: [limited], history: [over.status], nodes: [stopped] });
  assert.deepEqual([done.status.phase, done.status.reason], ["Failed", "MaxDuration"]);
  const still = one({ jobs: [limited], history: [done.status], nodes: [stopped] });
  assert.equal(still.status, done.status);
  const before = one({
    jobs: [job("a", { maxDurationMs: 9500 })],
    history: [running("a", ["n1"], {
      attempts: [attempt(1, ["n1"], { startedAt: ago(9000) })],
    })],
    nodes: [live],
  });
  assert.equal(before.result.wakeAtMs, NOW + 500);
});
