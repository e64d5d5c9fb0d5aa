/**
 * When a job runs, and on how many machines: what `after`, `startAfter`, `deadline`, `idle`,
 * `schedule` and `resources.nodes` come to.
 *
 * @example
 * // after: prep
 * timingOf(fields, "train", report); // { after: [{ job: "prep", when: "success" }] }
 *
 * @module
 */
import { Cron } from "croner";
import type { Cluster } from "../cluster/cluster.ts";
import type { Fields } from "../cluster/nodes.ts";
import type { Report } from "../cluster/report.ts";
import { plain } from "../cluster/show.ts";
import { didYouMean } from "../cluster/suggest.ts";
import type { CronSchedule, Dependency, JobSpec, Resources } from "./job.ts";
import type { manifestShape } from "./schema.ts";

type Manifest = Fields<typeof manifestShape>;

/** What a manifest says of when it runs; what it leaves out is absent. */
export type Timing = Pick<
  JobSpec,
  "after" | "startAfterMs" | "deadlineMs" | "idle" | "schedule" | "maxParallel"
>;

/** The parts of a job that decide when it runs; notes what cannot be. `name` is the manifest's. */
export function timingOf(fields: Partial<Manifest>, name: string, report: Report): Timing {
  const { startAfter, deadline, idle, maxParallel } = fields;
  if (startAfter !== undefined && deadline !== undefined && deadline <= startAfter) {
    report.problem(["deadline"], "`deadline` is not after `startAfter`");
  }
  const many = ["matrix", "array", "schedule"] as const;
  if (maxParallel !== undefined && many.every((key) => fields[key] === undefined)) {
    const hint = "remove it, or add `matrix`, `array` or `schedule`";
    report.problem(["maxParallel"], "`maxParallel` is for manifests of many jobs", hint, "key");
  }
  const after = afterOf(fields.after, name, report);
  const schedule = scheduleOf(fields.schedule, report);
  return {
    ...(maxParallel === undefined ? {} : { maxParallel }),
    ...(after.length === 0 ? {} : { after }),
    ...(startAfter === undefined ? {} : { startAfterMs: startAfter }),
    ...(deadline === undefined ? {} : { deadlineMs: deadline }),
    ...(idle === undefined ? {} : { idle }),
    ...(schedule === undefined ? {} : { schedule }),
  };
}

function afterOf(given: Manifest["after"], name: string, report: Report): Dependency[] {
  if (given === undefined) return [];
  const items = Array.isArray(given) ? given : [given];
  const path = (i: number) => Array.isArray(given) ? ["after", i] : ["after"];
  const seen = new Set<string>();
  return items.map((item, i) => {
    const { job, when } = typeof item === "string" ? { job: item, when: "success" as const } : item;
    if (job === name) report.problem(path(i), "a job cannot wait for itself");
    if (seen.has(job)) report.problem(path(i), `\`${job}\` is named twice`, "keep one of the two");
    seen.add(job);
    return { job, when };
  });
}

function scheduleOf(given: Manifest["schedule"], report: Report): CronSchedule | undefined {
  if (given === undefined) return undefined;
  const full = typeof given === "string"
    ? {
      cron: given,
      timezone: "UTC",
      concurrency: "forbid" as const,
      keep: 3,
      startWithin: 3_600_000,
    }
    : given;
  const at = typeof given === "string" ? ["schedule"] : ["schedule", "cron"];
  const { timezone, concurrency, keep, startWithin } = full;
  const cron = full.cron.trim().replace(/ +/g, " ");
  const wrong = cronProblem(cron);
  if (wrong !== undefined) {
    const hint = "minute, hour, day of the month, month, day of the week, such as `0 3 * * *`";
    report.problem(at, `\`${at.join(".")}\` names no times: ${plain(wrong, 200)}`, hint);
  }
  if (!isTimezone(timezone)) {
    const hint = () =>
      didYouMean(timezone, Intl.supportedValuesOf("timeZone")) ??
        "names are such as `Europe/Berlin` or `UTC`";
    report.problem(["schedule", "timezone"], `no time zone is named \`${timezone}\``, hint);
  }
  return { cron, timezone, concurrency, keep, startWithinMs: startWithin };
}

/** A year that is before every year with a run: whether there are runs must not hang on today. */
const LONG_AGO = new Date("2000-01-01T00:00:00Z");

/** Why there are no times for five fields of cron; undefined when there are. */
function cronProblem(cron: string): string | undefined {
  try {
    const times = new Cron(cron, { mode: "5-part", timezone: "UTC", paused: true });
    return times.nextRun(LONG_AGO) === null ? "there is no such day" : undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return text.replace(/^Cron\w+: /, "").replace(/^[A-Z]/, (first) => first.toLowerCase());
  }
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** What a job needs; what it does not say is absent. */
export function resourcesOf(given: Manifest["resources"]): Resources {
  const { nodes, mixedGpus, nodeSelector, ...rest } = given;
  const { min, max } = nodesOf(nodes);
  return {
    ...rest,
    nodes: min,
    ...(max > min ? { maxNodes: max } : {}),
    ...(mixedGpus ? { mixedGpus } : {}),
    nodeSelector: Object.fromEntries(
      Object.entries(nodeSelector).map(([key, value]) => [key, String(value)]),
    ),
  };
}

function nodesOf(nodes: number | string): { readonly min: number; readonly max: number } {
  const [min = 1, max = min] = String(nodes).split("..").map(Number);
  return { min, max };
}

/** Notes what a job cannot ask for together. */
export function checkResources(
  given: Manifest["resources"] | undefined,
  cluster: Cluster | undefined,
  report: Report,
): void {
  if (given === undefined) return;
  const { min, max } = nodesOf(given.nodes);
  if (max < min) {
    report.problem(
      ["resources", "nodes"],
      "`resources.nodes` runs backwards",
      `\`${max}..${min}\``,
    );
  }
  if (given.gpuShare !== undefined && given.gpusPerNode !== 1) {
    const message = "`resources.gpuShare` is a part of one GPU a machine";
    report.problem(["resources", "gpuShare"], message, "write `gpusPerNode: 1`", "key");
  }
  const { within } = given;
  if (within === undefined || cluster === undefined) return;
  if (cluster.nodes.some((node) => Object.hasOwn(node.labels, within))) return;
  const hint = () =>
    didYouMean(within, [...new Set(cluster.nodes.flatMap((node) => Object.keys(node.labels)))]);
  report.warn(["resources", "within"], `no node has the label \`${within}\``, hint);
}
