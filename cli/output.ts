/**
 * Output formats, and the printing of data in those that programs read.
 *
 * @module
 */
import { yamlText } from "../cluster/yaml_text.ts";
import { escapeJson } from "./text.ts";

/** What `-o` takes. */
export const OUTPUTS = ["table", "wide", "json", "yaml", "name"] as const;
export type Output = typeof OUTPUTS[number];

/** Options of `ugro status`. */
export interface StatusOptions {
  readonly repo: string;
  readonly output: Output;
}

/** Options of `ugro queue`. */
export interface QueueOptions extends StatusOptions {
  /** The branch that people write. */
  readonly branch: string;
}

/** JSON or YAML with all control and direction characters escaped, so `safeLines` changes nothing. */
export function serialise(value: unknown, output: "json" | "yaml"): string {
  if (output === "json") return escapeJson(JSON.stringify(value, null, 2));
  return yamlText(value, { lineWidth: 0 }).trimEnd();
}
