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
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A place inside a file's value: keys and list positions from the root. */
export type Path = readonly PropertyKey[];

/** Text with every character that could move a cursor or hide other text escaped. */
export function plain(text: string, max = MAX_SHOWN): string {
  const cut = text.length > max ? `${text.slice(0, max)}…` : text;
  return cut.replace(UNSAFE, (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, "0")}`);
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
