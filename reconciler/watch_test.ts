/** GPUs that nobody uses although a job has them. */
import assert from "node:assert/strict";
import type { IdlePolicy } from "../cluster/cluster.ts";
import type { Gpu } from "../cluster/gpu.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Watched } from "./model.ts";
import type { NodeObservation } from "./ports.ts";
import {
  ago,
  attempt,
  broken,
  cluster,
  ended,
  gpu,
  job,
  NOW,
  reachable,
  run,
  running,
  STOPPED,
  unknown,
  uuid,
  world,
} from "./testing/build.ts";
import { conditionOf, decideIn, type DecisionWorld } from "./testing/decide.ts";
import { hostNeedOf, watch } from "./watch.ts";

const MINUTE_MS = 60_000;
const idle: IdlePolicy = { belowPct: 5, forMs: 30 * MINUTE_MS, action: "flag" };
const NODES = ["n1", "n2"];
const gang = job("a", { idle, resources: { nodes: 2 } });

/** Rank `rank` of `a` on its node, whose card is used so much. */
function busy(rank: number, utilisationPct: number | null, changes: Partial<Gpu> = {}) {
  const node = NODES[rank] ?? "";
  const gpus = [{ ...gpu(node), utilisationPct, ...changes }];
  return reachable(node, { gpus, runs: [run("a", 1, rank, NODES)] });
}

/** What is known after passes a minute apart, each with its two nodes. */
function after(
  passes: readonly (readonly NodeObservation[])[],
  wanted: DesiredJob = gang,
  queue: { readonly idle?: IdlePolicy } = {},
): Watched | undefined {
  let watched: ReadonlyMap<string, Watched> = new Map();
  passes.forEach((nodes, minute) => {
    const { desired, observed, history } = world({
      jobs: [wanted],
      history: [running("a", NODES)],
      nodes,
      cluster: cluster(NODES, { queues: [{ name: "default", priority: 0, ...queue }] }),
    });
    watched = watch(watched, observed, history.jobs, desired, NOW + minute * MINUTE_MS);
  });
  return watched.get("a/1");
}

const idles = [busy(0, 4), busy(1, 0)];
const sinceMinute = (watched: Watched | undefined) =>
  watched?.idleSinceMs === undefined ? undefined : (watched.idleSinceMs - NOW) / MINUTE_MS;

Deno.test("a window of idleness begins with the first pass in which all GPUs idle", () => {
  assert.equal(sinceMinute(after([idles, idles, idles])), 0);
  assert.equal(sinceMinute(after([[busy(0, 4), busy(1, 5)], idles, idles])), 1);
});

Deno.test("one busy sample, one that is missing, or a node that is unknown begins it anew", () => {
  const breaks: readonly (readonly NodeObservation[])[] = [
    [busy(0, 4), busy(1, 99)],
    [busy(0, null), busy(1, 0)],
    [busy(0, 4), unknown("n2")],
    [busy(0, 4), reachable("n2", { gpus: undefined, gpuProblem: "nvidia-smi failed" })],
    [busy(0, 4), reachable("n2")],
    [busy(0, 4), { ...busy(1, 0), runs: [run("a", 1, 1, NODES, ended(1))] }],
  ];
  for (const other of breaks) {
    assert.equal(sinceMinute(after([idles, other])), undefined);
    assert.equal(sinceMinute(after([idles, other, idles])), 2);
  }
});

Deno.test("the job's policy counts, else its queue's; without one nothing is tracked", () => {
  const plain = job("a", { resources: { nodes: 2 } });
  assert.equal(sinceMinute(after([idles], plain)), undefined);
  assert.equal(sinceMinute(after([idles], plain, { idle })), 0);
  const strict = { ...idle, belowPct: 1 };
  assert.equal(sinceMinute(after([idles], plain, { idle: strict })), undefined);
  assert.equal(sinceMinute(after([idles], gang, { idle: strict })), 0);
});

Deno.test("CPU slots never idle: nobody measures them", () => {
  const slots = attempt(1, ["n1"], {
    startedAt: ago(9000),
    placement: [{ node: "n1", gpus: ["cpu:0"] }],
  });
  const { desired, observed, history } = world({
    jobs: [job("a", { idle })],
    history: [running("a", ["n1"], { attempts: [slots] })],
    nodes: [reachable("n1", { gpus: [], runs: [run("a", 1, 0, ["n1"])] })],
  });
  const watched = watch(new Map(), observed, history.jobs, desired, NOW);
  assert.deepEqual([...watched], [["a/1", { host: {} }]]);
});

Deno.test("the most memory that was seen stays, and an attempt that has ended is forgotten", () => {
  const uses = (first: number, second: number | null) => [
    busy(0, 90, { memoryUsedMiB: first }),
    busy(1, 90, { memoryUsedMiB: second }),
  ];
  assert.equal(after([uses(9000, 21_000), uses(20_000, null)])?.peakMiB, 21_000);
  const away = [busy(0, 90, { memoryUsedMiB: 100 }), unknown("n2")];
  assert.equal(after([uses(9000, 21_000), away])?.peakMiB, 21_000);
  const { desired, observed, history } = world({
    jobs: [gang],
    history: [running("a", NODES, { attempts: [attempt(1, NODES, { end: "stopped" })] })],
    nodes: idles,
  });
  const before = new Map([["a/1", { peakMiB: 21_000 }]]);
  assert.equal(watch(before, observed, history.jobs, desired, NOW).size, 0);
});

Deno.test("what a launch asked for is remembered when its manifest is changed, broken or deleted", () => {
  const asks = job("a", { resources: { cpuCores: 48, ramGb: 100 } });
  const edited = job("a", { specDigest: "d2", resources: { cpuCores: 1 } });
  const look = (before: ReadonlyMap<string, Watched>, jobs: readonly DesiredJob[]) => {
    const { desired, observed, history } = world({
      jobs,
      history: [running("a", ["n1"])],
      nodes: [reachable("n1")],
    });
    return watch(before, observed, history.jobs, desired, NOW);
  };
  const known = look(new Map(), [asks]);
  assert.deepEqual(known.get("a/1")?.host, { cpuCores: 48, ramGb: 100 });
  for (const jobs of [[edited], []]) {
    assert.deepEqual(look(known, jobs).get("a/1")?.host, { cpuCores: 48, ramGb: 100 });
    assert.equal(look(new Map(), jobs).get("a/1"), undefined, "nobody knows");
  }
});

Deno.test("what the runs of a schedule asked for is not what its template says now", () => {
  const schedule = {
    ...{ cron: "0 3 * * *", timezone: "UTC", concurrency: "allow", keep: 1 } as const,
    startWithinMs: 1,
  };
  const name = "nightly-20260101-0300";
  const template = job("nightly", { specDigest: "new", schedule, resources: { cpuCores: 1 } });
  const run = { ...job(name, { parent: "nightly", resources: { cpuCores: 1 } }) };
  const { desired } = world({ jobs: [template, run], nodes: [] });
  assert.equal(hostNeedOf(name, { specDigest: "d1" }, desired), undefined);
  assert.deepEqual(hostNeedOf(name, { specDigest: "new" }, desired), { cpuCores: 1 });
});

Deno.test("on a shared GPU only what the job's own processes hold counts", () => {
  const own = { kind: "run", job: "a", attempt: 1, rank: 0 } as const;
  const other = { ...own, job: "b" };
  const placement = [{ node: "n1", gpus: [uuid("n1")], share: 0.5 }];
  const { desired, observed, history } = world({
    jobs: [job("a")],
    history: [running("a", ["n1"], { attempts: [attempt(1, ["n1"], { placement })] })],
    nodes: [reachable("n1", {
      gpus: [{ ...gpu("n1", 0, [own, other, own]), memoryUsedMiB: 60_000 }],
      runs: [run("a", 1, 0, ["n1"])],
    })],
  });
  const watched = watch(new Map(), observed, history.jobs, desired, NOW);
  assert.equal(watched.get("a/1")?.peakMiB, 40_000);
});

const live = reachable("n1", { runs: [run("a", 1, 0, ["n1"])] });
const told = { ...ended(1, { reason: "stopped" as const }), stop: STOPPED };
const stopped = reachable("n1", { runs: [run("a", 1, 0, ["n1"], told)] });
const idleFor = (minutes: number) => ({ "a/1": { idleSinceMs: NOW - minutes * MINUTE_MS } });
const flagged = (changes: Partial<DecisionWorld> = {}) =>
  decideIn({
    jobs: [job("a", { idle })],
    history: [running("a", ["n1"])],
    nodes: [live],
    watched: idleFor(30),
    ...changes,
  });

Deno.test("a job whose GPUs idled for long enough says so, and is not stopped", () => {
  const early = flagged({ watched: idleFor(29) });
  assert.deepEqual([early.status.conditions, early.wakeAtMs], [[], NOW + MINUTE_MS]);
  const { status, stops } = flagged();
  const { since: _, ...condition } = conditionOf(status, "Idle") ?? { since: "" };
  assert.deepEqual(condition, {
    type: "Idle",
    status: "True",
    reason: "LowUtilisation",
    message: "all of its GPUs have been used less than 5 % for 30m",
  });
  assert.deepEqual([stops, status.phase], [[], "Running"]);
  const later = flagged({ history: [status], watched: idleFor(45) });
  assert.equal(later.status, status, "nothing moves while it idles on");
});

Deno.test("it is taken back when the GPUs are used again, not while nobody can tell", () => {
  const { status } = flagged();
  assert.deepEqual(flagged({ history: [status], watched: {} }).status.conditions, []);
  const unwatched = decideIn({ jobs: [job("a", { idle })], history: [status], nodes: [live] });
  assert.equal(unwatched.status, status);
  const away = flagged({ history: [status], watched: {}, nodes: [unknown("n1"), reachable("n2")] });
  assert.equal(conditionOf(away.status, "Idle")?.status, "True");
  const restarted = flagged({ history: [status], watched: idleFor(0) });
  assert.equal(restarted.status, status, "a new controller begins to count anew");
  const longer = job("a", { idle: { ...idle, forMs: 60 * MINUTE_MS } });
  assert.deepEqual(flagged({ history: [status], jobs: [longer] }).status.conditions, []);
});

const stops = job("a", { idle: { ...idle, action: "stop" } });

Deno.test("with `action: stop` it is stopped and has failed, and says how to change that", () => {
  const first = flagged({ jobs: [stops] });
  assert.equal(first.stops.length, 1);
  assert.equal(first.last?.failure?.class, "idle", "recorded: the stop hides it");
  const stopping = run("a", 1, 0, ["n1"], { state: "stopping", stop: STOPPED });
  const saves = flagged({
    jobs: [stops],
    history: [first.status],
    nodes: [reachable("n1", { runs: [stopping] })],
    watched: {},
  });
  assert.deepEqual([saves.status, saves.stops], [first.status, []], "nothing moves meanwhile");
  const done = flagged({
    jobs: [stops],
    history: [first.status],
    nodes: [stopped],
    watched: { "a/1": { peakMiB: 21_000 } },
  });
  assert.deepEqual([done.status.phase, done.status.reason], ["Failed", "Idle"]);
  assert.deepEqual([done.last?.end, done.last?.failure?.class], ["failed", "idle"]);
  assert.match(done.status.message, /less than 5 % for 30m; raise `rerun:` .* `idle:`/);
  assert.deepEqual([done.status.conditions, done.status.retries], [[], 0]);
  assert.equal(done.last?.peakMiB, 21_000, "what was seen of its memory stays with the attempt");
  const rests = flagged({ jobs: [stops], history: [done.status], nodes: [stopped] });
  assert.deepEqual([rests.status, rests.candidate], [done.status, undefined]);
});

Deno.test("a controller that died after recording it stops the job, though it saw nothing idle", () => {
  const { status } = flagged({ jobs: [stops] });
  const next = flagged({ jobs: [stops], history: [status], watched: {} });
  assert.equal(next.stops.length, 1);
});

Deno.test("a guard, a broken manifest and a person's wish go before the idle policy", () => {
  const held = flagged({ jobs: [stops], stopsLeft: 0 });
  assert.deepEqual([held.stops, held.last?.failure], [[], undefined]);
  const invalid = { a: broken("jobs/a.yaml") };
  assert.deepEqual(flagged({ jobs: [], invalid }).stops, []);
  const cancelled = job("a", { ...stops.spec, state: "cancelled" });
  const { status } = flagged({ jobs: [stops] });
  const wish = flagged({ jobs: [cancelled], history: [status], nodes: [stopped] });
  assert.deepEqual([wish.status.phase, wish.last?.end], ["Cancelled", "stopped"]);
});
