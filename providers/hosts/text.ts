// deno-lint-ignore-file no-control-regex -- control characters are what this file is about
/**
 * Makes text that a node sent fit for logs, status files and terminals.
 *
 * @module
 */
import { cutText, withoutControls } from "../../cluster/show.ts";

const ESCAPE_SEQUENCE =
  /\x1b(?:\[[0-9;?<=>!]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g;

/** Removes terminal sequences and control characters; keeps lines and tabs. */
export function cleanText(text: string, maxLength: number): string {
  const lines = text.replace(ESCAPE_SEQUENCE, "").replace(/\r\n?/g, "\n");
  return cutText(withoutControls(lines), maxLength);
}

/** The same on a single line. */
export function cleanLine(text: string, maxLength = 500): string {
  return cutText(cleanText(text, maxLength * 4).replace(/\s+/g, " ").trim(), maxLength);
}

/** True when `text` would come through {@linkcode cleanLine} unchanged. */
export function isClean(text: string, maxLength: number): boolean {
  return text.length <= maxLength && !/[\n\t]/.test(text) && withoutControls(text) === text;
}
