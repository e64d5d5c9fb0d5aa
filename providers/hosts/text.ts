// deno-lint-ignore-file no-control-regex -- control characters are what this file is about
/**
 * Makes text that a node sent fit for logs, status files and terminals.
 *
 * @module
 */

const ESCAPE_SEQUENCE =
  /\x1b(?:\[[0-9;?<=>!]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g;
/** C0, DEL, C1, line separators and the marks that reorder text (see CVE-2021-42574). */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Removes terminal sequences and control characters; keeps lines and tabs. */
export function cleanText(text: string, maxLength: number): string {
  return cut(
    text.replace(ESCAPE_SEQUENCE, "").replace(/\r\n?/g, "\n").replace(CONTROLS, "\ufffd"),
    maxLength,
  );
}

/** The same on a single line. */
export function cleanLine(text: string, maxLength = 500): string {
  return cut(cleanText(text, maxLength * 4).replace(/\s+/g, " ").trim(), maxLength);
}

/** True when `text` would come through {@linkcode cleanLine} unchanged. */
export function isClean(text: string, maxLength: number): boolean {
  return text.length <= maxLength && !/[\n\t]/.test(text) && text.search(CONTROLS) === -1;
}

function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
}
