/** Ranks, hosts and links fail. */
import assert from "node:assert/strict";
import { type Harness, job, pause } from "./harness.ts";
import { eventually } from "./processes.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice, witnesses } from "./witness.ts";

const suite = await labSuite();

function training(harness: Harness, nodes: number, fields: Readonly<Record<string, unknown>> = {}) {
  const { training, ...rest } = fields;
  return job({
    resources: { nodes, gpusPerNode: 1 },
    script: "scripts/ddp.py",
    training: {
      steps: 100_000,
      "step-time": 0.1,
      "ckpt-every": 5,
      ...training as Record<string, unknown>,
    },
    args: ["--witness", harness.witnessDir],
    checkpoint: { pattern: "step-*.pt", resume: "--resume-from {path}" },
    grace: "3s",
    ...rest,
  });
}

/** Waits until `count` ranks of an attempt have left a certain trace. */
function ranksDid(harness: Harness, job: string, attempt: number, event: string, count: number) {
  return eventually(`see ${count} ranks of ${job}/${attempt} ${event}`, 40_000, () => {
    const ranks = witnesses(harness.witnessDir, job)
      .filter((w) => w.attempt === attempt && w.events.has(event));
    return ranks.length === count ? ranks : undefined;
  }, () => harness.service.tail(60));
}

suite.test("a killed rank: the gang restarts from its checkpoint", { torch: true }, async (t) => {
  const harness = await t.harness({ python: t.python });
  await harness.push({ "jobs/gang.yaml": training(harness, 3) });
  await ranksDid(harness, "gang", 1, "train", 3);
  await eventually("see checkpoints on every host", 20_000, async () => {
    const paths = t.lab.hosts.map((host) => `${harness.workdir(host)}/checkpoints/gang/step-5.pt`);
    const found = await Promise.all(paths.map((path) => Deno.stat(path).catch(() => undefined)));
    return found.every((file) => file !== undefined) ? true : undefined;
  });
  const [rank] = t.lab.host("h2").pids("UGRO_JOB=gang").filter((p) => p.environ.has("LOCAL_RANK"));
  assert(rank);
  Deno.kill(rank.pid, "SIGKILL");
  const again = await harness.until(
    "gang",
    (s) => s.attempt === 2 && s.phase === "Running",
    60_000,
  );
  const step = again.attempts.at(-1)?.resumedFrom?.step ?? 0;
  assert(step >= 5, `resumed from step ${step}`);
  assert.equal(again.attempts[0]?.end, "failed");
  for (const rank of await ranksDid(harness, "gang", 2, "train", 3)) {
    assert.equal(rank.events.get("train")?.["first_step"], step);
  }
  assertNoRankTwice(harness.witnessDir);
});

suite.test("a crashed host: the job moves to hosts that are left", { torch: true }, async (t) => {
  const harness = await t.harness({ python: t.python });
  const checkpoint = {
    dir: `${t.lab.shared}/pair`,
    pattern: "step-*.pt",
    resume: "--resume-from {path}",
  };
  await harness.push({ "jobs/pair.yaml": training(harness, 2, { checkpoint }) });
  await ranksDid(harness, "pair", 1, "train", 2);
  await eventually(
    "see a checkpoint",
    20_000,
    () => Deno.stat(`${t.lab.shared}/pair/step-5.pt`).catch(() => undefined),
  );
  const before = await harness.until("pair", (s) => s.phase === "Running", 10_000);
  const lost = before.attempts[0]?.placement[1]?.node ?? "";
  const crashedAt = performance.now();
  await t.lab.host(lost).crash();
  try {
    const moved = await harness.until("pair", (s) => s.attempt === 2, 15_000, "be placed again");
    const placedMs = Math.round(performance.now() - crashedAt);
    console.log(`crash to new placement: ${placedMs} ms`);
    assert(moved.attempts[1]?.placement.every((p) => p.node !== lost));
    assert.equal(moved.attempts[0]?.end, "node-lost");
    assert((moved.attempts[1]?.resumedFrom?.step ?? 0) >= 5);
    await ranksDid(harness, "pair", 2, "train", 2);
    assertNoRankTwice(harness.witnessDir);
  } finally {
    await t.lab.host(lost).boot();
  }
});

suite.test("a crashed host that is needed: the job waits and says why", {}, async (t) => {
  const harness = await t.harness();
  await harness.push({
    "jobs/trio.yaml": job({
      resources: { nodes: 3, gpusPerNode: 1 },
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["300", "--witness", harness.witnessDir],
      grace: "1s",
    }),
  });
  await harness.until("trio", (s) => s.phase === "Running", 20_000);
  const host = t.lab.host("h2");
  await host.crash();
  try {
    const waits = await harness.until(
      "trio",
      (s) =>
        (s.phase === "Pending" || s.phase === "Recovering") && s.attempts[0]?.end !== undefined,
      20_000,
      "wait for room",
    );
    assert.equal(waits.attempt, 1);
    assert.match(waits.message, /h2|node|host|GPU/i);
    await pause(2_000);
    assert.deepEqual(harness.processesOf("trio"), [], "no rank of a gang runs alone");
  } finally {
    await host.boot();
  }
  await harness.until("trio", (s) => s.phase === "Running" && s.attempt === 2, 30_000);
  assertNoRankTwice(harness.witnessDir);
});

suite.test("a cut link: Unknown, nothing is relaunched, the run is adopted again", {
  torch: true,
  namespaces: true,
}, async (t) => {
  const harness = await t.harness({ python: t.python, policy: { nodeLostAfter: "60s" } });
  await harness.push({
    "jobs/idle.yaml": training(harness, 3, {
      training: { steps: 8, "idle-after": 3, "idle-time": 30 },
    }),
  });
  await ranksDid(harness, "idle", 1, "idle", 3);
  const host = t.lab.host("h2");
  await host.cut();
  try {
    const unknown = await harness.until("idle", (s) => s.phase === "Unknown", 20_000);
    assert.match(unknown.message, /h2/);
    await pause(3_000);
    assert.equal((await harness.status("idle"))?.attempt, 1);
    assert.equal(host.pids("UGRO_JOB=idle").some((p) => p.environ.has("LOCAL_RANK")), true);
  } finally {
    await host.restore();
  }
  await harness.until("idle", (s) => s.phase === "Running", 20_000, "be adopted");
  const done = await harness.until("idle", (s) => s.phase === "Succeeded", 40_000);
  assert.equal(done.attempt, 1);
  assertNoRankTwice(harness.witnessDir);
});
