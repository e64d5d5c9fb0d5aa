/**
 * What may have come between the record of an attempt and its launch: somebody else took the GPUs.
 *
 * @module
 */
import { countedGpus, slotsOf } from "../cluster/capacity.ts";
import type { NodeName } from "../cluster/node.ts";
import type { Attempt } from "../jobs/status.ts";
import type { Obstacle } from "./attempt_step.ts";
import type { JobInput } from "./decision.ts";
import { isAlive } from "./view.ts";

/** Why a rank must not be launched now where its attempt was placed; undefined: it may. */
export function obstacle(
  attempt: Attempt,
  rank: number,
  { plan, claims }: JobInput,
): Obstacle | undefined {
  const placed = attempt.placement[rank];
  const seen = plan.observed.nodes.get(placed?.node as NodeName);
  const node = plan.desired.cluster.nodes.find((n) => n.name === placed?.node);
  if (!placed || !node || seen?.state !== "reachable") return undefined;
  const gpus = countedGpus(node, seen.gpus);
  if (gpus === undefined) {
    return { kind: "unknown", message: seen.gpuProblem ?? "its GPUs are unknown" };
  }
  const booked = new Set(seen.runs.filter(isAlive).flatMap((run) => run.gpus));
  // Two records of one GPU: a status file was repaired by hand, or the branch was rewritten.
  for (const uuid of placed.gpus) if (claims.has(claimOf(placed.node, uuid))) booked.add(uuid);
  const { free, busy } = slotsOf(node, gpus, booked);
  const missing = placed.gpus.filter((uuid) => !free.some((slot) => slot.uuid === uuid));
  if (missing.length === 0) return undefined;
  return {
    kind: "taken",
    message: `${missing.join(", ")} cannot be used any more (${busy.join("; ") || "gone"})`,
  };
}

/** Claims the GPUs of ranks that are about to be launched. */
export function claim(attempt: Attempt, ranks: readonly number[], claims: Set<string>): void {
  for (const rank of ranks) {
    const placed = attempt.placement[rank];
    for (const uuid of placed?.gpus ?? []) claims.add(claimOf(placed?.node ?? "", uuid));
  }
}

function claimOf(node: string, uuid: string): string {
  return `${node} ${uuid}`;
}
