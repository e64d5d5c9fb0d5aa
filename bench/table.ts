/**
 * Figures as a table: minimum, median, 99th percentile, maximum.
 *
 * @module
 */

import { median, type Timed } from "./stopwatch.ts";

/** One measured thing. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly count: number;
  readonly min: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
  /** Median time on a CPU, where that was measured. */
  readonly cpu?: number;
}

/** A row of times; see `stopwatch.ts`. */
export function timings(what: string, times: readonly Timed<unknown>[]): Row {
  return {
    ...figures(what, "ms", times.map(({ wallMs }) => wallMs)),
    cpu: median(times.map(({ cpuMs }) => cpuMs)),
  };
}

/** A row from samples. Throws when there are none: nothing measured is not zero. */
export function figures(what: string, unit: string, samples: readonly number[]): Row {
  if (samples.length === 0) throw new Error(`Cannot report ${what}: no sample`);
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] as number;
  return {
    what,
    unit,
    count: sorted.length,
    min: at(0),
    median: at(0.5),
    p99: at(0.99),
    max: at(1),
  };
}

/** Prints rows; `cpu` is the median time on a CPU, which others on the machine do not lengthen. */
export function printTable(rows: readonly Row[]): void {
  const width = Math.max(...rows.map((row) => row.what.length));
  const line = (what: string, count: string, cells: readonly string[]) =>
    what.padEnd(width + 2) + count.padStart(4) + cells.map((cell) => cell.padStart(9)).join("");
  console.log(line("", "n", ["min", "median", "p99", "max", "cpu"]));
  for (const { what, unit, count, min, median, p99, max, cpu } of rows) {
    const cells = [min, median, p99, max, cpu].map((value) => value?.toFixed(value < 10 ? 2 : 0));
    console.log(`${line(what, String(count), cells.map((cell) => cell ?? ""))} ${unit}`);
  }
}
