import assert from "node:assert/strict";
import { isLive } from "../providers/sim/run.ts";
import { Harness } from "./testing/harness.ts";

const ONE = "command: [train]\nresources: {gpusPerNode: 8}\nrecovery: {backoff: 1s}\n";
const GANG = "command: [train]\nresources: {nodes: 2, gpusPerNode: 8}\nrecovery: {backoff: 1s}\n";

function nodeOf(harness: Harness, name: string, rank = 0): string {
  return harness.status(name)?.attempts.at(-1)?.placement[rank]?.node ?? "";
}

Deno.test("a lost status branch is rebuilt from what the machines run; nothing starts twice", async () => {
  const harness = new Harness(3, { a: ONE, b: ONE });
  const first = await harness.start();
  await harness.until("a", "Running");
  await harness.until("b", "Running");
  const away = nodeOf(harness, "b");
  await first.kill();
  harness.remote.status = undefined;
  harness.world.cut(away);
  await harness.start();
  await harness.clock.advance(20_000);
  assert.equal(harness.world.mutations.launch, 2);
  harness.world.restore(away);
  await harness.clock.advance(20_000);
  for (const name of ["a", "b"]) {
    assert.deepEqual([harness.status(name)?.phase, harness.status(name)?.attempt], ["Running", 1]);
  }
  assert.equal(harness.world.mutations.launch, 2);
  await harness.close();
});

Deno.test("a push whose answer was lost is looked up, not repeated", async () => {
  for (const fault of ["timeout-done", "timeout-undone", "lost-race"] as const) {
    const harness = new Harness(1, { a: ONE });
    const { controller, repository, fleet } = await harness.controller();
    repository.failPush(fault);
    const first = await controller.pass(true);
    assert.equal(first.mutations, 0, "nothing is launched that is not recorded for sure");
    await harness.clock.advance(2000);
    const second = await controller.pass(true);
    assert.equal(second.mutations, 1);
    assert.equal(harness.status("a")?.attempt, 1);
    await fleet.close();
  }
});

Deno.test("no launch without a record: while the remote cannot be written, what runs goes on", async () => {
  const harness = new Harness(2, { a: ONE });
  const { repository, loop } = await harness.start();
  await harness.until("a", "Running");
  harness.remote.edit({ "jobs/b.yaml": ONE });
  loop.hint("repository");
  repository.failPush("timeout-undone");
  await harness.clock.advance(50);
  repository.unreachable = true;
  await harness.clock.advance(120_000);
  assert.deepEqual(harness.liveAttempts("b"), []);
  assert.deepEqual(harness.liveAttempts("a"), [1]);
  repository.unreachable = false;
  await harness.until("b", "Running");
  await harness.close();
});

Deno.test("requests and replies that get lost start no rank twice", async () => {
  for (const loss of ["request", "reply"] as const) {
    for (const node of ["n1", "n2"]) {
      const harness = new Harness(2, { gang: GANG });
      harness.world.drop("launch", loss, node);
      await harness.start();
      await harness.until("gang", "Running");
      assert.equal(harness.status("gang")?.attempt, 1);
      assert.deepEqual([...harness.starts().values()], [1, 1]);
      harness.world.drop("stop", loss, node);
      harness.remote.edit({ "jobs/gang.yaml": `${GANG}state: cancelled\n` });
      await harness.until("gang", "Cancelled");
      assert.equal(harness.world.liveRuns().length, 0);
      await harness.close();
    }
  }
});

Deno.test("when one rank dies, the others are stopped and the gang starts anew from a checkpoint", async () => {
  for (const onPeerDeath of ["hang", "fail"] as const) {
    const harness = new Harness(2, { gang: GANG });
    harness.world.behave("gang", { checkpointEveryMs: 10_000, onPeerDeath });
    await harness.start();
    await harness.until("gang", "Running");
    await harness.clock.advance(35_000);
    harness.world.machine("n1").killRank({ job: "gang", attempt: 1, rank: 0 });
    await harness.clock.advance(10_000);
    const after = harness.status("gang");
    assert.deepEqual([after?.phase, after?.attempt, after?.retries], ["Running", 2, 1]);
    assert.equal(after?.attempts[1]?.resumedFrom?.step, 30);
    await harness.close();
  }
});

Deno.test("processes that outlive their supervisor are killed before the job starts again", async () => {
  const harness = new Harness(1, { a: ONE });
  await harness.start();
  await harness.until("a", "Running");
  harness.world.machine("n1").killSupervisor({ job: "a", attempt: 1, rank: 0 }, 8);
  await harness.clock.advance(10_000);
  const after = harness.status("a");
  assert.deepEqual([after?.phase, after?.attempt], ["Running", 2]);
  assert.equal(after?.attempts[0]?.failure?.class, "supervisor-lost");
  await harness.close();
});

Deno.test("a job that ignores SIGTERM is killed after its grace, and then it is over", async () => {
  const harness = new Harness(1, { a: `${ONE}grace: 7s\n` });
  harness.world.behave("a", { stopMs: Infinity });
  await harness.start();
  await harness.until("a", "Running");
  harness.remote.edit({ "jobs/a.yaml": `${ONE}grace: 7s\nstate: suspended\n` });
  await harness.until("a", "Suspended");
  const [run] = harness.world.machine("n1").records();
  assert.deepEqual([run?.exit?.reason, run?.stop?.graceMs], ["killed", 7000]);
  await harness.close();
});

Deno.test("a GPU that a foreign process takes between record and launch is not used", async () => {
  const harness = new Harness(2, { a: "command: [train]\n" });
  harness.world.drop("launch", "request");
  const { controller, fleet } = await harness.controller();
  await controller.pass(true);
  const node = harness.world.machine(nodeOf(harness, "a"));
  node.occupy(0, 9000);
  await controller.pass(true);
  await controller.pass(true);
  const live = harness.world.liveRuns();
  assert.deepEqual(live.map((run) => run.id.attempt), [2]);
  assert.ok(!live[0]?.spec.gpus.includes(`GPU-${node.name}-0`));
  assert.equal(harness.status("a")?.retries, 0);
  await fleet.close();
});

Deno.test("nvidia-smi that fails for a while changes nothing for what runs", async () => {
  const harness = new Harness(1, { a: "command: [train]\n" });
  await harness.start();
  await harness.until("a", "Running");
  harness.world.machine("n1").breakGpuTool("nvidia-smi: Driver/library version mismatch");
  harness.remote.edit({ "jobs/b.yaml": "command: [train]\n" });
  await harness.clock.advance(30_000);
  assert.deepEqual([harness.status("a")?.phase, harness.status("b")?.phase], [
    "Running",
    "Pending",
  ]);
  harness.world.machine("n1").breakGpuTool(undefined);
  await harness.until("b", "Running");
  await harness.close();
});

Deno.test("a GPU that falls off the bus takes its job along, which goes on elsewhere", async () => {
  const harness = new Harness(2, { a: ONE });
  await harness.start();
  await harness.until("a", "Running");
  const first = nodeOf(harness, "a");
  harness.world.machine(first).dropGpu(3);
  await harness.clock.advance(10_000);
  assert.equal(harness.status("a")?.attempt, 2);
  assert.notEqual(nodeOf(harness, "a"), first);
  await harness.close();
});

Deno.test("a status branch that is rewritten to an older commit: running attempts are found again", async () => {
  const harness = new Harness(1, { a: ONE });
  harness.world.behave("a", { failAfterMs: 5000, failAttempts: 2 });
  await harness.start();
  await harness.until("a", "Running");
  const old = harness.remote.status;
  await harness.clock.advance(30_000);
  const attempt = harness.status("a")?.attempt ?? 0;
  assert.ok(attempt > 1);
  harness.remote.status = old;
  await harness.clock.advance(30_000);
  assert.deepEqual([harness.status("a")?.phase, harness.status("a")?.attempt], [
    "Running",
    attempt,
  ]);
  assert.deepEqual(harness.liveAttempts("a"), [attempt]);
  await harness.close();
});

Deno.test("a job goes on where its node left cluster.yaml; what comes later is placed elsewhere", async () => {
  const harness = new Harness(2, { a: ONE });
  await harness.start();
  await harness.until("a", "Running");
  const left = nodeOf(harness, "a");
  const stays = left === "n1" ? "n2" : "n1";
  harness.remote.edit({ "cluster.yaml": `nodes: [{name: ${stays}}]\n` });
  await harness.clock.advance(30_000);
  assert.deepEqual([nodeOf(harness, "a"), harness.status("a")?.phase], [left, "Running"]);
  harness.world.machine(left ?? "").crash();
  await harness.clock.advance(120_000);
  assert.deepEqual([nodeOf(harness, "a"), harness.status("a")?.phase], [stays, "Running"]);
  await harness.close();
});

Deno.test("one slow machine delays its own jobs only by what an observation waits", async () => {
  const harness = new Harness(2, { a: ONE, b: ONE });
  harness.world.machine("n2").latencyMs = 60_000;
  await harness.start();
  await harness.until("a", "Running", 60_000);
  assert.ok([...harness.world.machine("n1").runs.values()].some(isLive));
  await harness.close();
});

Deno.test("a status branch that was set back starts nothing while a node that may run it is away", async () => {
  const harness = new Harness(2, { a: ONE });
  await harness.start();
  await harness.until("a", "Running");
  const before = harness.remote.statusLog[0]?.commit ?? "";
  harness.world.cut(nodeOf(harness, "a"));
  await harness.until("a", "Unknown");
  harness.remote.rewindStatus(before);
  harness.remote.tamper({ "jobs/a.yaml": undefined });
  await harness.clock.advance(30_000);
  assert.equal(harness.world.mutations.launch, 1);
  assert.equal(harness.status("a")?.reason, "StatusLost");
  await harness.close();
});
