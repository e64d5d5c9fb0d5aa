/**
 * Prints what a what-if came to: a column for each policy, or JSON.
 *
 * @module
 */
import { age } from "../age.ts";
import { serialise } from "../output.ts";
import { table } from "../table.ts";
import type { Figures, Spread } from "./figures.ts";
import type { Setting } from "./setting.ts";

/** The figures of a policy. */
export type Result = readonly [policy: string, figures: Figures];

/** A row: how its value is written, and how it is computed. */
type Row = readonly [
  title: string,
  write: (value: number) => string,
  value: (figures: Figures) => number,
];

const ROWS: readonly Row[] = [
  ["jobs", String, (f) => f.jobs],
  ["never started", String, (f) => f.neverStarted],
  ["far behind", String, (f) => f.farBehind],
  ...spread("completion", (f) => f.completion),
  ...spread("queueing", (f) => f.queueing),
  ["queueing, longest", time, (f) => f.queueing.maxSeconds],
  ["utilisation", percent, (f) => f.utilisation],
  ["idle, someone waits", percent, (f) => f.idle],
  ["fragmentation", percent, (f) => f.fragmentation],
  ["fairness of shares", index, (f) => f.shareFairness],
  ["fairness of slowdowns", index, (f) => f.slowdownFairness],
  ["preemptions", String, (f) => f.preemptions],
  ["GPU-hours lost", (value) => value.toFixed(1), (f) => f.lostGpuHours],
  ["makespan", time, (f) => f.makespanSeconds],
];

function spread(title: string, of: (figures: Figures) => Spread): Row[] {
  return [
    [`${title}, mean`, time, (f) => of(f).meanSeconds],
    [`${title}, median`, time, (f) => of(f).medianSeconds],
    [`${title}, p99`, time, (f) => of(f).p99Seconds],
  ];
}

/** A heading about the trace, then a table; later policies with their ratio to the first. */
export function resultTable(setting: Setting, results: readonly Result[]): string {
  const { jobs, nodes, gpus, load, estimates } = setting;
  const words = `${jobs} jobs on ${nodes} nodes with ${gpus} GPUs, load ${load.toFixed(2)}; ` +
    `durations: mean ${time(setting.duration.meanSeconds)}, ` +
    `median ${time(setting.duration.medianSeconds)}; estimates: ${estimates}`;
  const rows = ROWS.map(([title, write, value]) => {
    const first = results[0] && value(results[0][1]);
    return [
      title,
      ...results.map(([, figures], i) => {
        const text = write(value(figures));
        return i > 0 && first ? `${text} (${ratio(value(figures) / first)})` : text;
      }),
    ];
  });
  return `${words}\n\n${table(["FIGURE", ...results.map(([policy]) => policy)], rows)}`;
}

/** The same for programs; times are in seconds. */
export function resultJson(setting: Setting, results: readonly Result[]): string {
  const policies = results.map(([policy, figures]) => ({ policy, ...figures }));
  return serialise({ ...setting, policies }, "json");
}

function time(seconds: number): string {
  return age("1970-01-01T00:00:00Z", Math.round(seconds) * 1000);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function index(value: number): string {
  return value.toFixed(3);
}

function ratio(value: number): string {
  if (value > 0 && value < 0.001) return "<0.001×";
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)}×`;
}
