/**
 * Output formats, and the printing of data in those that programs read.
 *
 * @module
 */
import { stringify } from "yaml";

/** What `-o` takes. */
export const OUTPUTS = ["table", "wide", "json", "yaml", "name"] as const;
export type Output = typeof OUTPUTS[number];

/** Options of `ugro status`. */
export interface StatusOptions {
  readonly repo: string;
  readonly output: Output;
}

/** JSON or YAML with all control and direction characters escaped, so `safeLines` changes nothing. */
export function serialise(value: unknown, output: "json" | "yaml"): string {
  if (output === "json") return escapeUnicode(JSON.stringify(value, null, 2));
  return stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}

/** JSON may escape any character of a string, and outside strings there are none of these. */
function escapeUnicode(json: string): string {
  return json.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => c === "\n" ? c : [...Array(c.length).keys()].map((i) => escapeUnit(c, i)).join(""),
  );
}

function escapeUnit(text: string, index: number): string {
  return `\\u${text.charCodeAt(index).toString(16).padStart(4, "0")}`;
}
