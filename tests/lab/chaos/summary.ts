/**
 * What a run of chaos was like, in figures.
 *
 * @module
 */
import type { JobStatus } from "../../../jobs/status.ts";
import type { Witness } from "../witness.ts";
import type { Branch } from "./branch.ts";
import type { Faults, Injected } from "./faults.ts";
import type { People } from "./people.ts";
import type { Schedule } from "./schedule.ts";
import type { Services } from "./services.ts";
import { startOf } from "./story.ts";

/** The result of a run. */
export interface Report {
  /** What was wrong; empty: nothing. */
  readonly problems: readonly string[];
  /** For people, line by line. */
  readonly summary: readonly string[];
}

/** All that a summary is made of. */
export interface Run {
  readonly plan: Schedule;
  readonly faults: Faults;
  readonly services: Services;
  readonly people: People;
  readonly history: Branch;
  readonly traces: readonly Witness[];
  readonly statuses: readonly JobStatus[];
  readonly problems: readonly string[];
  readonly settledMs: number;
}

/** Sums a run up. */
export function summarize(run: Run): Report {
  const { plan, faults, services, people, history, traces, statuses, problems, settledMs } = run;
  const kinds = countBy(faults.injected, (fault) => fault.kind);
  const attempts = statuses.reduce((sum, status) => sum + status.attempt, 0);
  const ends = countBy(
    [...history.histories.values()].flatMap((entries) => endsOf(entries.at(-1)?.status)),
    (end) => end,
  );
  const recoveries = recoveriesOf(faults.injected, traces).toSorted((a, b) => b.ms - a.ms);
  const longest = recoveries[0];
  const { changesMs } = services;
  return {
    problems,
    summary: [
      `seed ${plan.seed}: ${(plan.faultsEndMs / 60_000).toFixed(1)} minutes of faults, ` +
      `then ${seconds(settledMs)} until everything had ended`,
      `jobs: ${statuses.length} (${show(countBy(statuses, (status) => status.phase))})`,
      `attempts: ${attempts} (of those still on record: ${show(ends)}); ` +
      `${traces.length} ranks started`,
      `faults: ${faults.injected.length} (${show(kinds)})`,
      `pushes by people: ${people.pushes}; status commits: ${history.commits}; ` +
      `service starts: ${services.all.length}; the lease changed hands ${changesMs.length} times, ` +
      `after ${seconds(median(changesMs))} (median), ${seconds(Math.max(0, ...changesMs))} at most`,
      `from the death of an attempt to the first rank of the next one: ${recoveries.length} ` +
      `times, median ${seconds(median(recoveries.map((one) => one.ms)))}, longest ` +
      (longest ? `${seconds(longest.ms)} (${longest.kind}, ${longest.job})` : "none"),
      `problems: ${problems.length || "none"}`,
    ],
  };
}

function endsOf(status: JobStatus | undefined): string[] {
  return (status?.attempts ?? []).map((attempt) => attempt.end ?? "not ended");
}

interface Recovery {
  readonly kind: string;
  readonly job: string;
  readonly ms: number;
}

/** From each fault that killed an attempt to the first start of a later one, where one followed. */
function recoveriesOf(injected: readonly Injected[], traces: readonly Witness[]): Recovery[] {
  return injected.flatMap(({ kind, killed, beganMs }) =>
    killed.flatMap(({ job, attempt }): Recovery[] => {
      const later = traces.filter((trace) => trace.job === job && trace.attempt > attempt)
        .map(startOf).filter((atMs) => atMs > beganMs);
      return later.length === 0 ? [] : [{ kind, job, ms: Math.min(...later) - beganMs }];
    })
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function countBy<T>(items: Iterable<T>, key: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

function show(counts: ReadonlyMap<string, number>): string {
  return [...counts].toSorted(([a], [b]) => a < b ? -1 : 1)
    .map(([name, count]) => `${count} ${name}`).join(", ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
