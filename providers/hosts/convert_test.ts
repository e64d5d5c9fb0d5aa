import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import { toReachable } from "./convert.ts";
import { observeReply, type RawObservation, type ToolOutput } from "./replies.ts";
import RUNNER from "./runner.py" with { type: "text" };

const UUID = "GPU-5f1c8f0e-6c1b-0c3a-9d52-3b7e9a0f6d11";
const GPU = `${UUID}, 0, NVIDIA GeForce RTX 4070, 12282, 9512, 97, 71, 180.31, [N/A]\n`;

function observe(gpus: ToolOutput, apps: ToolOutput, pids: RawObservation["pids"] = {}) {
  return toReachable("a" as NodeName, {
    bootId: "b",
    cpuCores: 2,
    memoryTotalMiB: 100,
    memoryAvailableMiB: 50,
    diskFreeMiB: 10,
    gpus,
    apps,
    pids,
    runs: [],
    checkpoints: {},
  });
}

Deno.test("each process on a GPU is ours, somebody else's, or not to be seen", () => {
  const apps = [1, 2, 3, 4].map((pid) => `${UUID}, ${pid}, python3, ${pid}00`).join("\n");
  const node = observe({ csv: GPU }, { csv: apps }, {
    "1": { alive: true, run: ["demo", 2, 0] },
    "2": { alive: true, run: null },
    "3": { alive: false, run: null },
  });
  assert.deepEqual(node.gpus?.[0]?.processes.map((process) => process.owner), [
    { kind: "run", job: "demo", attempt: 2, rank: 0 },
    { kind: "foreign" },
    { kind: "unseen" },
    { kind: "unseen" },
  ]);
  assert.equal("gpuProblem" in node, false);
});

Deno.test("no nvidia-smi program is no GPU", () => {
  assert.deepEqual(observe({ absent: true }, { absent: true }).gpus, []);
});

Deno.test("whatever fails about the GPUs leaves them unknown, with the reason", () => {
  const cases: [ToolOutput, ToolOutput, RegExp][] = [
    [{ error: "exit code 9" }, { csv: "" }, /exit code 9/],
    [{ csv: GPU }, { error: "timed out" }, /timed out/],
    [{ csv: GPU }, { absent: true }, /is gone/],
    [{ csv: "No devices were found\n" }, { csv: "" }, /No devices/],
    [{ csv: GPU }, { csv: "GPU-other, 7, x, 1" }, /process 7 is on GPU-other/],
  ];
  for (const [gpus, apps, reason] of cases) {
    const node = observe(gpus, apps);
    assert.equal(node.gpus, undefined);
    assert.match(node.gpuProblem ?? "", reason);
  }
});

Deno.test("the runner asks for the fields in the order in which they are read", () => {
  const source = RUNNER.replace(/"\s*\n\s*"/g, "");
  for (
    const fields of [
      "uuid,index,name,memory.total,memory.used,utilization.gpu,temperature.gpu,power.draw," +
      "ecc.errors.uncorrected.volatile.total",
      "gpu_uuid,pid,process_name,used_gpu_memory",
    ]
  ) assert.ok(source.includes(`=${fields}"`), fields);
});

Deno.test("messages are cleaned, and a checkpoint that cannot be named is left out", () => {
  const checkpoint = { step: 1, complete: true, bytes: 1, modifiedAtMs: 1 };
  const raw = observeReply.parse({
    ...{ bootId: "b", cpuCores: 1, memoryTotalMiB: 1, memoryAvailableMiB: 1, diskFreeMiB: 1 },
    gpus: { error: "bad\u001b[31m\nthing" },
    apps: { absent: true },
    pids: {},
    runs: [],
    checkpoints: {
      demo: [{ ...checkpoint, path: "/c/step-1" }, { ...checkpoint, path: "/c/step\n2" }, "junk"],
    },
  });
  assert.deepEqual(raw.gpus, { error: "bad thing" });
  assert.deepEqual(raw.checkpoints["demo"]?.map((one) => one.path), ["/c/step-1"]);
});

Deno.test("a time without a date, and odd names in a record, make no node unknown", () => {
  const run = {
    ...{ job: "a", attempt: 1, rank: 0, state: "running", epoch: 1, gpus: [], masterPort: null },
    ...{ createdAtMs: 1e300, startedAtMs: null, bootId: "b\u001b[2J", processes: 1 },
    ...{ meta: { commit: "c\u009b", specDigest: "d".repeat(999), nodes: [], gpus: [] } },
    ...{ stop: null, exit: null, error: null },
  };
  const raw = observeReply.parse({
    ...{ bootId: "b", cpuCores: 1, memoryTotalMiB: 1, memoryAvailableMiB: 1, diskFreeMiB: 1 },
    ...{ gpus: { absent: true }, apps: { absent: true }, pids: {}, runs: [run], checkpoints: {} },
  });
  const [read] = raw.runs;
  assert.equal(new Date(read?.createdAtMs ?? NaN).toISOString(), "9999-12-31T23:59:59.999Z");
  assert.deepEqual([read?.bootId, read?.meta.commit], ["b", "c�"]);
  assert.equal(read?.meta.specDigest.length, 256);
});
