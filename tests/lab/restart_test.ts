/** The service is killed around each effect of a launch; the next one goes on from there. */
import assert from "node:assert/strict";
import { type Harness, job } from "./harness.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice, witnesses } from "./witness.ts";

const suite = await labSuite();

/** More effects than a launch has; a service that counts so far has not crashed. */
const MAX_EFFECTS = 20;

/** Names of the effects that a crashing service announced. */
function effects(harness: Harness): string[] {
  return harness.service.lines.flatMap((line) =>
    line.msg === "effect" ? [String(line["name"])] : []
  );
}

/** Lets a service crash at one effect of a launch; true if it did. */
async function crashOnce(harness: Harness, name: string, crashAt: string): Promise<boolean> {
  const manifest = job({
    resources: { nodes: 3, gpusPerNode: 1 },
    script: "scripts/sleeper.py",
    launcher: "processes",
    args: ["300", "--witness", harness.witnessDir],
    grace: "1s",
  });
  await harness.push({ [`jobs/${name}.yaml`]: manifest });
  const crashing = await harness.startService(crashAt);
  const crashed = await Promise.race([
    crashing.ended().then(({ signal }) => {
      assert.equal(signal, "SIGKILL", `it ended, but not by the crash:\n${crashing.tail()}`);
      return true;
    }),
    harness.until(name, (s) => s.phase === "Running", 30_000).then(() => false, () => false),
  ]);
  if (!crashed) await crashing.kill9();
  return crashed;
}

/** A new service converges: the job runs once, all of its ranks, one attempt. */
async function assertConverges(harness: Harness, name: string): Promise<void> {
  await harness.startService();
  const running = await harness.until(name, (s) => s.phase === "Running", 30_000);
  const live = harness.processesOf(name).filter((p) => p.environ.has("RANK"));
  assert.deepEqual(new Set(live.map((p) => p.environ.get("UGRO_ATTEMPT"))).size, 1, name);
  assert.deepEqual(live.map((p) => p.environ.get("RANK")).toSorted(), ["0", "1", "2"], name);
  assert.equal(live[0]?.environ.get("UGRO_ATTEMPT"), String(running.attempt));
  assertNoRankTwice(harness.witnessDir);
  await harness.remove(`jobs/${name}.yaml`);
  await harness.until(name, (s) => s.phase === "Cancelled", 20_000);
  assert.deepEqual(harness.processesOf(name), []);
  assert.equal(await harness.service.stop(), 0);
}

for (const when of ["before", "after"]) {
  suite.test(`killed ${when} each effect of a launch, the next start converges`, {}, async (t) => {
    const harness = await t.harness({ service: false });
    const seen = new Set<string>();
    let crashes = 0;
    let last: string[] = [];
    for (let n = 1; n <= MAX_EFFECTS; n++) {
      const name = `${when}-${n}`;
      const crashed = await crashOnce(harness, name, `${when}:${n}`);
      last = effects(harness);
      for (const effect of last) seen.add(effect);
      await assertConverges(harness, name);
      if (!crashed) break;
      crashes = n;
    }
    for (const effect of ["writeLease", "commitStatus", "launch"]) {
      assert(seen.has(effect), `no ${effect} among ${[...seen]}`);
    }
    console.log(`${crashes} crashes; the effects of a launch: ${last.join(", ")}`);
    assert(crashes >= 5 && crashes < MAX_EFFECTS, `${crashes} crashes`);
    assert.equal(new Set(witnesses(harness.witnessDir).map((w) => w.job)).size, crashes + 1);
    await harness.assertDesiredUntouched();
  });
}
