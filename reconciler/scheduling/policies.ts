/**
 * What the scheduling policies are.
 *
 * @module
 */
import type { SchedulingPolicy } from "../../cluster/cluster.ts";

/** Whether jobs that delay nobody may pass one that does not fit. */
export function passes(policy: SchedulingPolicy): boolean {
  return policy === "backfill" || policy === "default";
}
