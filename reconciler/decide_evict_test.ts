/** Attempts that make room: told apart from failures and from people's wishes. */
import assert from "node:assert/strict";
import type { Eviction } from "../jobs/status.ts";
import { parseStatus } from "./history.ts";
import { renderJob } from "./status_files.ts";
import {
  ago,
  attempt,
  broken,
  cluster,
  ended,
  job,
  nodeSpec,
  NOW,
  reachable,
  run,
  running,
  STOPPED,
  unknown,
} from "./testing/build.ts";
import { conditionOf, decideIn } from "./testing/decide.ts";

const PREEMPTED: Eviction = {
  reason: "Preempted",
  by: "urgent-1",
  message: "urgent-1 has a higher priority",
  at: ago(1000),
};

/** `a` with attempt 3 on these nodes, to be evicted. */
function evicted(nodes: readonly string[] = ["n1"], changes: Parameters<typeof running>[2] = {}) {
  const placed = attempt(3, nodes, { startedAt: ago(9000), evicted: PREEMPTED });
  return running("a", nodes, { retries: 2, attempts: [placed], ...changes });
}

const record = (changes = {}) => run("a", 3, 0, ["n1"], changes);
const live = reachable("n1", { runs: [record()] });
const stopping = reachable("n1", { runs: [record({ state: "stopping", stop: STOPPED })] });
const told = { ...ended(1, { reason: "stopped" as const }), stop: STOPPED };
const stopped = reachable("n1", { runs: [record(told)] });
const gone = (code: number) => reachable("n1", { runs: [record(ended(code))] });

Deno.test("a controller that died between the record and the stop is replaced by one that stops", () => {
  const remembered = parseStatus(renderJob(evicted()));
  assert.deepEqual(remembered.attempts[0]?.evicted, PREEMPTED);
  const { stops, status } = decideIn({
    jobs: [job("a", { graceMs: 7000 })],
    history: [remembered],
    nodes: [live],
  });
  assert.deepEqual(stops.map((stop) => stop.graceMs), [7000], "its own grace: it may save");
  assert.equal(status.reason, "Stopping");
  assert.match(status.message, /attempt 3 is being stopped: urgent-1 has a higher priority/);
});

Deno.test("an evicted attempt is told once, ends as evicted, and the job asks for its next turn", () => {
  const before = evicted();
  const first = decideIn({ jobs: [job("a")], history: [before], nodes: [live] });
  const second = decideIn({ jobs: [job("a")], history: [first.status], nodes: [stopping] });
  assert.deepEqual([second.stops, second.status], [[], first.status]);
  const { status, last, candidate } = decideIn({
    jobs: [job("a")],
    history: [second.status],
    nodes: [stopped],
  });
  assert.deepEqual([last?.end, last?.failure, last?.evicted], ["evicted", undefined, PREEMPTED]);
  assert.deepEqual([status.phase, status.reason], ["Pending", "Preempted"]);
  assert.equal(
    status.message,
    "attempt 3 made room for urgent-1 (it was asked to save); " +
      "it waits for its next turn at its old place",
  );
  assert.equal(candidate?.spec.name, "a", "it is queued again in the same pass");
  assert.equal(status.submittedAt, before.submittedAt, "at its old place");
});

Deno.test("an eviction uses up no retry and gives none back", () => {
  for (const retries of [0, 3]) {
    const { status, last } = decideIn({
      jobs: [job("a")],
      history: [evicted(["n1"], { retries })],
      nodes: [stopped],
    });
    assert.deepEqual([last?.end, status.phase, status.retries], ["evicted", "Pending", retries]);
  }
});

Deno.test("an attempt that had succeeded before it was stopped has succeeded", () => {
  const { status, last, stops } = decideIn({
    jobs: [job("a")],
    history: [evicted()],
    nodes: [gone(0)],
  });
  assert.deepEqual([status.phase, last?.end, stops], ["Succeeded", "succeeded", []]);
});

Deno.test("an attempt that failed by itself before it was stopped has failed, and that counts", () => {
  const { status, last } = decideIn({ jobs: [job("a")], history: [evicted()], nodes: [gone(1)] });
  assert.deepEqual([last?.end, last?.failure?.class], ["failed", "exit-code"]);
  assert.deepEqual([status.phase, status.retries], ["Recovering", 3]);
});

Deno.test("a rank that failed before its gang was told makes the gang fail, also once all are told", () => {
  const nodes = ["n1", "n2"];
  const rank = (r: number, changes = {}) =>
    reachable(`n${r + 1}`, { runs: [run("a", 3, r, nodes, changes)] });
  const jobs = [job("a", { resources: { nodes: 2 } })];
  const first = decideIn({ jobs, history: [evicted(nodes)], nodes: [rank(0), rank(1, ended(1))] });
  assert.equal(first.last?.failure?.class, "exit-code", "recorded before the stop hides it");
  assert.deepEqual(first.stops.map((stop) => stop.node), ["n1"]);
  for (const second of [rank(1, ended(1)), rank(1, told)]) {
    const { last } = decideIn({ jobs, history: [first.status], nodes: [rank(0, told), second] });
    assert.deepEqual([last?.end, last?.failure?.class], ["failed", "exit-code"]);
  }
});

Deno.test("a rank that fails because its peer was told to stop is no failure of the job", () => {
  const nodes = ["n1", "n2"];
  const { last, status } = decideIn({
    jobs: [job("a", { resources: { nodes: 2 } })],
    history: [evicted(nodes)],
    nodes: [
      reachable("n1", { runs: [run("a", 3, 0, nodes, told)] }),
      reachable("n2", { runs: [run("a", 3, 1, nodes, ended(1))] }),
    ],
  });
  assert.deepEqual([last?.end, status.retries], ["evicted", 2]);
});

Deno.test("a node that rebooted before the stop is no eviction, and no retry either", () => {
  const down = reachable("n1", {
    bootId: "boot-2",
    runs: [record({ state: "lost", processes: 0 })],
  });
  const { last, status } = decideIn({ jobs: [job("a")], history: [evicted()], nodes: [down] });
  assert.deepEqual([last?.end, status.phase, status.retries], ["node-lost", "Recovering", 2]);
});

Deno.test("a person's wish goes before an eviction", () => {
  const wishes = [
    { job: job("a", { state: "cancelled" }), phase: "Cancelled", reason: "Cancelled" },
    { job: job("a", { state: "suspended" }), phase: "Suspended", reason: "Suspended" },
    { job: job("a", { specDigest: "d2" }), phase: "Pending", reason: "ManifestChanged" },
    { job: undefined, phase: "Cancelled", reason: "ManifestDeleted" },
  ];
  for (const { job: wanted, phase, reason } of wishes) {
    const jobs = wanted ? [wanted] : [];
    const { status, last } = decideIn({ jobs, history: [evicted()], nodes: [stopped] });
    assert.deepEqual([status.phase, status.reason, last?.end], [phase, reason, "stopped"]);
  }
});

Deno.test("an eviction that a guard holds back stays recorded and is tried again", () => {
  const given = { jobs: [job("a")], nodes: [live] };
  const held = decideIn({ ...given, history: [evicted()], stopsLeft: 0 });
  assert.deepEqual([held.stops, held.last?.evicted], [[], PREEMPTED]);
  assert.equal(conditionOf(held.status, "StopHeld")?.status, "True");
  const next = decideIn({ ...given, history: [held.status], stopsLeft: 1 });
  assert.equal(next.stops.length, 1);
  assert.equal(conditionOf(next.status, "StopHeld"), undefined);
});

Deno.test("an eviction stands, and stops nothing, while the manifest does not parse", () => {
  const invalid = { a: broken("jobs/a.yaml") };
  const broke = decideIn({ invalid, history: [evicted()], nodes: [live] });
  assert.deepEqual([broke.stops, broke.last?.evicted], [[], PREEMPTED]);
  const mended = decideIn({ jobs: [job("a")], history: [broke.status], nodes: [live] });
  assert.equal(mended.stops.length, 1);
  const late = decideIn({ invalid, history: [evicted()], nodes: [stopped] });
  assert.deepEqual([late.status.phase, late.last?.end, late.status.retries], [
    "Invalid",
    "evicted",
    2,
  ]);
});

Deno.test("an attempt that never started makes room at once, and none of its ranks is added", () => {
  const before = evicted(["n1"], {
    phase: "Launching",
    attempts: [attempt(3, ["n1"], { evicted: PREEMPTED })],
  });
  const { last, actions } = decideIn({
    jobs: [job("a")],
    history: [before],
    nodes: [reachable("n1")],
  });
  assert.deepEqual([last?.end, actions], ["evicted", []]);
});

Deno.test("an evicted attempt on a node that cannot be asked is waited for", () => {
  const { status, last, candidate } = decideIn({
    jobs: [job("a")],
    history: [evicted()],
    nodes: [unknown("n1"), reachable("n2")],
  });
  assert.deepEqual([status.phase, last?.end, candidate], ["Unknown", undefined, undefined]);
});

const drained = cluster([
  nodeSpec("n1", { cordoned: { reason: "fan", drain: true } }),
  nodeSpec("n2"),
]);

Deno.test("what runs on a drained node is recorded as evicted first, and stopped by the next pass", () => {
  const given = { jobs: [job("a")], nodes: [live, reachable("n2")], cluster: drained };
  const before = evicted(["n1"], { attempts: [attempt(3, ["n1"], { startedAt: ago(9000) })] });
  const first = decideIn({ ...given, history: [before] });
  assert.deepEqual([first.stops, first.wakeAtMs], [[], NOW + 1]);
  assert.deepEqual(first.last?.evicted, {
    reason: "Drained",
    message: "n1 is drained (fan)",
    at: ago(0),
  });
  assert.equal(first.status.phase, "Running");
  const second = decideIn({ ...given, history: [first.status] });
  assert.equal(second.stops.length, 1);
  const third = decideIn({ ...given, nodes: [stopped], history: [second.status] });
  assert.deepEqual([third.last?.end, third.status.reason], ["evicted", "Drained"]);
  assert.match(third.status.message, /attempt 3 was stopped: n1 is drained \(fan\)/);
});

Deno.test("a drain takes from what a pass may stop, and waits its turn when that is used up", () => {
  const given = { jobs: [job("a")], nodes: [live], cluster: drained };
  const before = evicted(["n1"], { attempts: [attempt(3, ["n1"], { startedAt: ago(9000) })] });
  const held = decideIn({ ...given, history: [before], stopsLeft: 0 });
  assert.deepEqual([held.last?.evicted, held.stops], [undefined, []]);
  assert.equal(conditionOf(held.status, "StopHeld")?.reason, "Guard");
  const again = decideIn({ ...given, history: [held.status], stopsLeft: 0 });
  assert.equal(again.status, held.status, "nothing changes while it waits");
  const next = decideIn({ ...given, history: [held.status], stopsLeft: 1 });
  assert.equal(next.last?.evicted?.reason, "Drained");
});

Deno.test("an interrupted launch is not completed where everybody is to leave", () => {
  const nodes = ["n2", "n1"];
  const before = evicted(nodes, { phase: "Launching", attempts: [attempt(3, nodes)] });
  const { actions, last } = decideIn({
    jobs: [job("a", { resources: { nodes: 2 } })],
    history: [before],
    nodes: [reachable("n2", { runs: [run("a", 3, 0, nodes)] }), reachable("n1")],
    cluster: drained,
  });
  assert.deepEqual([actions, last?.evicted?.reason], [[], "Drained"]);
});

Deno.test("a drain stops nobody who ends by himself", () => {
  const before = evicted(["n1"], { attempts: [attempt(3, ["n1"], { startedAt: ago(9000) })] });
  const given = { jobs: [job("a")], history: [before], cluster: drained };
  const { status, last } = decideIn({ ...given, nodes: [gone(0)] });
  assert.deepEqual([status.phase, last?.evicted], ["Succeeded", undefined]);
});
