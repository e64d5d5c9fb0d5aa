/**
 * Jobs that belong together: the children of one manifest, and who waits for whom.
 *
 * @module
 */
import type { JobStatus } from "../jobs/status.ts";
import type { Desired } from "./model.ts";

/** What a gate asks of the other jobs; `docs` of each in `gates.ts`. */
export interface Family {
  phaseOf(name: string): JobStatus | undefined;
  childrenOf(parent: string): readonly JobStatus[];
  isDesired(name: string): boolean;
  /** Children that have GPUs, or may get some in this pass. */
  runningOf(parent: string): number;
  /** One more child may get GPUs in this pass. */
  admit(parent: string): void;
}

/** The families of a pass; sorted out when somebody asks for the first. */
export function familiesOf(desired: Desired, statuses: ReadonlyMap<string, JobStatus>): Family {
  let children: Map<string, JobStatus[]> | undefined;
  const running = new Map<string, number>();
  const all = (parent: string) => {
    children ??= groupByParent(desired, statuses);
    return children.get(parent) ?? [];
  };
  const runningOf = (parent: string) => {
    const known = running.get(parent);
    if (known !== undefined) return known;
    const count = all(parent).filter(hasLiveAttempt).length;
    running.set(parent, count);
    return count;
  };
  return {
    phaseOf: (name) => statuses.get(name),
    childrenOf: all,
    isDesired: (name) => desired.jobs.has(name),
    runningOf,
    admit: (parent) => void running.set(parent, runningOf(parent) + 1),
  };
}

/** Children whose manifest still declares them. */
function groupByParent(desired: Desired, statuses: ReadonlyMap<string, JobStatus>) {
  const groups = new Map<string, JobStatus[]>();
  for (const { spec: { name, parent } } of desired.jobs.values()) {
    const status = parent === undefined ? undefined : statuses.get(name);
    if (parent === undefined || !status) continue;
    const group = groups.get(parent);
    if (group) group.push(status);
    else groups.set(parent, [status]);
  }
  return groups;
}

function hasLiveAttempt({ attempts }: JobStatus): boolean {
  const newest = attempts.at(-1);
  return newest !== undefined && newest.end === undefined;
}
