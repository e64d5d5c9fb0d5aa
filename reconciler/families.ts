/**
 * Jobs that belong together: the children of one manifest, and who waits for whom.
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import type { JobStatus } from "../jobs/status.ts";
import { liveAttempt, newStatus } from "./job_status.ts";
import type { Desired } from "./model.ts";

/** What a gate asks of the other jobs; `docs` of each in `gates.ts`. */
export interface Family {
  phaseOf(name: string): JobStatus | undefined;
  /** One whose status file cannot be read is there as well, as `Unknown`. */
  childrenOf(parent: string): readonly JobStatus[];
  isDesired(name: string): boolean;
  /** Children that have GPUs, those included that are to stop or that nobody can tell of. */
  holdingOf(parent: string): number;
  /** These, and those that may get some in this pass. */
  runningOf(parent: string): number;
  /** One more child may get GPUs in this pass. */
  admit(parent: string): void;
}

/** The families of a pass; sorted out when somebody asks for the first. */
export function familiesOf(desired: Desired, statuses: ReadonlyMap<string, JobStatus>): Family {
  let known: Families | undefined;
  const admitted = new Map<string, number>();
  const families = () => known ??= sortOut(desired, statuses);
  const holdingOf = (parent: string) => families().holding.get(parent) ?? 0;
  return {
    phaseOf: (name) => statuses.get(name),
    childrenOf: (parent) => families().children.get(parent) ?? [],
    isDesired: (name) => desired.jobs.has(name),
    holdingOf,
    runningOf: (parent) => holdingOf(parent) + (admitted.get(parent) ?? 0),
    admit: (parent) => void admitted.set(parent, (admitted.get(parent) ?? 0) + 1),
  };
}

interface Families {
  /** Those that their manifest still declares. */
  readonly children: ReadonlyMap<string, JobStatus[]>;
  readonly holding: ReadonlyMap<string, number>;
}

function sortOut(desired: Desired, statuses: ReadonlyMap<string, JobStatus>): Families {
  const children = new Map<string, JobStatus[]>();
  const holding = new Map<string, number>();
  const hold = (parent: string) => void holding.set(parent, (holding.get(parent) ?? 0) + 1);
  for (const job of desired.jobs.values()) {
    const { name, parent } = job.spec;
    if (parent === undefined) continue;
    const status = statuses.get(name);
    // What cannot be read may run, and has not ended.
    if (!status) hold(parent);
    const group = children.get(parent);
    const child = status ?? unread(job, parent);
    if (group) group.push(child);
    else children.set(parent, [child]);
  }
  // A value that was taken out of a matrix has its GPUs until it has stopped.
  for (const status of statuses.values()) {
    if (status.parent !== undefined && liveAttempt(status)) hold(status.parent);
  }
  return { children, holding };
}

function unread({ spec, file }: DesiredJob, parent: string): JobStatus {
  const status = newStatus(spec.name, file, { now: 0, commit: "" });
  return { ...status, parent, phase: "Unknown", reason: "StatusUnreadable" };
}
