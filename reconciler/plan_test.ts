import assert from "node:assert/strict";
import type { Gpu } from "../cluster/gpu.ts";
import { KEPT_ATTEMPTS, KEPT_RUNS } from "./clean.ts";
import type { Plan } from "./model.ts";
import { plan } from "./plan.ts";
import {
  ago,
  attempt,
  broken,
  cluster,
  ended,
  gpu,
  job,
  nodeSpec,
  NOW,
  reachable,
  run,
  running,
  status,
  unknown,
  uuid,
  world,
} from "./testing/build.ts";

function said(result: Plan): string[] {
  return result.actions.map((a) =>
    a.kind === "launch"
      ? `launch ${a.job.spec.name}/${a.attempt.attempt} ranks ${a.ranks} on ${
        a.attempt.placement.map((p) => p.node)
      }`
      : a.kind === "stop"
      ? `stop ${a.run.job}/${a.run.attempt}/${a.run.rank} on ${a.node} in ${a.graceMs}`
      : `clean ${a.job} through ${a.throughAttempt} on ${a.node}`
  );
}

const gpus = (node: string, count: number): Gpu[] =>
  Array.from({ length: count }, (_, i) => gpu(node, i));

Deno.test("a new job is launched where there is room, with its record", () => {
  const result = plan(world({ jobs: [job("a")], nodes: [reachable("n1")] }));
  assert.deepEqual(said(result), ["launch a/1 ranks 0 on n1"]);
  const recorded = result.statuses.get("a");
  assert.equal(recorded?.phase, "Launching");
  assert.deepEqual(recorded?.attempts[0]?.placement, [{ node: "n1", gpus: [uuid("n1")] }]);
});

Deno.test("a gang gets all of its nodes or none", () => {
  const gang = job("a", { resources: { nodes: 2 } });
  const none = plan(world({ jobs: [gang], nodes: [reachable("n1"), unknown("n2")] }));
  assert.deepEqual(said(none), []);
  assert.match(none.waiting[0]?.message ?? "", /1 of 2 node\(s\) found. n2 cannot be asked/);
  const all = plan(world({ jobs: [gang], nodes: [reachable("n1"), reachable("n2")] }));
  assert.deepEqual(said(all), ["launch a/1 ranks 0,1 on n1,n2"]);
});

Deno.test("a GPU that a foreign or hidden process uses is never given away", () => {
  for (const kind of ["foreign", "unseen"] as const) {
    const busy = reachable("n1", { gpus: [gpu("n1", 0, [{ kind }])] });
    const result = plan(world({ jobs: [job("a")], nodes: [busy] }));
    assert.deepEqual(said(result), []);
    assert.equal(result.statuses.get("a")?.reason, "Resources");
  }
});

Deno.test("a GPU with memory in use by nobody, or with memory errors, is not given away", () => {
  for (const bad of [{ memoryUsedMiB: 9000 }, { eccUncorrected: 1 }]) {
    const nodes = [reachable("n1", { gpus: [{ ...gpu("n1"), ...bad }] })];
    assert.deepEqual(said(plan(world({ jobs: [job("a")], nodes }))), []);
  }
});

Deno.test("what is told of a busy GPU does not change with its numbers", () => {
  const texts = [9000, 9001].map((memoryUsedMiB) => {
    const nodes = [reachable("n1", { gpus: [{ ...gpu("n1"), memoryUsedMiB }] })];
    return plan(world({ jobs: [job("a")], nodes })).waiting[0]?.message;
  });
  assert.equal(texts[0], texts[1]);
});

Deno.test("a node whose nvidia-smi fails takes nothing and loses nothing", () => {
  const nodes = [
    reachable("n1", {
      gpus: undefined,
      gpuProblem: "nvidia-smi failed",
      runs: [run("b", 1, 0, ["n1"])],
    }),
  ];
  const history = [running("b", ["n1"])];
  const result = plan(world({ jobs: [job("a"), job("b")], history, nodes }));
  assert.deepEqual(said(result), []);
  assert.equal(result.statuses.get("b"), history[0]);
});

Deno.test("a cordoned node keeps what it runs and takes nothing new", () => {
  const nodes = [reachable("n1", { gpus: gpus("n1", 2), runs: [run("b", 1, 0, ["n1"])] })];
  const result = plan(world({
    jobs: [job("a"), job("b")],
    history: [running("b", ["n1"])],
    nodes,
    cluster: cluster([nodeSpec("n1", { cordoned: { reason: "new fans" } })]),
  }));
  assert.deepEqual(said(result), []);
  assert.match(result.waiting[0]?.message ?? "", /is cordoned \(new fans\)/);
});

Deno.test("GPUs of a recorded attempt are booked although nothing runs there yet", () => {
  const launching = status("b", { phase: "Launching", attempts: [attempt(1, ["n1"])] });
  const result = plan(world({
    jobs: [job("a"), job("b")],
    history: [launching],
    nodes: [reachable("n1")],
  }));
  assert.deepEqual(said(result), ["launch b/1 ranks 0 on n1"]);
});

Deno.test("an interrupted launch is completed with the same attempt and the port of rank 0", () => {
  const nodes = ["n1", "n2"];
  const launching = status("a", { phase: "Launching", attempts: [attempt(1, nodes)] });
  const result = plan(world({
    jobs: [job("a", { resources: { nodes: 2 } })],
    history: [launching],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, nodes)] }), reachable("n2")],
  }));
  assert.deepEqual(said(result), ["launch a/1 ranks 1 on n1,n2"]);
  const action = result.actions[0];
  assert.equal(action?.kind === "launch" && action.masterPort, 29_500);
});

Deno.test("a launch on CPU slots is placed and completed although the node's GPU driver fails", () => {
  const node = nodeSpec("n1", { cpuSlots: 1 });
  const given = {
    jobs: [job("a")],
    cluster: cluster([node]),
    nodes: [reachable("n1", { gpus: undefined, gpuProblem: "nvidia-smi failed" })],
  };
  assert.deepEqual(said(plan(world(given))), ["launch a/1 ranks 0 on n1"]);
  const placed = attempt(1, ["n1"], { placement: [{ node: "n1", gpus: ["cpu:0"] }] });
  const launching = status("a", { phase: "Launching", attempts: [placed] });
  const result = plan(world({ ...given, history: [launching] }));
  assert.deepEqual(said(result), ["launch a/1 ranks 0 on n1"]);
});

Deno.test("a launch is not completed on a GPU that a foreign process took meanwhile", () => {
  const launching = status("a", { phase: "Launching", attempts: [attempt(1, ["n1"])] });
  const result = plan(world({
    jobs: [job("a")],
    history: [launching],
    nodes: [reachable("n1", { gpus: [gpu("n1", 0, [{ kind: "foreign" }])] }), reachable("n2")],
  }));
  assert.deepEqual(said(result), ["launch a/2 ranks 0 on n2"]);
  const after = result.statuses.get("a");
  assert.deepEqual([after?.attempts[0]?.failure?.class, after?.retries], ["gpu-busy", 0]);
});

Deno.test("runs that the status branch forgot are adopted, whatever it says of the job", () => {
  for (const phase of ["Succeeded", "Failed", "Cancelled", "Suspended", "Recovering"] as const) {
    const before = status("a", { phase, attempts: [attempt(3, ["n1"], { end: "failed" })] });
    const nodes = [reachable("n1", { runs: [run("a", 4, 0, ["n1"])] })];
    const result = plan(world({ jobs: [job("a")], history: [before], nodes }));
    assert.deepEqual(said(result), [], phase);
    assert.deepEqual([result.statuses.get("a")?.phase, result.statuses.get("a")?.attempt], [
      "Running",
      4,
    ]);
  }
});

Deno.test("when the status branch is lost, what ended meanwhile is adopted too", () => {
  for (const [code, phase] of [[0, "Succeeded"], [1, "Launching"]] as const) {
    const nodes = [reachable("n1", { runs: [run("a", 2, 0, ["n1"], ended(code))] })];
    const result = plan(world({ jobs: [job("a")], nodes, lost: true }));
    assert.equal(result.statuses.get("a")?.phase, phase);
  }
});

Deno.test("when the status branch is lost, nothing starts before every node has been asked", () => {
  const nodes = [reachable("n1"), unknown("n2", 1000)];
  const first = plan(world({ jobs: [job("a")], nodes, lost: true }));
  assert.deepEqual(said(first), []);
  const held = first.statuses.get("a");
  assert.equal(held?.reason, "StatusLost");
  // The branch exists again by now; the fear is written there.
  const second = plan(world({ jobs: [job("a"), job("b")], history: [held!], nodes }));
  assert.deepEqual(said(second), ["launch b/1 ranks 0 on n1"], "a job that is new runs nowhere");
  const third = plan(world({
    jobs: [job("a")],
    history: [held!],
    nodes: [reachable("n1"), reachable("n2")],
  }));
  assert.equal(said(third).length, 1);
});

Deno.test("a record that is damaged on the node never looks like a success", () => {
  const meta = { commit: "", specDigest: "", nodes: [], gpus: [] };
  const nodes = [reachable("n1", { runs: [run("a", 1, 0, ["n1"], { ...ended(1), meta })] })];
  const result = plan(world({ jobs: [job("a")], nodes, lost: true }));
  assert.notEqual(result.statuses.get("a")?.phase, "Succeeded");
});

Deno.test("a node that returns with an older attempt has it killed, once", () => {
  const nodes = (older: Parameters<typeof run>[4]) => [
    reachable("n1", { runs: [run("a", 1, 0, ["n1"], older)] }),
    reachable("n2", { runs: [run("a", 2, 0, ["n2"])] }),
  ];
  const history = [
    status("a", {
      phase: "Running",
      reason: "Running",
      message: "attempt 2 runs on n2",
      attempts: [attempt(1, ["n1"], { end: "node-lost" }), attempt(2, ["n2"])],
    }),
  ];
  const jobs = [job("a")];
  assert.deepEqual(said(plan(world({ jobs, history, nodes: nodes({}) }))), [
    "stop a/1/0 on n1 in 0",
  ]);
  const told = { state: "stopping" as const, stop: { reason: "", requestedAtMs: 1, graceMs: 0 } };
  assert.deepEqual(said(plan(world({ jobs, history, nodes: nodes(told) }))), []);
});

Deno.test("a run that nobody wants or remembers is stopped; a name that no job can have is not ours", () => {
  const nodes = [
    reachable("n1", { runs: [run("ghost", 1, 0, ["n1"]), run("../x", 1, 0, ["n1"])] }),
  ];
  const result = plan(world({ jobs: [job("b", { state: "suspended" })], nodes }));
  assert.deepEqual(said(result), ["stop ghost/1/0 on n1 in 30000"]);
  assert.equal(result.statuses.has("../x"), false);
});

Deno.test("a job whose status file cannot be read is left alone", () => {
  const nodes = [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })];
  const result = plan(world({ jobs: [job("a")], nodes, unreadable: { a: "torn" } }));
  assert.deepEqual(said(result), []);
  assert.equal(result.statuses.has("a"), false);
});

Deno.test("an unknown node is not asked to do anything, and a node not observed is unknown", () => {
  const history = [running("a", ["n1"])];
  const base = world({ history, nodes: [unknown("n1", 900_000), reachable("n2")] });
  const result = plan(base);
  assert.deepEqual(said(result), []);
  const nodes = new Map([...base.observed.nodes].filter(([name]) => name !== "n1"));
  const unseen = plan({
    ...world({ jobs: [job("a")], history, nodes: [unknown("n1"), reachable("n2")] }),
    observed: { ...base.observed, nodes },
  });
  assert.deepEqual(said(unseen), []);
  assert.equal(unseen.statuses.get("a")?.phase, "Unknown");
});

Deno.test("the records of old attempts are removed, never those that the status branch needs", () => {
  const runs = [1, 2, 3, 4, 5].map((n) => run("a", n, 0, ["n1"], ended(1)));
  const attempts = [attempt(4, ["n1"], { end: "failed" }), attempt(5, ["n1"], { end: "failed" })];
  const done = status("a", { phase: "Failed", attempts });
  const result = plan(
    world({ jobs: [job("a")], history: [done], nodes: [reachable("n1", { runs })] }),
  );
  assert.deepEqual(said(result), [`clean a through ${5 - KEPT_ATTEMPTS} on n1`]);
});

Deno.test("records of a job that nobody knows are removed, so that a new one of its name starts fresh", () => {
  const nodes = [reachable("n1", { runs: [run("old", 7, 0, ["n1"], ended(0))] })];
  assert.deepEqual(said(plan(world({ nodes }))), ["clean old through 7 on n1"]);
  assert.deepEqual(said(plan(world({ nodes, lost: true }))), []);
  assert.deepEqual(said(plan(world({ nodes, invalid: { old: broken("jobs/old.yaml") } }))), []);
});

Deno.test("a node keeps a limited number of ended runs", () => {
  const names = Array.from({ length: KEPT_RUNS + 2 }, (_, i) => `j${i}`);
  const runs = names.map((name, i) =>
    run(name, 1, 0, ["n1"], { ...ended(0), createdAtMs: NOW - 1_000_000 + i })
  );
  const history = names.map((name) =>
    status(name, { phase: "Succeeded", attempts: [attempt(1, ["n1"], { end: "succeeded" })] })
  );
  const jobs = names.map((name) => job(name));
  const result = plan(world({ jobs, history, nodes: [reachable("n1", { runs })] }));
  assert.deepEqual(said(result), ["clean j0 through 1 on n1", "clean j1 through 1 on n1"]);
});

Deno.test("runs of very large gangs weigh more, and fewer of them are kept", () => {
  const names = Array.from({ length: 150 }, (_, i) => `j${i}`);
  const meta = { gpus: Array.from({ length: 64 }, () => Array<string>(8).fill("GPU-x")) };
  const runs = names.map((name, i) => {
    const made = run(name, 1, 0, ["n1"], { ...ended(0), createdAtMs: NOW - 1_000_000 + i });
    return { ...made, meta: { ...made.meta, ...meta } };
  });
  const history = names.map((name) =>
    status(name, { phase: "Succeeded", attempts: [attempt(1, ["n1"], { end: "succeeded" })] })
  );
  const jobs = names.map((name) => job(name));
  const result = plan(world({ jobs, history, nodes: [reachable("n1", { runs })] }));
  assert.equal(result.actions.length, 26);
  assert.equal(said(result)[0], "clean j0 through 1 on n1");
});

Deno.test("no more jobs than allowed are launched in one pass, and the next one goes on", () => {
  const nodes = [reachable("n1", { gpus: gpus("n1", 4) })];
  const jobs = ["a", "b", "c"].map((name) => job(name));
  const result = plan(world({ jobs, nodes, policy: { maxLaunchesPerPass: 2 } }));
  assert.equal(result.actions.length, 2);
  assert.equal(result.statuses.get("c")?.reason, "LaunchLimit");
  assert.equal(result.wakeAtMs, NOW + 1000);
});

Deno.test("a job that ran before keeps its place while its checkpoints are looked for", () => {
  const first = status("a", {
    phase: "Recovering",
    submittedAt: ago(90_000),
    attempts: [attempt(1, ["n1"], { end: "node-lost" })],
  });
  const jobs = [job("a"), job("b")];
  const result = plan(
    world({ jobs, history: [first], nodes: [reachable("n1")], checkpointsOf: [] }),
  );
  assert.deepEqual(said(result), [], "b must not take what a waits for");
  assert.deepEqual(result.needCheckpoints, ["a"]);
});

Deno.test("of two records of one GPU only one is launched, and the other job goes elsewhere", () => {
  const history = ["a", "b"].map((name) =>
    status(name, { phase: "Launching", attempts: [attempt(1, ["n1"])] })
  );
  const nodes = [reachable("n1"), reachable("n2")];
  const result = plan(world({ jobs: [job("a"), job("b")], history, nodes }));
  assert.deepEqual(said(result), ["launch a/1 ranks 0 on n1", "launch b/2 ranks 0 on n2"]);
});

Deno.test("a job whose secret cannot be had waits and says which; one that runs goes on", () => {
  const blocked = {
    reason: "SecretMissing",
    message: "secret TOKEN: there is no file token",
  } as const;
  const waits = plan(world({ jobs: [{ ...job("a"), blocked }], nodes: [reachable("n1")] }));
  assert.deepEqual(said(waits), []);
  assert.deepEqual(waits.waiting, [{ job: "a", ...blocked }]);
  assert.equal(waits.statuses.get("a")?.phase, "Pending");
  const runs = plan(world({
    jobs: [{ ...job("a"), blocked }],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })],
    history: [running("a", ["n1"])],
  }));
  assert.deepEqual([said(runs), runs.statuses.get("a")?.phase], [[], "Running"]);
});

Deno.test("nothing is launched while an older attempt is still dying, whoever has told it", () => {
  const dying = run("a", 1, 0, ["n1"], {
    state: "stopping",
    stop: { reason: "", requestedAtMs: 1, graceMs: 0 },
  });
  const history = [status("a", { attempts: [attempt(1, ["n1"], { end: "node-lost" })] })];
  const nodes = [reachable("n1", { runs: [dying] }), reachable("n2")];
  assert.deepEqual(said(plan(world({ jobs: [job("a")], history, nodes }))), []);
});

Deno.test("a node whose clock is off does not make an attempt longer or shorter", () => {
  for (const startedAtMs of [NOW - 3_600_000, NOW + 3_600_000]) {
    const live = reachable("n1", { runs: [run("a", 1, 0, ["n1"], { startedAtMs })] });
    const history = [status("a", {
      phase: "Launching",
      reason: "Launching",
      attempts: [attempt(1, ["n1"])],
    })];
    const limited = job("a", { maxDurationMs: 60_000 });
    const result = plan(world({ jobs: [limited], history, nodes: [live] }));
    assert.deepEqual(said(result), []);
    const startedAt = Date.parse(result.statuses.get("a")?.attempts[0]?.startedAt ?? "");
    assert.ok(startedAt >= NOW - 60_000 && startedAt <= NOW, new Date(startedAt).toISOString());
  }
});

Deno.test("children of a manifest that was moved and broken at once are left alone", () => {
  const child = running("sweep-1", ["n1"], { parent: "sweep", file: "jobs/sweep.yaml" });
  const result = plan(world({
    invalid: { sweep: broken("jobs/old/sweep.yaml") },
    history: [child],
    nodes: [reachable("n1", { runs: [run("sweep-1", 1, 0, ["n1"])] })],
  }));
  assert.deepEqual(result.actions, []);
  assert.equal(result.statuses.get("sweep-1")?.phase, "Invalid");
});
