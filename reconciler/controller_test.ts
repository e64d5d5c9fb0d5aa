import assert from "node:assert/strict";
import { Harness } from "./testing/harness.ts";

const JOB = "command: [train]\nresources: {gpusPerNode: 8}\n";
const DRAINED = "nodes:\n  - {name: n1, host: 10.0.0.1, cordoned: {reason: fan, drain: true}}\n";

Deno.test("a drain that cannot be recorded makes a pass a second, not one after the other", async () => {
  const harness = new Harness(1, { a: JOB });
  const { controller, repository, fleet } = await harness.controller();
  const pass = async () => {
    await harness.clock.advance(6000);
    return await controller.pass(true);
  };
  for (let i = 0; i < 4 && harness.status("a")?.phase !== "Running"; i++) await pass();
  assert.equal(harness.status("a")?.phase, "Running");
  harness.remote.edit({ "cluster.yaml": DRAINED });
  const wait = ({ wakeAtMs = Infinity }) => wakeAtMs - harness.clock.now();
  repository.failPush("timeout-undone");
  assert.equal(wait(await pass()), 1000, "the push has failed");
  assert.equal(harness.status("a")?.attempts.at(-1)?.evicted, undefined);
  assert.equal(wait(await pass()), 1, "it is recorded: the next pass stops it");
  assert.equal(harness.status("a")?.attempts.at(-1)?.evicted?.reason, "Drained");
  await fleet.close();
});
