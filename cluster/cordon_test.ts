import assert from "node:assert/strict";
import { cordonAt, isGpuCordoned, nextExpiryMs } from "./cordon.ts";
import type { Cordon, NodeName, NodeSpec } from "./node.ts";

const NOW = Date.UTC(2026, 0, 1);

function node(cordoned?: Cordon): NodeSpec {
  return {
    name: "n1" as NodeName,
    connect: { kind: "local" },
    address: "127.0.0.1",
    labels: {},
    hardware: {},
    cpuSlots: 0,
    workdir: "~/.ugro",
    python: "python3",
    ...(cordoned ? { cordoned } : {}),
  };
}

Deno.test("a cordon stands until its time, and without one for good", () => {
  const forGood = { reason: "fan" };
  assert.equal(cordonAt(node(), NOW), undefined);
  assert.equal(cordonAt(node(forGood), NOW), forGood);
  const tonight = { reason: "fan", untilMs: NOW };
  assert.equal(cordonAt(node(tonight), NOW - 1), tonight);
  assert.equal(cordonAt(node(tonight), NOW), undefined);
  assert.equal(cordonAt(node({ reason: "never", untilMs: 0 }), NOW), undefined);
});

Deno.test("a cordon is meant for the GPUs that it names, or for all", () => {
  const gpu = { uuid: "GPU-a", index: 1 };
  assert.equal(isGpuCordoned({ reason: "fan" }, gpu), true);
  assert.equal(isGpuCordoned({ reason: "fan", gpus: ["0", "1"] }, gpu), true);
  assert.equal(isGpuCordoned({ reason: "fan", gpus: ["GPU-a"] }, gpu), true);
  assert.equal(isGpuCordoned({ reason: "fan", gpus: ["0", "GPU-b", "11"] }, gpu), false);
});

Deno.test("the next cordon to end is the earliest of those that stand", () => {
  const until = (untilMs: number) => node({ reason: "fan", untilMs });
  assert.equal(nextExpiryMs([node(), node({ reason: "fan" })], NOW), undefined);
  assert.equal(nextExpiryMs([until(NOW - 1), until(NOW)], NOW), undefined);
  assert.equal(nextExpiryMs([until(NOW + 9), until(NOW + 5), until(NOW - 1)], NOW), NOW + 5);
});
