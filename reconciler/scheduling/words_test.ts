import assert from "node:assert/strict";
import type { Resources } from "../../jobs/job.ts";
import { needs } from "./testing.ts";
import { describeNeed } from "./words.ts";

const needed: [Partial<Resources>, string][] = [
  [{}, "1 node(s) with 1 GPU(s)"],
  [
    { nodes: 2, gpusPerNode: 4, vramGb: 24, gpuModel: "RTX 4090", nodeSelector: { zone: "a" } },
    "2 node(s) with 4 GPU(s) (24 GB of memory each, model RTX 4090, label zone: a)",
  ],
  [
    { nodes: 2, maxNodes: 4, within: "rack", mixedGpus: true },
    "2 to 4 node(s) with 1 GPU(s) (of any kind, all with the same rack)",
  ],
  [
    { gpuShare: 0.5, vramGb: 4, cpuCores: 8, ramGb: 32 },
    "1 node(s) with 0.5 of a GPU (4 GB of memory for it, 8 CPU cores, 32 GB of RAM)",
  ],
];
for (const [need, expected] of needed) {
  Deno.test(`a need in words: ${expected}`, () => {
    assert.equal(describeNeed(needs(need)), expected);
  });
}
