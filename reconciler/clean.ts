/**
 * Keeps the records on the nodes bounded: a few attempts of each job, a limited number in all.
 * Checkpoints are never touched here.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { RunRecord } from "../jobs/run.ts";
import { JOB_NAME } from "../jobs/schema.ts";
import type { Action, PlanInput } from "./model.ts";
import { isAlive } from "./view.ts";

/** Attempts of a job whose records (logs, exit codes) stay on the nodes. */
export const KEPT_ATTEMPTS = 3;

/** Ended runs that a node keeps in all; the oldest go first. */
export const KEPT_RUNS = 400;

/** And how much their records may weigh: a node tells all of them in one frame of 8 MiB. */
const KEPT_RUNS_BYTES = 4 * 1024 * 1024;

/** The cleanings that are due. */
export function cleanings(input: PlanInput): Action[] {
  const statuses = input.history.jobs;
  const actions: Action[] = [];
  for (const seen of input.observed.nodes.values()) {
    if (seen.state !== "reachable") continue;
    const due = new Map<string, { through: number; because: string }>();
    const ended = seen.runs.filter((run) => !isAlive(run) && settled(run, input));
    for (const run of ended) {
      const newest = statuses.get(run.job)?.attempt;
      if (newest === undefined) raise(due, run, "nobody knows the job any more");
      else if (run.attempt <= newest - KEPT_ATTEMPTS) {
        raise(due, run, `only the last ${KEPT_ATTEMPTS} attempts are kept`);
      }
    }
    for (const run of excess(ended)) raise(due, run, "a node keeps a limited number of ended runs");
    for (const [job, { through, because }] of due) {
      actions.push(cleaning(seen.node, job, through, because));
    }
  }
  return actions;
}

/** The oldest runs beyond what a node keeps, oldest first. */
function excess(ended: readonly RunRecord[]): readonly RunRecord[] {
  let bytes = 0;
  for (const run of ended) bytes += weight(run);
  if (ended.length <= KEPT_RUNS && bytes <= KEPT_RUNS_BYTES) return [];
  bytes = 0;
  return ended.toSorted((a, b) => b.createdAtMs - a.createdAtMs).filter((run, index) => {
    bytes += weight(run);
    return index >= KEPT_RUNS || bytes > KEPT_RUNS_BYTES;
  }).toReversed();
}

/** About how many bytes a record takes in a frame: most of it are the uuids of a large gang. */
function weight({ meta }: RunRecord): number {
  return 3000 + meta.gpus.reduce((sum, uuids) => sum + 80 + 50 * uuids.length, 0);
}

/** True when the status branch knows how the run ended, so that nothing is lost with its record. */
function settled(run: RunRecord, { history, desired }: PlanInput): boolean {
  const status = history.jobs.get(run.job);
  if (!status) {
    // Were its records kept, a new job of that name would take them for its own.
    return history.head !== undefined && JOB_NAME.test(run.job) && !desired.jobs.has(run.job) &&
      !desired.invalid.has(run.job) && !history.unreadable.has(run.job);
  }
  if (run.attempt < status.attempt) return true;
  return status.attempts.at(-1)?.end !== undefined;
}

function raise(
  due: Map<string, { through: number; because: string }>,
  run: RunRecord,
  because: string,
): void {
  const old = due.get(run.job);
  if (!old || old.through < run.attempt) due.set(run.job, { through: run.attempt, because });
}

function cleaning(node: NodeName, job: string, throughAttempt: number, because: string): Action {
  return { kind: "clean", node, job, throughAttempt, because };
}
