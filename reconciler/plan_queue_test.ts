/** Around the scheduler: who may be stopped, who waits for whom, and at which place. */
import assert from "node:assert/strict";
import { DEFAULT_SCHEDULING } from "../cluster/cluster.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import type { Plan } from "./model.ts";
import { plan } from "./plan.ts";
import {
  ago,
  attempt,
  broken,
  cluster,
  gpu,
  job,
  nodeSpec,
  NOW,
  reachable,
  run,
  running,
  status,
  unknown,
  world,
} from "./testing/build.ts";

const DAY_MS = 86_400_000;
const PREEMPT = {
  ...DEFAULT_SCHEDULING,
  preemption: { byPriority: true, reclaim: true, protectMs: 0 },
};
const launches = ({ actions }: Plan) =>
  actions.flatMap((action) => action.kind === "launch" ? [action.job.spec.name as string] : []);
const on = (name: string) => [{ job: name, when: "success" }] as const;

/** One of the jobs of `sweep`. */
const child = (name: string, maxParallel?: number): DesiredJob =>
  job(name, {
    parent: "sweep",
    file: "jobs/sweep.yaml",
    ...(maxParallel === undefined ? {} : { maxParallel }),
  });
const ofSweep = { parent: "sweep", file: "jobs/sweep.yaml" };
const done = (changes: Partial<JobStatus> = {}): Partial<JobStatus> => ({
  phase: "Succeeded",
  reason: "Succeeded",
  attempts: [attempt(1, ["n1"], { endedAt: ago(9500), end: "succeeded" })],
  ...changes,
});

Deno.test("a job whose manifest is broken is neither chosen to make room nor asked about", () => {
  for (const checkpointsOf of [["low"], []]) {
    const result = plan(world({
      cluster: cluster(["n1"], { scheduling: PREEMPT }),
      jobs: [job("high", { priority: 100 })],
      invalid: { low: broken("jobs/low.yaml") },
      history: [running("low", ["n1"]), status("high", { priority: 100 })],
      nodes: [reachable("n1", { runs: [run("low", 1, 0, ["n1"])] })],
      checkpointsOf,
    }));
    assert.equal(result.statuses.get("low")?.attempts[0]?.evicted, undefined);
    assert.deepEqual(result.needCheckpoints, []);
  }
});

Deno.test("a job that has started once does not wait again for what it waited for", () => {
  const left: Record<string, Partial<Attempt>> = {
    evicted: { startedAt: ago(9000), endedAt: ago(500), end: "evicted" },
    "node-lost": { startedAt: ago(9000), endedAt: ago(500), end: "node-lost" },
    failed: {
      endedAt: ago(500),
      end: "failed",
      failure: { class: "exit-code", message: "1" },
    },
  };
  for (const ended of Object.values(left)) {
    const result = plan(world({
      jobs: [job("train", { after: on("prep") })],
      history: [
        status("train", { attempts: [attempt(1, ["n1"], ended)] }),
        status("prep", done({ reason: "ManifestDeleted" })),
      ],
      nodes: [reachable("n1")],
    }));
    assert.deepEqual(launches(result), ["train"], result.statuses.get("train")?.message);
  }
});

Deno.test("a job that is resumed goes on without asking again, one that is run again asks", () => {
  const stopped = attempt(1, ["n1"], { endedAt: ago(500), end: "stopped" });
  const wait = (train: DesiredJob, known: Partial<JobStatus>) => {
    let history = [status("train", known)];
    // Nothing is free at first: what it waits for must not be asked in a later pass either.
    for (const gpus of [[], []]) {
      const input = world({ jobs: [train], history, nodes: [reachable("n1", { gpus })] });
      history = [...plan(input).statuses.values()];
    }
    const result = plan(world({ jobs: [train], history, nodes: [reachable("n1")] }));
    return { launched: launches(result).length > 0, train: result.statuses.get("train") };
  };
  const suspended = { phase: "Suspended", reason: "Suspended", attempts: [stopped] } as const;
  const resumed = wait(job("train", { after: on("prep") }), suspended);
  assert.equal(resumed.launched, true, resumed.train?.message);
  assert.deepEqual(resumed.train?.conditions, [], "what was noted for the time until then is gone");
  const fixed = wait(job("train", { after: on("prep"), specDigest: "d2" }), {
    ...{ phase: "Failed", reason: "exit-code" } as const,
    attempts: [{ ...stopped, end: "failed" }],
  });
  assert.equal(fixed.launched, true, fixed.train?.message);
  const never = wait(job("train", { after: on("prep") }), { phase: "Suspended" });
  assert.equal(never.train?.reason, "Dependency");
  const rerun = wait(job("train", { after: on("prep"), rerun: 1 }), done());
  assert.equal(rerun.train?.reason, "Dependency");
  const back = wait(job("train", { after: on("prep") }), done({ reason: "ManifestDeleted" }));
  assert.equal(back.train?.reason, "Dependency");
});

Deno.test("a job that was found on its nodes has started, whatever was lost of it", () => {
  const [train, prep] = [job("train", { after: on("prep") }), job("prep")];
  const nodes = [reachable("n1", { runs: [run("train", 1, 0, ["n1"])] })];
  const found = plan(world({ jobs: [train, prep], lost: true, nodes }));
  const adopted = found.statuses.get("train") as JobStatus;
  assert.equal(adopted.phase, "Running");
  const [last] = adopted.attempts;
  const evicted = { ...last!, endedAt: ago(1), end: "evicted" as const };
  const waits = { ...adopted, phase: "Pending" as const, attempts: [evicted] };
  const result = plan(world({ jobs: [train], history: [waits], nodes: [reachable("n1")] }));
  assert.deepEqual(launches(result), ["train"]);
});

Deno.test("a job that waits for itself since it started goes on all the same", () => {
  const blocked = { reason: "DependencyCycle", message: "it waits for itself: a → b → a" } as const;
  const a = { ...job("a", { after: on("b") }), blocked };
  const lost = attempt(1, ["n1"], { endedAt: ago(500), end: "node-lost" });
  const launched = (changes: Partial<JobStatus>) =>
    launches(plan(world({ jobs: [a], history: [status("a", changes)], nodes: [reachable("n1")] })));
  assert.deepEqual(launched({ attempts: [lost] }), ["a"]);
  assert.deepEqual(launched({}), []);
});

Deno.test("a sweep goes on beside a child that cannot go on from its checkpoint, and no further", () => {
  const last = attempt(1, ["n2"], {
    startedAt: ago(9000),
    resumedFrom: { path: "x", step: 5 },
    endedAt: ago(500),
    end: "node-lost",
  });
  const jobs = ["sweep-a", "sweep-b", "sweep-c"].map((name) => child(name, 1));
  let history = [
    status("sweep-a", { ...ofSweep, attempts: [last] }),
    status("sweep-b", ofSweep),
    status("sweep-c", ofSweep),
  ];
  const away = [reachable("n1"), unknown("n2", 999_999), reachable("n3")];
  const first = plan(world({ jobs, history, nodes: away }));
  assert.deepEqual(launches(first), []);
  assert.equal(first.statuses.get("sweep-a")?.reason, "CheckpointNotShared");
  assert.equal(
    first.statuses.get("sweep-b")?.message,
    "as many jobs of sweep run, or are next, as `maxParallel: 1` allows",
  );
  history = [...first.statuses.values()];
  assert.deepEqual(launches(plan(world({ jobs, history, nodes: away }))), ["sweep-b"]);
  // The node is back: both could be placed in one pass.
  const back = [
    reachable("n1"),
    reachable("n2", { checkpoints: { "sweep-a": [5] } }),
    reachable("n3"),
  ];
  const both = plan(world({ jobs, history, nodes: back }));
  assert.deepEqual(launches(both), ["sweep-a"]);
  assert.equal(both.statuses.get("sweep-b")?.reason, "ArrayLimit");
});

Deno.test("a child that no node could ever hold does not hold up the others", () => {
  const jobs = [
    job("sweep-a", { ...ofSweep, maxParallel: 1, resources: { nodes: 9 } }),
    child("sweep-b", 1),
  ];
  const history = [status("sweep-a", ofSweep), status("sweep-b", ofSweep)];
  const nodes = [reachable("n1")];
  const first = plan(world({ jobs, history, nodes }));
  assert.equal(first.statuses.get("sweep-a")?.reason, "Unschedulable");
  const next = plan(world({ jobs, history: [...first.statuses.values()], nodes }));
  assert.deepEqual(launches(next), ["sweep-b"]);
});

Deno.test("a child whose status file cannot be read has not ended, and may run", () => {
  const unreadable = { "sweep-b": "bad" };
  const nodes = [reachable("n1")];
  const history = [status("sweep-a", done(ofSweep))];
  const report = job("report", { after: on("sweep") });
  const jobs = [child("sweep-a"), child("sweep-b"), report];
  const result = plan(world({ jobs, history, unreadable, nodes }));
  assert.deepEqual(launches(result), []);
  assert.equal(
    result.statuses.get("report")?.message,
    "waits for all jobs of sweep to succeed",
  );
  const two = [child("sweep-b", 1), child("sweep-c", 1)];
  const limited = plan(world({ jobs: two, unreadable, nodes }));
  assert.deepEqual(launches(limited), []);
});

Deno.test("a value that was taken out of a matrix counts for maxParallel until it has stopped", () => {
  const result = plan(world({
    jobs: [child("sweep-b", 1)],
    history: [running("sweep-a", ["n1"], ofSweep), status("sweep-b", ofSweep)],
    nodes: [reachable("n1", { runs: [run("sweep-a", 1, 0, ["n1"])] }), reachable("n2")],
  }));
  assert.deepEqual(launches(result), []);
});

Deno.test("CPU cores of a job stay taken when its manifest breaks", () => {
  const given = world({
    cluster: cluster([nodeSpec("n1", { hardware: { cpuCores: 64 } })]),
    jobs: [job("next", { resources: { cpuCores: 48 } })],
    invalid: { first: broken("jobs/first.yaml") },
    history: [running("first", ["n1"])],
    nodes: [
      reachable("n1", {
        gpus: [gpu("n1", 0), gpu("n1", 1)],
        runs: [run("first", 1, 0, ["n1"])],
      }),
    ],
  });
  const knowing = (cpuCores: number) => {
    const watched = new Map([["first/1", { host: { cpuCores } }]]);
    return plan({ ...given, observed: { ...given.observed, watched } });
  };
  assert.deepEqual(launches(plan(given)), [], "nobody knows how many");
  assert.deepEqual(launches(knowing(48)), []);
  assert.deepEqual(launches(knowing(16)), ["next"]);
});

Deno.test("who had come to rest and is wanted again stands behind those that came since", () => {
  const long = ago(30 * DAY_MS);
  const old = attempt(1, ["n1"], { recordedAt: long, endedAt: long, end: "stopped" });
  const failed = { ...old, end: "failed" as const, failure: { class: "exit-code", message: "1" } };
  const table: [string, DesiredJob, Partial<JobStatus>][] = [
    ["rerun", job("again", { rerun: 1 }), done()],
    ["resumed", job("again"), { phase: "Suspended", reason: "Suspended", attempts: [old] }],
    ["not cancelled", job("again"), { phase: "Cancelled", reason: "Cancelled", attempts: [old] }],
    ["back", job("again"), done({ reason: "ManifestDeleted" })],
    ["repaired", job("again", { specDigest: "d2" }), { phase: "Failed", attempts: [failed] }],
  ];
  for (const [why, wanted, known] of table) {
    const result = plan(world({
      jobs: [wanted, job("since")],
      history: [
        status("again", { ...known, submittedAt: long }),
        status("since", { submittedAt: ago(3_600_000) }),
      ],
      nodes: [reachable("n1")],
    }));
    assert.deepEqual(launches(result), ["since"], why);
    assert.equal(result.statuses.get("again")?.submittedAt, new Date(NOW).toISOString(), why);
  }
});

Deno.test("retries, lost nodes, evictions and broken manifests cost nobody the place", () => {
  const submittedAt = ago(30 * DAY_MS);
  const end = (changes: object) => [attempt(1, ["n1"], { endedAt: ago(500), ...changes })];
  const table: Partial<JobStatus>[] = [
    { phase: "Recovering", retries: 1, attempts: end({ end: "failed" }) },
    { phase: "Recovering", attempts: end({ end: "node-lost" }) },
    { reason: "Preempted", attempts: end({ end: "evicted" }) },
    { phase: "Invalid", reason: "ManifestInvalid" },
    { phase: "Pending" },
  ];
  for (const known of table) {
    const history = [status("a", { ...known, submittedAt })];
    const result = plan(world({ jobs: [job("a")], history, nodes: [reachable("n1")] }));
    assert.equal(result.statuses.get("a")?.submittedAt, submittedAt);
    assert.deepEqual(launches(result), ["a"]);
  }
});

Deno.test("a run that a schedule no longer lists says so, and blames nobody for a deletion", () => {
  const schedule = {
    ...{ cron: "0 3 * * *", timezone: "UTC", concurrency: "forbid" } as const,
    startWithinMs: 1000,
  };
  const message = (keep: number) => {
    const history = ["20251230", "20251231", "20260101"].map((day) =>
      status(`nightly-${day}-0300`, done({ parent: "nightly", file: "jobs/nightly.yaml" }))
    );
    const jobs = [job("nightly", { schedule: { ...schedule, keep } })];
    const { statuses } = plan(world({ jobs, history, nodes: [] }));
    return statuses.get("nightly-20251230-0300")?.message;
  };
  assert.equal(
    message(2),
    "it is older than the newest 2 finished runs of nightly that `keep` leaves listed",
  );
  assert.equal(
    message(1),
    "it is older than the newest finished run of nightly that `keep` leaves listed",
  );
  assert.equal(message(3), "test");
});
