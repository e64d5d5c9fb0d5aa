/**
 * Draining: what runs on a node, or on GPUs, that a person takes out of use is asked to save and is
 * placed elsewhere.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import { cordonAt, isGpuCordoned } from "../cluster/cordon.ts";
import type { Cordon, NodeName } from "../cluster/node.ts";
import type { Attempt, PlacedRank } from "../jobs/status.ts";
import type { Observed } from "./model.ts";
import { byName } from "./scheduling/ledger.ts";

/** Why an attempt must go from where it is, in one sentence; undefined: it may stay. */
export function drainOf(
  attempt: Attempt,
  cluster: Cluster,
  observed: Observed,
  now: number,
): string | undefined {
  for (const placed of attempt.placement) {
    const node = byName(cluster.nodes).get(placed.node);
    const cordon = node && cordonAt(node, now);
    if (!cordon?.drain) continue;
    const what = drainedPart(placed, cordon, observed);
    if (what) return `${what} is drained (${cordon.reason})`;
  }
  return undefined;
}

/** The node, or the first of the rank's GPUs, that is to be left. */
function drainedPart(placed: PlacedRank, cordon: Cordon, observed: Observed): string | undefined {
  if (!cordon.gpus) return placed.node;
  const seen = observed.nodes.get(placed.node as NodeName);
  const gpus = seen?.state === "reachable" ? seen.gpus ?? [] : [];
  for (const uuid of placed.gpus) {
    // Its index is known only while the node tells; its uuid always is.
    const index = gpus.find((gpu) => gpu.uuid === uuid)?.index;
    if (!isGpuCordoned(cordon, { uuid, index: index ?? -1 })) continue;
    return `GPU ${index ?? uuid} of ${placed.node}`;
  }
  return undefined;
}
