import assert from "node:assert/strict";
import type { Gpu } from "../cluster/gpu.ts";
import { plan } from "./plan.ts";
import { describeNeed } from "./scheduling/words.ts";
import {
  ago,
  attempt,
  cluster,
  gpu,
  job,
  nodeSpec,
  reachable,
  status,
  type World,
  world,
} from "./testing/build.ts";

function placed(given: World): Record<string, string[]> {
  const result = plan(world(given));
  return Object.fromEntries(
    result.actions.flatMap((a) =>
      a.kind === "launch" ? [[a.job.spec.name, a.attempt.placement.map((p) => p.node)]] : []
    ),
  );
}

const cards = (node: string, count: number, model = "H100"): Gpu[] =>
  Array.from({ length: count }, (_, i) => ({ ...gpu(node, i), model }));

Deno.test("queues go by priority, then jobs by priority, then by submission, then by name", () => {
  const queues = [{ name: "default", priority: 0 }, { name: "urgent", priority: 10 }];
  const jobs = [
    job("late", { priority: 1 }),
    job("early", { priority: 1 }),
    job("high", { priority: 2 }),
    job("other", { queue: "urgent" }),
    job("same", { priority: 1 }),
  ];
  const history = [
    status("late", { submittedAt: ago(10_000) }),
    status("early", { submittedAt: ago(20_000) }),
    status("same", { submittedAt: ago(10_000) }),
  ];
  const nodes = [reachable("n1", { gpus: [] })];
  const base = cluster(["n1"], { queues });
  const { waiting } = plan(world({ jobs, history, nodes, cluster: base }));
  assert.deepEqual(waiting.map((w) => w.job), ["other", "high", "early", "late", "same"]);
});

Deno.test("a small job may pass a gang that does not fit, which keeps its place in the queue", () => {
  const jobs = [job("wide", { priority: 9, resources: { nodes: 2 } }), job("small")];
  const found = plan(world({ jobs, nodes: [reachable("n1"), reachable("n2", { gpus: [] })] }));
  assert.deepEqual(found.actions.map((a) => a.kind === "launch" && a.job.spec.name), ["small"]);
  assert.equal(found.statuses.get("wide")?.reason, "Unschedulable");
});

Deno.test("the fullest node that fits is taken, so that whole nodes stay free for gangs", () => {
  const nodes = [
    reachable("n1", { gpus: cards("n1", 8) }),
    reachable("n2", { gpus: cards("n2", 2) }),
  ];
  assert.deepEqual(placed({ jobs: [job("a")], nodes }), { a: ["n2"] });
});

Deno.test("labels, model and memory decide which nodes suit", () => {
  const base = cluster([
    nodeSpec("n1", { labels: { zone: "a" } }),
    nodeSpec("n2", { labels: { zone: "b" } }),
  ]);
  const nodes = [reachable("n1", { gpus: cards("n1", 1, "RTX 4090") }), reachable("n2")];
  const give = (resources: Parameters<typeof job>[1]) =>
    placed({ jobs: [job("a", resources)], nodes, cluster: base });
  assert.deepEqual(give({ resources: { nodeSelector: { zone: "b" } } }), { a: ["n2"] });
  assert.deepEqual(give({ resources: { gpuModel: "rtx4090" } }), { a: ["n1"] });
  assert.deepEqual(give({ resources: { vramGb: 80 } }), { a: ["n1"] });
  assert.deepEqual(give({ resources: { vramGb: 100 } }), {});
  assert.deepEqual(give({ resources: { nodeSelector: { zone: "c" } } }), {});
});

Deno.test("a job that no machine can ever hold is told so, with one of the reasons", () => {
  const result = plan(world({
    jobs: [job("a", { resources: { gpusPerNode: 9 } })],
    nodes: [reachable("n1")],
  }));
  assert.match(
    result.waiting[0]?.message ?? "",
    /the cluster has 0 such node\(s\) \(n1 has 1 GPUs\)/,
  );
});

Deno.test("a rank takes a CPU slot on a node without GPUs", () => {
  const base = cluster([nodeSpec("n1", { cpuSlots: 2 })]);
  const nodes = [reachable("n1", { gpus: [] })];
  const result = plan(world({ jobs: [job("a"), job("b"), job("c")], nodes, cluster: base }));
  const slots = result.actions.flatMap((a) =>
    a.kind === "launch" ? a.attempt.placement.flatMap((p) => p.gpus) : []
  );
  assert.deepEqual(slots, ["cpu:0", "cpu:1"]);
});

Deno.test("a job goes back to where its newest checkpoint is", () => {
  const history = [
    status("a", { attempts: [attempt(1, ["n1"], { end: "failed" })] }),
  ];
  const nodes = [
    reachable("n1", { gpus: cards("n1", 1), checkpoints: { a: [10] } }),
    reachable("n2", { gpus: cards("n2", 8), checkpoints: { a: [30, 20] } }),
    reachable("n3", { gpus: cards("n3", 1) }),
  ];
  assert.deepEqual(placed({ jobs: [job("a")], history, nodes }), { a: ["n2"] });
});

Deno.test("a need is told in words", () => {
  const need = { nodes: 2, gpusPerNode: 4, vramGb: 24, nodeSelector: { zone: "a" } };
  assert.equal(
    describeNeed(need),
    "2 node(s) with 4 GPU(s) (24 GB of memory each, label zone: a)",
  );
});
