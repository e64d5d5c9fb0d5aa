/**
 * Words: what a job needs, for people.
 *
 * @module
 */
import type { Resources } from "../../jobs/job.ts";

/** `2 node(s) with 4 GPU(s) (24 GB of memory each, label zone: a)`. */
export function describeNeed(need: Resources): string {
  const extras = [
    need.vramGb ? `${need.vramGb} GB of memory ${need.gpuShare ? "for it" : "each"}` : "",
    need.gpuModel ? `model ${need.gpuModel}` : "",
    need.mixedGpus ? "of any kind" : "",
    ...Object.entries(need.nodeSelector).map(([key, value]) => `label ${key}: ${value}`),
    need.within ? `all with the same ${need.within}` : "",
    need.cpuCores ? `${need.cpuCores} CPU cores` : "",
    need.ramGb ? `${need.ramGb} GB of RAM` : "",
  ].filter((text) => text !== "");
  const nodes = need.maxNodes ? `${need.nodes} to ${need.maxNodes}` : `${need.nodes}`;
  const gpus = need.gpuShare ? `${need.gpuShare} of a GPU` : `${need.gpusPerNode} GPU(s)`;
  const base = `${nodes} node(s) with ${gpus}`;
  return extras.length > 0 ? `${base} (${extras.join(", ")})` : base;
}
