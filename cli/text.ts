/**
 * Text for terminals. Everything that is printed may come from a manifest, a log or a file name, so
 * nothing of it may move the cursor, colour the screen or reorder what is read.
 *
 * @example
 * safe("a\x1b[2Jb"); // "a\\u001b[2Jb"
 *
 * @module
 */
import { plain, UNSAFE } from "../cluster/show.ts";

/** One line: control, direction and other invisible characters are shown as escapes. */
export function safe(text: string): string {
  return plain(text, Infinity);
}

/** Several lines: as `safe`, but line ends stay and tabs become spaces. */
export function safeLines(text: string): string {
  return text.replaceAll("\t", "  ").split(/\r?\n/).map(safe).join("\n");
}

/** JSON with everything unsafe escaped: it may do so in any string, and elsewhere has none. */
export function escapeJson(json: string): string {
  return json.replace(UNSAFE, (c) => c === "\n" ? c : c.split("").map(escapeUnit).join(""));
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Writes data to stdout, a line end added. */
export function print(text: string): void {
  console.log(safeLines(text));
}

/** Writes what is for people to stderr: hints, warnings, errors. */
export function tell(text: string): void {
  console.error(safeLines(text));
}
