/**
 * What may lie on a host's disk once everything has ended. Pure.
 *
 * @module
 */
import type { JobStatus } from "../../../jobs/status.ts";
import { KEPT_ATTEMPTS } from "../../../reconciler/clean.ts";

const TOP = new Set(["epoch", "owner.json", "runner/", "code/", "runs/", "checkpoints/"]);

/** Entries of `host`'s work directory (folders end with `/`) that nobody knows or needs. */
export function folderProblems(
  host: string,
  paths: readonly string[],
  statuses: ReadonlyMap<string, JobStatus>,
): string[] {
  const all = new Set(paths);
  const problems: string[] = [];
  for (const path of paths) {
    const [top = "", ...rest] = path.split("/");
    const wrong = rest.length === 0 || (rest.length === 1 && rest[0] === "")
      ? TOP.has(path) ? undefined : "is none of the work directory's"
      : top === "runs"
      ? runProblem(path, host, all, statuses)
      : top === "code" && path.split("/")[1]?.startsWith(".")
      ? "is left from a transfer"
      : undefined;
    if (wrong !== undefined) problems.push(`${host}: ${path} ${wrong}`);
  }
  return problems;
}

function runProblem(
  path: string,
  host: string,
  all: ReadonlySet<string>,
  statuses: ReadonlyMap<string, JobStatus>,
): string | undefined {
  const [, job = "", attempt = "", rank = "", ...inside] = path.split("/");
  if (job.startsWith(".")) return attempt === "" ? "is left from a launch or a clean" : undefined;
  const status = statuses.get(job);
  if (status === undefined) return attempt === "" ? "is of a job that nobody knows" : undefined;
  if (attempt === "") {
    const has = [...all].some((other) => other.startsWith(path) && other !== path);
    return has ? undefined : "is empty";
  }
  const n = Number(attempt);
  if (rank === "") {
    if (n > status.attempt) return `is newer than attempt ${status.attempt}`;
    return n <= status.attempt - KEPT_ATTEMPTS ? "should have been cleaned" : undefined;
  }
  if (inside.length !== 1 || inside[0] !== "") return undefined;
  const known = status.attempts.find((one) => one.attempt === n);
  if (known?.placement[Number(rank)]?.node !== host) return "is not where its attempt was placed";
  // Nobody writes the end of a run of which no process was left to be ended (the power went, say):
  // that the status branch knows the end of its attempt is enough.
  return known.end === undefined ? "is of an attempt that has not ended" : undefined;
}
