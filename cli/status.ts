/**
 * `ugro status [JOB]`: how the jobs are, from the status branch.
 *
 * @module
 */
import { nearest } from "../cluster/suggest.ts";
import { isFinal } from "../jobs/lifecycle.ts";
import { formatProblem } from "../jobs/problem.ts";
import { type JobStatus, PHASES } from "../jobs/status.ts";
import { age } from "./age.ts";
import { type Output, serialise, type StatusOptions } from "./output.ts";
import { type Listed, openRepository, readSnapshot, type Snapshot } from "./status_source.ts";
import { placementWords, story } from "./status_story.ts";
import { table } from "./table.ts";
import { print, safe, tell } from "./text.ts";

/** Most manifests with problems that the list tells. */
const MAX_PROBLEMS = 5;

/** Prints one job or all of them; gives the exit code: 1 when something could not be read. */
export async function status(name: string | undefined, options: StatusOptions): Promise<number> {
  const repository = await openRepository(options.repo);
  try {
    return show(await readSnapshot(repository), name, options.output, Date.now());
  } finally {
    await repository.close();
  }
}

/** Prints a snapshot. */
export function show(
  snapshot: Snapshot,
  name: string | undefined,
  output: Output,
  now: number,
): number {
  const { commit, jobs, unreadable, toMend } = snapshot;
  for (const line of [...unreadable, ...toMend]) tell(`warning: ${safe(line)}`);
  if (commit === undefined) tell("no status yet: the branch ugro/status does not exist");
  const code = unreadable.length > 0 ? 1 : 0;
  if (name === undefined) {
    const shown = output === "table" || output === "name" ? jobs.filter(isWanted) : jobs;
    const hidden = jobs.length - shown.length;
    if (shown.length > 0 || output === "json" || output === "yaml") print(list(shown, output, now));
    else if (commit !== undefined) tell("no jobs");
    if (hidden > 0) tell(`and ${hidden} of deleted manifests (-o wide lists them)`);
    tellProblems(jobs);
    return code;
  }
  const job = jobs.find((candidate) => candidate.name === name);
  if (job === undefined) {
    const family = jobs.filter((candidate) => candidate.parent === name);
    if (family.length > 0) {
      if (output === "table" || output === "wide") print(`${familyWords(name, family)}\n`);
      print(list(output === "table" ? family.filter(isWanted) : family, output, now));
      return code;
    }
    const near = nearest(name, jobs.map((candidate) => candidate.name));
    tell(
      `error: no job ${safe(name)} on the status branch${near ? `; did you mean ${near}?` : ""}`,
    );
    return 1;
  }
  print(one(job, output, now, snapshot.queue?.waiting.find((listed) => listed.job === name)));
  return code;
}

/** False for a job that is over and whose manifest was deleted: it is remembered, not wanted. */
function isWanted({ reason, attempts }: JobStatus): boolean {
  const last = attempts.at(-1);
  return reason !== "ManifestDeleted" || (last !== undefined && last.end === undefined);
}

/** `sweep: a manifest of 6 jobs (2 Running, 4 Pending)`. */
function familyWords(name: string, family: readonly JobStatus[]): string {
  const wanted = family.filter(isWanted);
  const counts = PHASES.flatMap((phase) => {
    const count = wanted.filter((job) => job.phase === phase).length;
    return count === 0 ? [] : [`${count} ${phase}`];
  });
  const jobs = `${wanted.length} job${wanted.length === 1 ? "" : "s"}`;
  return `${safe(name)}: a manifest of ${jobs}${
    counts.length > 0 ? ` (${counts.join(", ")})` : ""
  }`;
}

/** A job that is over looks as ever in the table, whatever has become of its manifest since. */
function tellProblems(jobs: readonly JobStatus[]): void {
  const files = new Map(
    jobs.flatMap(({ problems }) => problems?.[0] ? [[problems[0].file, problems[0]] as const] : []),
  );
  if (files.size === 0) return;
  for (const problem of [...files.values()].slice(0, MAX_PROBLEMS)) {
    tell(`warning: ${safe(formatProblem(problem))}`);
  }
  if (files.size > MAX_PROBLEMS) {
    tell(`and problems of ${files.size - MAX_PROBLEMS} more manifests (ugro validate lists all)`);
  }
}

function list(jobs: readonly JobStatus[], output: Output, now: number): string {
  switch (output) {
    case "json":
    case "yaml":
      return serialise(jobs, output);
    case "name":
      return jobs.map((job) => safe(job.name)).join("\n");
    case "table":
    case "wide":
      return jobTable(jobs, output === "wide", now);
  }
}

function one(
  job: JobStatus,
  output: Output,
  now: number,
  listed: Listed | undefined,
): string {
  switch (output) {
    case "json":
    case "yaml":
      return serialise(job, output);
    case "name":
      return safe(job.name);
    case "table":
      return story(job, now, listed).join("\n");
    case "wide":
      return jobTable([job], true, now);
  }
}

function jobTable(jobs: readonly JobStatus[], wide: boolean, now: number): string {
  const more = ["QUEUE", "PRIORITY", "OWNER", "PARENT", "FAILURES", "COMMIT", "MESSAGE"];
  const heading = ["NAME", "PHASE", "ATTEMPT", "NODES", "REASON", "AGE", ...(wide ? more : [])];
  const rows = jobs.map((job) => {
    const { name, phase, attempt, reason, since, queue, priority, retries } = job;
    const { owner = "", parent = "", commit, message } = job;
    const row = [name, phase, `${attempt || ""}`, nodesOf(job, wide), reason, age(since, now)];
    const rest = [queue, `${priority}`, owner, parent, `${retries}`, commit.slice(0, 12), message];
    return wide ? [...row, ...rest] : row;
  });
  return table(heading, rows);
}

/** Where the newest attempt runs or ran; nothing while the job waits. */
function nodesOf(job: JobStatus, wide: boolean): string {
  const attempt = job.attempts.at(-1);
  const shown = attempt !== undefined && (attempt.endedAt === undefined || isFinal(job.phase));
  if (!shown) return "";
  if (wide) return placementWords(attempt.placement);
  return attempt.placement.map((rank) => rank.node).join(",");
}
