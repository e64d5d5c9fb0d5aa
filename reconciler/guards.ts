/**
 * Guards against stopping much by mistake: an emptied branch, a moved folder, a bad merge.
 *
 * @module
 */
import type { PlanInput } from "./model.ts";

/**
 * Why deleted manifests stop nothing in this pass, or undefined. Deleting is held back as a whole
 * when the branch holds no job at all, or when more running jobs than `maxStopsPerPass` vanished.
 * `strangers` run although neither branch names them.
 */
export function pruneHold(
  input: PlanInput,
  strangers: readonly string[],
): string | undefined {
  const { desired, history } = input;
  const vanished = strangers.filter((name) => !desired.invalid.has(name));
  const broken = new Set([...desired.invalid.values()].map((job) => job.file));
  for (const [name, status] of history.jobs) {
    if (desired.jobs.has(name) || broken.has(status.file)) continue;
    if (status.parent !== undefined && desired.invalid.has(status.parent)) continue;
    const last = status.attempts.at(-1);
    if (status.reason !== "Stopping" && last && !last.end) vanished.push(name);
  }
  if (vanished.length === 0) return undefined;
  const limit = desired.cluster.policy.maxStopsPerPass;
  const list = vanished.toSorted().slice(0, 5).join(", ");
  if (desired.empty && vanished.length > 1) {
    return `the branch holds no job file at all, but ${vanished.length} jobs run (${list}): ` +
      "nothing is stopped. Keep one job file, or say `state: cancelled`, to stop them.";
  }
  if (vanished.length <= limit) return undefined;
  return `${vanished.length} running jobs have no manifest any more (${list}…), more than ` +
    `policy.maxStopsPerPass (${limit}): nothing is stopped. Raise it in cluster.yaml to go on.`;
}

/** Counts jobs that a pass begins to stop; false once the limit is reached. */
export function stopBudget(limit: number): () => boolean {
  let left = limit;
  return () => left-- > 0;
}
