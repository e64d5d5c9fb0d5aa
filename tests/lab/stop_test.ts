/** Suspending, resuming and deleting: nothing is left behind, and nothing is lost. */
import assert from "node:assert/strict";
import { type Harness, job } from "./harness.ts";
import { eventually } from "./processes.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice, type Witness, witnesses } from "./witness.ts";

const suite = await labSuite();

/** Waits until three ranks of an attempt have left a certain trace. */
function ranksDid(harness: Harness, job: string, attempt: number, event: string) {
  return eventually(
    `see three ranks of ${job}/${attempt} ${event}`,
    30_000,
    (): Witness[] | undefined => {
      const ranks = witnesses(harness.witnessDir, job).filter((w) =>
        w.attempt === attempt && w.events.has(event)
      );
      return ranks.length === 3 ? ranks : undefined;
    },
    () => JSON.stringify(witnesses(harness.witnessDir, job)) + harness.service.tail(30),
  );
}

suite.test("suspend, resume from the checkpoint, delete", { torch: true }, async (t) => {
  const harness = await t.harness({ python: t.python });
  const manifest = (state: string) =>
    job({
      state,
      resources: { nodes: 3, gpusPerNode: 1 },
      script: "scripts/ddp.py",
      training: { steps: 100_000, "step-time": 0.1, "ckpt-every": 1000 },
      args: ["--witness", harness.witnessDir],
      checkpoint: { pattern: "step-*.pt", resume: "--resume-from {path}" },
    });
  await harness.push({ "jobs/long.yaml": manifest("running") });
  await ranksDid(harness, "long", 1, "train");
  await harness.until("long", (s) => s.phase === "Running", 20_000);
  await harness.push({ "jobs/long.yaml": manifest("suspended") }, "suspend");
  const suspended = await harness.until("long", (s) => s.phase === "Suspended", 25_000);
  assert.equal(suspended.attempts.at(-1)?.end, "stopped");
  assert.deepEqual(harness.processesOf("long"), []);
  const [stopped] = await ranksDid(harness, "long", 1, "stopped");
  const step = Number(stopped?.events.get("stopped")?.["step"]);

  await harness.push({ "jobs/long.yaml": manifest("running") }, "resume");
  const again = await harness.until(
    "long",
    (s) => s.phase === "Running" && s.attempt === 2,
    40_000,
  );
  assert.equal(again.attempts.at(-1)?.resumedFrom?.step, step);
  assert(step > 0);
  const resumed = await ranksDid(harness, "long", 2, "train");
  for (const rank of resumed) assert.equal(rank.events.get("train")?.["first_step"], step);

  await harness.remove("jobs/long.yaml");
  await harness.until(
    "long",
    (s) => s.phase === "Cancelled" && s.reason === "ManifestDeleted",
    25_000,
  );
  assert.deepEqual(harness.processesOf("long"), []);
  await ranksDid(harness, "long", 2, "stopped");
  assertNoRankTwice(harness.witnessDir);
});

suite.test(
  "deleting ends what ignores SIGTERM and what hid in a session of its own",
  {},
  async (t) => {
    const harness = await t.harness();
    await harness.push({
      "jobs/stubborn.yaml": job({
        resources: { nodes: 3, gpusPerNode: 1 },
        script: "scripts/sleeper.py",
        launcher: "processes",
        args: ["600", "--on-term", "ignore", "--spawn-orphan", "--witness", harness.witnessDir],
        grace: "2s",
      }),
    });
    await harness.until("stubborn", (s) => s.phase === "Running", 20_000);
    await eventually("see three orphans", 5_000, () => {
      const orphans = harness.processesOf("stubborn").filter((p) => p.command === "sleep");
      return orphans.length === 3 ? true : undefined;
    });
    await harness.remove("jobs/stubborn.yaml");
    await harness.until("stubborn", (s) => s.phase === "Cancelled", 25_000);
    assert.deepEqual(harness.processesOf("stubborn"), []);
    const starts = witnesses(harness.witnessDir, "stubborn");
    assert.equal(starts.length, 3);
    for (const rank of starts) assert(rank.events.has("term"), "SIGTERM comes before SIGKILL");
  },
);

suite.test(
  "torchrun's workers are ended though their agent was killed",
  { torch: true },
  async (t) => {
    const harness = await t.harness({ python: t.python });
    await harness.push({
      "jobs/orphaned.yaml": job({
        resources: { nodes: 1, gpusPerNode: 1 },
        script: "scripts/ddp.py",
        training: { steps: 100_000, "step-time": 0.1 },
        recovery: { maxRetries: 0 },
      }),
    });
    const running = await harness.until("orphaned", (s) => s.phase === "Running", 30_000);
    const host = t.lab.host(running.attempts[0]?.placement[0]?.node ?? "");
    const [agent] = await eventually("see the agent and its worker", 20_000, () => {
      const all = host.pids("UGRO_JOB=orphaned");
      const agents = all.filter((p) => p.argv.includes("torch.distributed.run"));
      return agents.length > 0 && all.some((p) => p.environ.has("LOCAL_RANK")) ? agents : undefined;
    });
    assert(agent);
    Deno.kill(agent.pid, "SIGKILL");
    await harness.until("orphaned", (s) => s.phase === "Failed", 25_000);
    assert.deepEqual(harness.processesOf("orphaned"), []);
  },
);
