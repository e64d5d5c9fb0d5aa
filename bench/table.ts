/**
 * Figures as a table: minimum, median, maximum.
 *
 * @module
 */

/** One measured thing. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly count: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** A row from samples. Throws when there are none: nothing measured is not zero. */
export function figures(what: string, unit: string, samples: readonly number[]): Row {
  if (samples.length === 0) throw new Error(`Cannot report ${what}: no sample`);
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] as number;
  return { what, unit, count: sorted.length, min: at(0), median: at(0.5), max: at(1) };
}

/** Prints rows. */
export function printTable(rows: readonly Row[]): void {
  const width = Math.max(...rows.map((row) => row.what.length));
  const cell = (value: number) => value.toFixed(value < 10 ? 2 : 0).padStart(9);
  console.log(
    `${"".padEnd(width)}  ${"n".padStart(4)}${"min".padStart(9)}${"median".padStart(9)}${
      "max".padStart(9)
    }`,
  );
  for (const { what, unit, count, min, median, max } of rows) {
    const numbers = cell(min) + cell(median) + cell(max);
    console.log(`${what.padEnd(width)}  ${String(count).padStart(4)}${numbers} ${unit}`);
  }
}
