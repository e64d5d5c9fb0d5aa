/**
 * What may have come between the record of an attempt and its launch: somebody else took the GPUs.
 *
 * @module
 */
import { countedGpus, hasLeft, slotsOf } from "../cluster/capacity.ts";
import type { NodeName } from "../cluster/node.ts";
import type { Attempt } from "../jobs/status.ts";
import type { Obstacle } from "./attempt_step.ts";
import type { JobInput } from "./decision.ts";
import type { PlanInput } from "./model.ts";
import type { ReachableNode } from "./ports.ts";
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
  const booked = bookedOn(seen, plan);
  // Two records of one GPU: a status file was repaired by hand, or the branch was rewritten.
  for (const uuid of placed.gpus) {
    const claimed = claimedPart(claims, placed.node, uuid);
    if (claimed > 0) booked.set(uuid, (booked.get(uuid) ?? 0) + claimed);
  }
  const { free, busy } = slotsOf(node, gpus, booked);
  const enough = placed.share ?? 1;
  const missing = placed.gpus.filter((uuid) =>
    !free.some((slot) => slot.uuid === uuid && hasLeft(slot, enough))
  );
  if (missing.length === 0) return undefined;
  const shared = missing.some((uuid) => free.some((slot) => slot.uuid === uuid));
  const why = [...busy, ...shared ? ["others have too much of it"] : []].join("; ") || "gone";
  return { kind: "taken", message: `${missing.join(", ")} cannot be used any more (${why})` };
}

/** Which part of each GPU of a node its live runs have. */
function bookedOn(seen: ReachableNode, plan: PlanInput): Map<string, number> {
  const booked = new Map<string, number>();
  for (const run of seen.runs) {
    if (!isAlive(run)) continue;
    const attempts = plan.history.jobs.get(run.job)?.attempts;
    const placed = attempts?.find((a) => a.attempt === run.attempt)?.placement[run.rank];
    for (const uuid of run.gpus) {
      // A run that is not where it is on record has what it says all to itself.
      const recorded = placed?.node === seen.node && placed.gpus.includes(uuid);
      booked.set(uuid, (booked.get(uuid) ?? 0) + (recorded ? placed.share ?? 1 : 1));
    }
  }
  return booked;
}

/** Claims the GPUs of ranks that are about to be launched. */
export function claim(attempt: Attempt, ranks: readonly number[], claims: Set<string>): void {
  for (const rank of ranks) {
    const placed = attempt.placement[rank];
    for (const uuid of placed?.gpus ?? []) {
      const gpu = claimOf(placed?.node ?? "", uuid);
      claims.add(gpu);
      // Several jobs may each have the same part of one GPU: the count tells their claims apart.
      claims.add(`${gpu} ${placed?.share ?? 1} ${claims.size}`);
    }
  }
}

/** Which part of a GPU is claimed, all claims together. */
function claimedPart(claims: ReadonlySet<string>, node: string, uuid: string): number {
  const gpu = claimOf(node, uuid);
  if (!claims.has(gpu)) return 0;
  let part = 0;
  for (const entry of claims) {
    if (entry.startsWith(`${gpu} `)) part += Number(entry.slice(gpu.length).split(" ")[1]);
  }
  return part;
}

function claimOf(node: string, uuid: string): string {
  return `${node} ${uuid}`;
}
