import assert from "node:assert/strict";
import { VirtualClock } from "../providers/sim/clock.ts";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import type { Right } from "./leadership.ts";
import type { History, Snapshot } from "./model.ts";
import { plan } from "./plan.ts";
import { Recorder } from "./record.ts";
import {
  broken,
  cluster,
  job,
  nodeSpec,
  reachable,
  run,
  type World,
  world,
} from "./testing/build.ts";

function setUp() {
  const clock = new VirtualClock();
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  let may = true;
  const right: Right = {
    claim: { epoch: 7, repository: "r" },
    deposed: undefined,
    mayAct: () => may,
    now: () => clock.now(),
    note: () => {},
    outgrow: () => {},
  };
  const start = () => new Recorder({ repository, clock, log: () => {}, right });
  const recorder = start();
  const snapshot = (given: World, history?: History): Snapshot => {
    const input = { ...world(given), now: clock.now() };
    const whole = { ...input, history: history ?? { ...input.history, head: remote.status } };
    return { ...whole, plan: plan(whole) };
  };
  const expire = () => may = false;
  return { clock, remote, repository, recorder, snapshot, start, expire };
}

const started: World = { jobs: [job("a")], nodes: [reachable("n1")] };
const live: World = {
  jobs: [job("a")],
  nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })],
};

Deno.test("a plan makes one commit, and the same plan none", async () => {
  const { remote, recorder, snapshot } = setUp();
  const first = await recorder.record(snapshot(started));
  assert.equal(first.committed, true);
  assert.equal(first.history?.head, remote.status);
  const second = await recorder.record(snapshot(started, first.history));
  assert.equal(second.committed, false);
  assert.equal(remote.messages.length, 1);
});

Deno.test("a recorder that has just been started finds the branch as it is and commits nothing", async () => {
  const { remote, recorder, snapshot, start } = setUp();
  const first = await recorder.record(snapshot(started));
  const other = start();
  const again = await other.record(snapshot(started, first.history));
  assert.deepEqual([again.committed, remote.messages.length], [false, 1]);
});

Deno.test("between two commits lies minInterval, except that a launch is recorded at once", async () => {
  const { clock, remote, recorder, snapshot } = setUp();
  const first = await recorder.record(snapshot(started));
  const early = await recorder.record(snapshot(live, first.history));
  assert.equal(early.committed, false);
  assert.equal(early.retryAtMs, clock.now() + 5000);
  assert.equal(early.unrecorded, undefined, "nothing hinders it but the interval");
  const more: World = {
    jobs: [job("a"), job("b")],
    nodes: [...live.nodes, reachable("n2")],
  };
  const launch = await recorder.record(snapshot(more, first.history));
  assert.equal(launch.committed, true);
  await clock.advance(5000);
  const jobs = [job("a", { priority: 3 }), job("b")];
  const late = await recorder.record(snapshot({ ...more, jobs }, launch.history));
  assert.equal(late.committed, true);
  assert.equal(remote.messages.length, 3);
});

Deno.test("a lost race and a push without an answer are not believed to have happened", async () => {
  for (const fault of ["lost-race", "timeout-undone", "timeout-done"] as const) {
    const { clock, repository, recorder, snapshot } = setUp();
    repository.failPush(fault);
    const found = await recorder.record(snapshot(started));
    assert.deepEqual([found.committed, found.moved, found.history], [false, true, undefined]);
    assert.equal(found.retryAtMs, clock.now() + 1000);
    assert.equal(found.unrecorded, true);
  }
});

Deno.test("files of the branch that cannot be read are kept as they are", async () => {
  const { remote, recorder, snapshot } = setUp();
  remote.tamper({ "jobs/torn.yaml": "phase: [", "jobs/stale.yaml": "x", "notes.txt": "x" });
  await recorder.record(snapshot({ ...started, unreadable: { torn: "torn" } }));
  assert.equal(remote.statusFile("jobs/torn.yaml"), "phase: [");
  assert.equal(remote.statusFile("jobs/stale.yaml"), undefined);
  assert.equal(remote.statusFile("notes.txt"), undefined);
  assert.match(remote.statusFile("README.md") ?? "", /jobs\/torn.yaml of this branch cannot be/);
});

Deno.test("problems with cluster.yaml are shown without touching the job files", async () => {
  const { remote, recorder, snapshot } = setUp();
  const first = await recorder.record(snapshot(started));
  const problems = broken("cluster.yaml", "no nodes | <b>").problems;
  await recorder.recordProblems(first.history as History, problems);
  const page = remote.statusFile("README.md") ?? "";
  assert.match(page, /cannot work yet[^]*cluster.yaml/);
  assert.doesNotMatch(page, /<b>/);
  assert.ok(remote.statusFile("jobs/a.yaml"));
  const head = remote.status;
  await recorder.recordProblems({ ...(first.history as History), head }, problems);
  assert.equal(remote.status, head, "once is enough");
});

Deno.test("each commit says by which claim it was made", async () => {
  const { remote, recorder, snapshot } = setUp();
  await recorder.record(snapshot(started));
  assert.match(remote.messages[0] ?? "", /\n\nEpoch: 7\n$/);
});

Deno.test("without the lease nothing is committed", async () => {
  const { clock, remote, recorder, snapshot, expire } = setUp();
  expire();
  const recorded = await recorder.record(snapshot(started));
  assert.deepEqual([recorded.committed, recorded.retryAtMs], [false, clock.now() + 1000]);
  assert.equal(recorded.unrecorded, true);
  assert.deepEqual(remote.messages, []);
});

Deno.test("a controller that has just been started tells what people changed of nodes", async () => {
  const { remote, recorder, snapshot, start } = setUp();
  const first = await recorder.record(snapshot({ jobs: [], nodes: [reachable("n1")] }));
  const cordoned = { reason: "new fan", untilMs: Date.UTC(2030, 0, 1) };
  const given: World = {
    jobs: [],
    nodes: [reachable("n1")],
    cluster: cluster([nodeSpec("n1", { cordoned })]),
  };
  const cordon = await start().record(snapshot(given, first.history));
  assert.equal(cordon.committed, true);
  assert.match(remote.messages.at(-1) ?? "", /^n1: cordoned until 2030-.*: new fan\n/);
});
