/**
 * Says before a launch whether a job will fit into the memory of its GPUs, as far as anybody can
 * tell. An estimate stops nobody: people know more than a formula.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { JobStatus, PlacedRank } from "../jobs/status.ts";
import { type At, putCondition } from "./job_status.ts";
import { memoryNote, peakGbOf } from "./lengths.ts";
import type { Observed } from "./model.ts";

/** Memory that each GPU will probably need in GB; what was seen goes before what was declared. */
export function likelyGb(
  job: DesiredJob,
  status: JobStatus,
  siblings: readonly JobStatus[],
): number | undefined {
  return peakGbOf(status, siblings) ?? job.spec.estimatedGb;
}

/** The status with the condition `MemoryRisk`, or without it, for GPUs that have been chosen. */
export function withMemoryRisk(
  status: JobStatus,
  job: DesiredJob,
  placement: readonly PlacedRank[],
  siblings: readonly JobStatus[],
  observed: Observed,
  at: At,
): JobStatus {
  const gpuGb = leastGb(placement, observed);
  const note = memoryNote(job.spec.estimatedGb, peakGbOf(status, siblings), gpuGb);
  const condition = note === undefined
    ? undefined
    : { status: "True" as const, reason: "MayNotFit", message: note };
  return putCondition(status, "MemoryRisk", condition, at);
}

/** The memory of the smallest of the GPUs, or of its part; undefined when none tells it. */
function leastGb(placement: readonly PlacedRank[], { nodes }: Observed): number | undefined {
  let least: number | undefined;
  for (const { node, gpus, share = 1 } of placement) {
    const seen = nodes.get(node as NodeName);
    if (seen?.state !== "reachable") continue;
    for (const { uuid, memoryTotalMiB } of seen.gpus ?? []) {
      if (memoryTotalMiB === null || !gpus.includes(uuid)) continue;
      least = Math.min(least ?? Infinity, memoryTotalMiB * share / 1024);
    }
  }
  return least;
}
