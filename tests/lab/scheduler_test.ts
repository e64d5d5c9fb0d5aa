/** The scheduler on real hosts: who makes room for whom, and that no step is lost by it. */
import assert from "node:assert/strict";
import type { JobStatus } from "../../jobs/status.ts";
import { job } from "./harness.ts";
import { chain, matrix, QUOTAS, quotas } from "./scheduler_parts.ts";
import { nodesOf, range, running, schedulerLab, seconds } from "./scheduler_support.ts";
import { cancelled, stepsOf, stepTaken, succeeded, tracesOf } from "./scheduler_support.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice } from "./witness.ts";

const suite = await labSuite();

const sumTo = (n: number) => n * (n + 1) / 2;

suite.test("an urgent job takes the room, and no step is lost", { torch: true }, async (t) => {
  const { harness } = await schedulerLab(t, {
    scheduling: { preemption: { priority: true, protectFor: "0s" } },
  });
  const training = (steps: number, priority: string) =>
    job({
      priority,
      resources: { nodes: 2, gpusPerNode: 1 },
      script: "scripts/steps.py",
      training: { steps, "step-time": 0.1, "ckpt-every": 5 },
      args: ["--witness", harness.witnessDir],
      checkpoint: { pattern: "step-*.pt", resume: "--resume-from {path}" },
    });
  const steps = 80;
  await harness.push({ "jobs/low.yaml": training(steps, "low") });
  await stepTaken(harness, "low", 1, 8);
  // Of the same priority and pushed later: it must not get the place of the one that made room.
  const later = { resources: { nodes: 2 }, script: "scripts/sleeper.py", launcher: "processes" };
  await harness.push({ "jobs/later.yaml": job({ ...later, priority: "low", args: ["0.2"] }) });
  await harness.until("later", (s) => s.phase === "Pending", 20_000);

  const pushedMs = Date.now();
  await harness.push({ "jobs/urgent.yaml": training(10, "urgent") });
  const firstStep = await stepTaken(harness, "urgent", 1, 1);
  const evicted = await harness.until("low", (s) => s.attempts[0]?.end === "evicted", 20_000);
  assert.equal(evicted.attempts[0]?.evicted?.reason, "Preempted");
  assert.equal(evicted.attempts[0]?.evicted?.by, "urgent");
  assert.equal(evicted.attempts[0]?.failure, undefined);
  assert.equal(evicted.phase, "Pending");
  const urgent = await harness.until("urgent", succeeded, 40_000);
  const low = await harness.until("low", succeeded, 60_000);
  const last = await harness.until("later", succeeded, 20_000);

  // What it was asked to save is where it went on: each step once, on both ranks.
  const traces = tracesOf(harness, "low");
  const starts = traces.map(({ attempt, rank }) => `${attempt}/${rank}`);
  assert.deepEqual(starts, ["1/0", "1/1", "2/0", "2/1"]);
  const stopped = Number(traces[0]?.lines.find(({ event }) => event === "stopped")?.["step"]);
  assert(stopped >= 8 && stopped < steps, `stopped at ${stopped}`);
  for (const trace of traces) {
    const [from, to] = trace.attempt === 1 ? [1, stopped] : [stopped + 1, steps];
    assert.deepEqual(stepsOf(trace), range(from, to));
    const end = trace.lines.find(({ event }) => event === "end");
    assert.equal(end?.["total"], trace.attempt === 1 ? undefined : 2 * sumTo(steps));
  }
  assert.equal(low.retries, 0);
  assert.equal(low.submittedAt, evicted.submittedAt);
  assert.equal(low.attempts[1]?.resumedFrom?.step, stopped);
  assert.equal(urgent.attempts.length, 1);
  const waited = (await harness.statusHistory("urgent")).map((s) => s.reason);
  assert(waited.includes("Preempting"), waited.join(", "));
  // At its old place: before the one that waited all the time.
  const [back, after] = [low.attempts[1]?.endedAt, last.attempts[0]?.recordedAt];
  assert(back !== undefined && after !== undefined && back <= after, `${back}, ${after}`);
  assert.equal(last.attempts.length, 1);
  assertNoRankTwice(harness.witnessDir);
  await harness.assertDesiredUntouched();

  const at = (time: string | undefined) => Date.parse(time ?? "");
  const [one, two] = low.attempts;
  const start = urgent.attempts[0];
  console.log(
    `urgent: pushed to its first step ${seconds(pushedMs, firstStep.timeMs)}: ` +
      `decided ${seconds(pushedMs, at(one?.evicted?.at))}, ` +
      `low gone ${seconds(pushedMs, at(one?.endedAt))}, ` +
      `launched ${seconds(pushedMs, at(start?.recordedAt))}, ` +
      `running ${seconds(pushedMs, at(start?.startedAt))}; ` +
      `low launched again ${seconds(at(start?.endedAt), at(two?.recordedAt))} after urgent's end`,
  );
});

suite.test("a drained node is left for another one, and taken up again", {}, async (t) => {
  const { harness, cluster } = await schedulerLab(t, {});
  const mover = {
    script: "scripts/counter.py",
    launcher: "processes",
    args: ["3000", "--on-term", "save", "--witness", harness.witnessDir],
    checkpoint: {
      dir: `${t.lab.shared}/drain/{job}`,
      pattern: "step-*.txt",
      resume: "--resume-from {path}",
    },
  };
  await harness.push({ "jobs/mover.yaml": job(mover) });
  await stepTaken(harness, "mover", 1, 6);
  const [node = ""] = nodesOf(await harness.until("mover", running, 20_000));

  const pushedMs = Date.now();
  const cordoned = { reason: "the fan is loud", drain: true };
  await harness.push({ "cluster.yaml": cluster({ [node]: { cordoned } }) }, "drain");
  const moved = await harness.until("mover", (s) => s.attempt === 2 && running(s), 20_000);
  const [first, second] = moved.attempts;
  assert.equal(first?.end, "evicted");
  assert.equal(first?.evicted?.reason, "Drained");
  assert.equal(first?.evicted?.message, `${node} is drained (the fan is loud)`);
  assert.notEqual(second?.placement[0]?.node, node);
  const again = await stepTaken(harness, "mover", 2, 1);
  assert.match(
    await harness.statusFile("cluster.yaml") ?? "",
    /cordoned:\s+reason: the fan is loud\s+drain: true/,
  );

  // Two nodes are open and one of them is taken: of two further jobs one waits.
  const short = { script: "scripts/sleeper.py", launcher: "processes", args: ["600"] };
  await harness.push({ "jobs/new-1.yaml": job(short), "jobs/new-2.yaml": job(short) });
  const fresh = await harness.until("new-1", running, 20_000);
  const waiting = await harness.until("new-2", (s) => s.reason === "Cordoned", 20_000);
  assert.match(waiting.message, new RegExp(`beside what is cordoned \\(${node}\\)`));
  assert.notEqual(nodesOf(fresh)[0], node);

  await harness.push({ "cluster.yaml": cluster() }, "mended");
  const back = await harness.until("new-2", running, 20_000);
  assert.deepEqual(nodesOf(back), [node]);
  await harness.push({ "jobs/mover.yaml": job({ ...mover, state: "cancelled" }) });
  const ended = await harness.until("mover", cancelled, 20_000);

  assert.equal(ended.retries, 0);
  assert.equal(ended.attempts.length, 2, "nothing moves back by itself");
  const [before = [], after = []] = tracesOf(harness, "mover").map(stepsOf);
  assert.equal(second?.resumedFrom?.step, before.at(-1));
  assert.deepEqual([...before, ...after], range(1, before.length + after.length));
  assertNoRankTwice(harness.witnessDir);
  console.log(`drain: pushed to its next step elsewhere ${seconds(pushedMs, again.timeMs)}`);
});

suite.test("a queue takes back its quota from who ignores SIGTERM", {}, async (t) => {
  const { harness } = await schedulerLab(t, {
    queues: [{ name: "research", quota: 2 }, { name: "students", quota: 1 }],
    scheduling: { preemption: { reclaim: true, protectFor: "0s" } },
  });
  const saveEvery = 5;
  const student = {
    queue: "students",
    script: "scripts/counter.py",
    launcher: "processes",
    args: ["3000", "--on-term", "ignore", "--witness", harness.witnessDir],
    grace: "1s",
    checkpoint: { pattern: "step-*.txt", resume: "--resume-from {path}" },
  };
  const names = ["student-1", "student-2", "student-3"];
  const three = (state: string) =>
    Object.fromEntries(names.map((name) => [`jobs/${name}.yaml`, job({ ...student, state })]));
  await harness.push(three("running"));
  await Promise.all(names.map((name) => stepTaken(harness, name, 1, 7)));

  const pushedMs = Date.now();
  await harness.push({
    "jobs/paper.yaml": job({
      queue: "research",
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["0.5"],
    }),
  });
  const paper = await harness.until("paper", succeeded, 30_000);
  const name = (await harness.statuses()).find(({ attempts }) => attempts[0]?.end === "evicted")
    ?.name ?? "";
  await stepTaken(harness, name, 2, 1);
  await harness.push(three("cancelled"));
  const students = await Promise.all(names.map((name) => harness.until(name, cancelled, 20_000)));
  const [victim, ...others] = students.filter(({ attempts }) => attempts.length > 1);
  assert(victim);
  assert.deepEqual(others, [], "one GPU is wanted, and one job makes room");
  const [one, two] = victim.attempts;
  assert.equal(one?.end, "evicted");
  assert.equal(one.evicted?.reason, "Reclaimed");
  assert.equal(one.evicted.by, "paper");
  assert.deepEqual([victim.retries, victim.attempts.length], [0, 2]);
  // It did not save when asked, so it lost what came after its last save, and no more.
  const [before = [], after = []] = tracesOf(harness, victim.name).map(stepsOf);
  const lastSave = Math.floor((before.at(-1) ?? 0) / saveEvery) * saveEvery;
  assert.deepEqual(after, range(lastSave + 1, lastSave + after.length));
  assert.equal(two?.resumedFrom?.step, lastSave);
  assertNoRankTwice(harness.witnessDir);
  console.log(
    `reclaim: pushed to launched ${
      seconds(pushedMs, Date.parse(paper.attempts[0]?.recordedAt ?? ""))
    }, with 1 s of grace that was used up`,
  );
});

suite.test("a matrix, a chain and two users with quotas, side by side", {}, async (t) => {
  const { harness } = await schedulerLab(t, QUOTAS, 4);
  const parts = [matrix(harness), chain(harness), quotas(harness)];
  await harness.push(Object.assign({}, ...parts.map(({ files }) => files)));
  await Promise.all(parts.map(({ check }) => check()));
  assertNoRankTwice(harness.witnessDir);
  await harness.assertDesiredUntouched();
});

suite.test("GPUs that idle are told of, and freed where the manifest says so", {}, async (t) => {
  const { harness } = await schedulerLab(t, {});
  const asleep = (action: string) =>
    job({
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["60"],
      idle: { below: 5, for: "2s", action },
      model: { parameters: "7B" },
      training: { bf16: true },
      flags: "none",
    });
  await harness.push({ "jobs/told.yaml": asleep("flag"), "jobs/ended.yaml": asleep("stop") });
  const idle = (s: JobStatus) => s.conditions.some(({ type }) => type === "Idle");
  const told = await harness.until("told", idle, 20_000);
  assert.equal(told.phase, "Running");
  // A 4090 has 24 GB, and 16 bytes for each parameter are more.
  assert.match(told.conditions.find(({ type }) => type === "MemoryRisk")?.message ?? "", /112 GB/);
  const ended = await harness.until("ended", (s) => s.phase === "Failed", 30_000);
  assert.deepEqual([ended.reason, ended.attempts.length], ["Idle", 1]);
  assert.match(ended.message, /less than 5 %/);

  const node = nodesOf(told)[0];
  const host = t.lab.hosts.find(({ name }) => name === node);
  assert(host);
  await host.changeGpus((state) => ({
    ...state,
    gpus: state.gpus.map((gpu) => ({ ...gpu, "utilization.gpu": 80 })),
  }));
  await harness.until("told", (s) => !idle(s), 20_000);
});
