import assert from "node:assert/strict";
import { Harness } from "./testing/harness.ts";
import { lastWriter, renderWriter } from "./writer.ts";

const ONE = "command: [train]\n";

Deno.test("the status branch says which claim wrote it, and a new controller adds nothing to that", async () => {
  const harness = new Harness(1, { a: ONE });
  const first = await harness.start();
  await harness.until("a", "Running");
  assert.equal(
    harness.remote.statusFile("writer.yaml"),
    renderWriter({ epoch: 1, repository: "id-2" }),
  );
  await first.kill();
  const commits = harness.remote.messages.length;
  await harness.start();
  await harness.clock.advance(60_000);
  assert.equal(harness.remote.messages.length, commits);
  await harness.close();
});

Deno.test("a lease that was deleted while nobody worked does not make the nodes strangers", async () => {
  const harness = new Harness(1, { a: ONE });
  const first = await harness.start();
  await harness.until("a", "Running");
  await first.kill();
  harness.remote.deleteLease();
  await harness.start();
  harness.remote.edit({ "jobs/a.yaml": `${ONE}state: cancelled\n` });
  await harness.until("a", "Cancelled");
  await harness.close();
});

Deno.test("a controller whose lease was set back goes on with an epoch that the nodes take", async () => {
  const harness = new Harness(1, { a: ONE });
  for (let i = 0; i < 3; i++) {
    const one = await harness.start();
    await harness.until("a", "Running");
    await one.kill();
  }
  harness.remote.deleteLease();
  harness.remote.tamper({ "writer.yaml": renderWriter({ epoch: 1, repository: "id-2" }) });
  harness.remote.edit({ "jobs/a.yaml": `${ONE}state: cancelled\n` });
  const { controller } = await harness.start();
  await harness.until("a", "Cancelled");
  assert.ok(controller);
  const { lease } = JSON.parse(`{"lease": ${harness.remote.leaseFile()}}`);
  assert.equal(lease.epoch, 4);
  await harness.close();
});

Deno.test("a writer file that says something else counts as none", async () => {
  const harness = new Harness(1);
  const { repository } = await harness.start();
  for (const text of ["epoch: no\n", "{", "epoch: 3\nrepository: ''\n", "- 1\n"]) {
    harness.remote.tamper({ "writer.yaml": text });
    assert.deepEqual(await lastWriter(repository), { kind: "ok", value: undefined });
  }
  repository.unreachable = true;
  assert.equal((await lastWriter(repository)).kind, "unknown");
  await harness.close();
});
