/**
 * Plain tables: columns as wide as their widest cell, two spaces between, nothing after the last.
 *
 * @example
 * table(["NAME", "AGE"], [["demo", "3m"]]); // "NAME  AGE\ndemo  3m"
 *
 * @module
 */
import { safe } from "./text.ts";

/** Lays out a heading and rows; cells are made safe to print first, an empty cell is a dash. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows.map((row) => row.map((cell) => safe(cell) || "-"))];
  const widths = heading.map((_, i) => Math.max(...all.map((row) => [...(row[i] ?? "")].length)));
  return all.map((row) => row.map((cell, i) => pad(cell, widths[i] ?? 0)).join("  ").trimEnd())
    .join("\n");
}

function pad(cell: string, width: number): string {
  return cell + " ".repeat(Math.max(0, width - [...cell].length));
}
