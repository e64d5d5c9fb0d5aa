/**
 * Values and paths from people's files, made safe to print: one line, no control or direction
 * characters, bounded.
 *
 * @example
 * showValue("a\nb"); // "\"a\\nb\""
 *
 * @module
 */

const MAX_SHOWN = 60;
/** Characters that could move a cursor, or hide or reorder other text. Global: for `replace`. */
export const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/**
 * Characters that no text of ours holds, but for lines and tabs where those are meant: controls,
 * line separators, the marks that reorder text (CVE-2021-42574), and halves of characters. Joiners
 * are allowed; Persian and emoji need them. (`CLEAN` of runner.py is the same.)
 */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** A place inside a file's value: keys and list positions from the root. */
export type Path = readonly PropertyKey[];

/** Text with every character that could move a cursor or hide other text escaped. */
export function plain(text: string, max = MAX_SHOWN): string {
  return cutText(text, max + 1).replace(
    UNSAFE,
    (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
}

/** The words for a value in a sentence that ends in "not …". */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value !== "string") return String(value);
  const cut = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
  return plain(JSON.stringify(cut), Infinity);
}

/** `resources.nodes` or `nodes[2].host`. */
export function showPath(path: Path): string {
  let shown = "";
  for (const part of path) {
    if (typeof part === "number") shown += `[${part}]`;
    else shown += `${shown === "" ? "" : "."}${plain(String(part), 40)}`;
  }
  return shown;
}

/** Text with each of its control characters replaced; lines and tabs are kept. */
export function withoutControls(text: string, replacement = "\ufffd"): string {
  return text.replace(CONTROLS, (c) => c === "\n" || c === "\t" ? c : replacement);
}

/** At most `max` UTF-16 units, cut where a character ends; what was cut shows as `…`. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const cut = text.slice(0, Math.max(0, max - 1));
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}
