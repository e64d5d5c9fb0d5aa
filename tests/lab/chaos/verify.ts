/**
 * What must hold after a run of chaos.
 *
 * @module
 */
import type { JobStatus } from "../../../jobs/status.ts";
import type { Harness } from "../harness.ts";
import { must } from "../processes.ts";
import type { Witness } from "../witness.ts";
import type { ChaosJob } from "./arrivals.ts";
import type { Branch } from "./branch.ts";
import type { Faults } from "./faults.ts";
import { folderProblems } from "./folders.ts";
import type { Schedule } from "./schedule.ts";
import type { Services } from "./services.ts";
import {
  historyProblems,
  type Outage,
  overlapProblems,
  stopProblems,
  truthProblems,
} from "./story.ts";

/** Everything that a run left behind. */
export interface Evidence {
  readonly harness: Harness;
  readonly services: Services;
  readonly plan: Schedule;
  readonly faults: Faults;
  readonly history: Branch;
  readonly traces: readonly Witness[];
  readonly statuses: readonly JobStatus[];
}

/** True when a job has become what it must become. */
export function isMet(job: ChaosJob, status: JobStatus | undefined): boolean {
  switch (job.fate) {
    case "succeeded":
      return status?.phase === "Succeeded";
    case "failed":
      return status?.phase === "Failed";
    case "gone":
      // Nobody need remember a job that went before it was ever started.
      return status === undefined || status.phase === "Cancelled" ||
        (job.kind !== "endless" && (status.phase === "Succeeded" || status.phase === "Failed"));
  }
}

/** A sentence about a job that has not met its fate. */
export function unmet(job: ChaosJob, status: JobStatus | undefined): string[] {
  if (isMet(job, status)) return [];
  const is = status === undefined
    ? "has no status"
    : `is ${status.phase} (${status.reason}): ${status.message}`;
  return [`${job.name} should have ${job.fate === "gone" ? "gone" : job.fate}, but ${is}`];
}

/** Everything that is wrong. */
export async function verify(evidence: Evidence): Promise<string[]> {
  const { harness, services, plan, faults, history, traces, statuses } = evidence;
  const sizes = new Map(plan.jobs.map((job) => [job.name, job.nodes * job.gpusPerNode]));
  const deeds = new Set(
    plan.events.flatMap((event) => "name" in event && event.kind !== "break" ? [event.name] : []),
  );
  const outages = outagesOf(faults);
  const problems = [...history.problems];
  for (const [name, entries] of history.histories) {
    problems.push(
      ...historyProblems(name, entries),
      ...stopProblems(name, entries, deeds, outages),
    );
    const own = traces.filter((trace) => trace.job === name);
    problems.push(...truthProblems(name, entries, own, sizes.get(name) ?? 0));
  }
  for (const name of new Set(traces.map((trace) => trace.job))) {
    if (!history.histories.has(name)) problems.push(`${name} ran, but has no status`);
  }
  problems.push(...twiceProblems(traces));
  problems.push(...overlapProblems(traces, outages));
  problems.push(...processProblems(harness));
  problems.push(...await hostProblems(harness, statuses));
  problems.push(...passProblems(services), ...services.problems);
  problems.push(...await desiredProblems(harness));
  return problems;
}

function twiceProblems(traces: readonly Witness[]): string[] {
  const starts = Map.groupBy(traces, (t) => `${t.job}/${t.attempt}, rank ${t.rank}`);
  return [...starts].flatMap(([who, all]) =>
    all.length > 1 ? [`${who} was started ${all.length} times`] : []
  );
}

/** Times in which a host could not be asked: those in which nobody could ask any included. */
function outagesOf(faults: Faults): Outage[] {
  return faults.injected.flatMap(({ kind, host, beganMs, endedMs }) =>
    host !== undefined && (kind === "crash" || kind.startsWith("cut"))
      ? [{ host, beganMs, endedMs }]
      : []
  );
}

function processProblems(harness: Harness): string[] {
  return harness.lab.hosts.flatMap((host) =>
    host.pids("UGRO_RUN").filter((process) => process.environ.has("UGRO_RUN")).map((process) =>
      `${host.name}: a process of ${process.environ.get("UGRO_RUN")} is left: ` +
      process.argv.slice(0, 6).join(" ")
    ).concat(
      host.pids("supervise").filter((process) => process.argv.includes("supervise"))
        .map((process) => `${host.name}: a supervisor is left: ${process.argv.at(-1)}`),
    )
  );
}

async function hostProblems(
  harness: Harness,
  statuses: readonly JobStatus[],
): Promise<string[]> {
  const known = new Map(statuses.map((status) => [status.name, status]));
  const problems: string[] = [];
  for (const host of harness.lab.hosts) {
    const prefix = `${harness.workdir(host).slice((host.disk ?? "").length + 1)}/`;
    const paths = (await host.listDisk()).flatMap((path) =>
      path.startsWith(prefix) && path !== prefix ? [path.slice(prefix.length)] : []
    );
    problems.push(...folderProblems(host.name, paths, known));
  }
  return problems;
}

/** A pass that failed met something that nobody had thought of. */
function passProblems(services: Services): string[] {
  return services.all.flatMap((service) =>
    service.lines.filter((line) => line.msg === "pass failed")
      .map((line) => `a pass failed: ${String(line["error"]).slice(0, 600)}`)
  );
}

async function desiredProblems(harness: Harness): Promise<string[]> {
  const authors = await must(["git", "log", "--format=%an", "main"], { cwd: harness.repo });
  const strangers = new Set(authors.trim().split("\n").filter((name) => name !== "Ada"));
  const problems = [...strangers].map((name) => `${name} wrote to the desired branch`);
  return problems.concat(
    await harness.assertDesiredUntouched().then(() => [], (error: Error) => [error.message]),
  );
}
