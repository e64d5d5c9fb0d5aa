/** Many jobs drain, and an unchanged world is left alone. */
import assert from "node:assert/strict";
import { job } from "./harness.ts";
import { eventually } from "./processes.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice, witnesses } from "./witness.ts";

const suite = await labSuite();
const JOBS = 20;

suite.test("twenty jobs drain over three hosts, then nothing happens any more", {}, async (t) => {
  const harness = await t.harness();
  const names = Array.from({ length: JOBS }, (_, k) => `small-${k + 1}`);
  await harness.push(Object.fromEntries(names.map((name) => [
    `jobs/${name}.yaml`,
    job({
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["1", "--witness", harness.witnessDir],
    }),
  ])));
  await eventually(
    "drain the queue",
    120_000,
    async () => {
      const statuses = await harness.statuses();
      return statuses.filter((s) => s.phase === "Succeeded").length === JOBS || undefined;
    },
    async () =>
      JSON.stringify((await harness.statuses()).map((s) => [s.name, s.phase, s.message])) +
      harness.service.tail(),
  );
  assert.deepEqual(new Set(witnesses(harness.witnessDir).map((w) => w.job)), new Set(names));
  assert.equal(witnesses(harness.witnessDir).length, JOBS);
  assertNoRankTwice(harness.witnessDir);
  await harness.assertDesiredUntouched();

  await quiet();
  const before = await harness.stats();
  const log = await harness.statusLog();
  while ((await harness.stats()).passes < before.passes + 10) {
    await harness.hint();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const after = await harness.stats();
  assert.equal(after.mutations, before.mutations);
  assert.equal(after.commits, before.commits);
  assert.deepEqual(await harness.statusLog(), log);
  const passes = harness.service.lines.filter((line) => line.msg === "pass").slice(-10);
  for (const pass of passes) {
    assert.equal(pass["actions"], 0, JSON.stringify(pass));
    assert.equal(pass["committed"], false, JSON.stringify(pass));
  }

  /** Waits until what the last jobs left to do (cleaning up) is done. */
  async function quiet(): Promise<void> {
    let last = await harness.stats();
    await eventually("come to rest", 20_000, async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const now = await harness.stats();
      const still = now.mutations === last.mutations && now.commits === last.commits;
      last = now;
      return still || undefined;
    });
  }
});
