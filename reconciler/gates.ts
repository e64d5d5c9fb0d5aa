/**
 * What keeps a job back before it is even asked whether there is room: a time that has not come,
 * jobs that must end first, and the most that a sweep may run at once.
 *
 * @example
 * const gate = gateOf(job, look, hasStarted(status));
 * if (gate) wait(gate.reason, gate.message); // Dependency: waits for prep to succeed
 *
 * @module
 */
import type { Dependency, DesiredJob } from "../jobs/job.ts";
import { isFinal } from "../jobs/lifecycle.ts";
import type { JobStatus, Phase } from "../jobs/status.ts";

/** Why a job may not be launched yet. */
export interface Gate {
  readonly reason: "NotBefore" | "Dependency" | "DependencyNeverSatisfied" | "ArrayLimit";
  /** Stable: it stands in a status file. */
  readonly message: string;
  /** When it opens by itself; undefined: something must happen. */
  readonly wakeAtMs?: number;
}

/**
 * How gates see the other jobs: as this pass has decided about them. One `Look` serves one pass,
 * since what was found out about a dependency is kept for the next job that has the same.
 */
export interface Look {
  readonly phaseOf: (name: string) => JobStatus | undefined;
  readonly childrenOf: (parent: string) => readonly JobStatus[];
  readonly isDesired: (name: string) => boolean;
  /** Jobs of a parent that hold GPUs, or may get some in this pass. */
  readonly runningOf: (parent: string) => number;
  readonly now: number;
}

/**
 * The gate before a job, or undefined. What a person must change is told first, then what time
 * opens, then what other jobs open.
 *
 * `after` is asked before the first start only: a job that was stopped for another, or has lost its
 * node, goes on, whatever has become of the jobs that it once waited for.
 */
export function gateOf(job: DesiredJob, look: Look, hasStarted = false): Gate | undefined {
  const { startAfterMs } = job.spec;
  const after = hasStarted ? [] : job.spec.after ?? [];
  const open = after.flatMap((dependency) => verdictOf(dependency, look) ?? []);
  const never = open.find((gate) => gate.reason === "DependencyNeverSatisfied");
  if (never) return never;
  if (startAfterMs !== undefined && startAfterMs > look.now) {
    const message = `\`startAfter\` is ${new Date(startAfterMs).toISOString()}`;
    return { reason: "NotBefore", message, wakeAtMs: startAfterMs };
  }
  return open[0] ?? arrayGate(job, look);
}

function arrayGate({ spec }: DesiredJob, look: Look): Gate | undefined {
  const { parent, maxParallel } = spec;
  if (parent === undefined || maxParallel === undefined) return undefined;
  return look.runningOf(parent) < maxParallel ? undefined : arrayLimit(parent, maxParallel);
}

/** Said of a job for which its siblings leave no room. */
export function arrayLimit(parent: string, maxParallel: number): Gate & { reason: "ArrayLimit" } {
  const message =
    `as many jobs of ${parent} run, or are next, as \`maxParallel: ${maxParallel}\` ` +
    "allows";
  return { reason: "ArrayLimit", message };
}

const verdicts = new WeakMap<Look, Map<string, Gate | undefined>>();

/** A thousand jobs may wait for the same thousand: they are gone through once a pass. */
function verdictOf(dependency: Dependency, look: Look): Gate | undefined {
  let known = verdicts.get(look);
  if (!known) verdicts.set(look, known = new Map());
  const key = `${dependency.when} ${dependency.job}`;
  if (known.has(key)) return known.get(key);
  const verdict = judge(dependency, look);
  known.set(key, verdict);
  return verdict;
}

const ENDED: Partial<Record<Phase, string>> = {
  Succeeded: "succeeded",
  Failed: "failed",
  Cancelled: "was cancelled",
};
const WISH = { success: "succeed", failure: "fail", any: "end" } as const;
const THIRD = { success: "succeeds", failure: "fails", any: "ends" } as const;

function judge({ job, when }: Dependency, look: Look): Gate | undefined {
  const children = look.childrenOf(job).filter((child) => look.isDesired(child.name));
  if (children.length > 0) return judgeAll(job, children, when);
  const status = look.phaseOf(job);
  // What a broken manifest once declared is still there; what was deleted is not.
  const isGone = !status || status.reason === "ManifestDeleted";
  if (isGone && !look.isDesired(job)) return waits(`no job is named ${job} yet`);
  if (isGone) return waits(`waits for ${job} to ${WISH[when]}`);
  return judgeAll(undefined, [status], when);
}

function judgeAll(
  parent: string | undefined,
  statuses: readonly JobStatus[],
  when: Dependency["when"],
): Gate | undefined {
  const bad = statuses.filter((status) => isFinal(status.phase) && !isMet(status, when));
  // The first by name, so that the order of maps does not show.
  const worst = bad.toSorted((a, b) => a.name < b.name ? -1 : 1)[0];
  if (worst) {
    const message = `${worst.name} ${ENDED[worst.phase]}; it waits until ${worst.name} is run ` +
      `again and ${THIRD[when]}, or \`after:\` is changed`;
    return { reason: "DependencyNeverSatisfied", message };
  }
  if (statuses.every((status) => isMet(status, when))) return undefined;
  const whom = parent === undefined ? statuses[0]?.name : `all jobs of ${parent}`;
  return waits(`waits for ${whom} to ${WISH[when]}`);
}

function isMet({ phase }: JobStatus, when: Dependency["when"]): boolean {
  if (when === "any") return isFinal(phase);
  return phase === (when === "success" ? "Succeeded" : "Failed");
}

function waits(message: string): Gate {
  return { reason: "Dependency", message };
}
