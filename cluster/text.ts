/**
 * Bytes to text, strictly: UTF-8, no NUL, bounded.
 *
 * @module
 */
import type { Parsed } from "./problem.ts";

/** The text of a file, or the first place at which it is none. A byte order mark is dropped. */
export function decodeText(file: string, bytes: Uint8Array, maxBytes: number): Parsed<string> {
  const refuse = (offset: number, message: string, hint: string): Parsed<string> => {
    const { line, column } = placeOf(bytes, offset);
    return { ok: false, problems: [{ file, line, column, message, hint }] };
  };
  if (bytes.length > maxBytes) {
    const size = `${(bytes.length / 1024 / 1024).toFixed(1)} MiB`;
    const limit = `${maxBytes / 1024 / 1024} MiB`;
    return refuse(0, `the file is too large: ${size}, at most ${limit}`, "keep data elsewhere");
  }
  const nul = bytes.indexOf(0);
  if (nul >= 0) return refuse(nul, "the file contains a NUL byte", "save it as UTF-8 text");
  try {
    const value = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { ok: true, value, warnings: [] };
  } catch {
    return refuse(firstBad(bytes), "the file is not valid UTF-8", "save it as UTF-8 text");
  }
}

/** The start of the first line that does not decode: a newline is never part of a character. */
function firstBad(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let start = 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(10, start);
    const end = newline < 0 ? bytes.length : newline;
    try {
      decoder.decode(bytes.subarray(start, end));
    } catch {
      return start;
    }
    start = end + 1;
  }
  return 0;
}

function placeOf(bytes: Uint8Array, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let i = bytes.indexOf(10); i >= 0 && i < offset; i = bytes.indexOf(10, i + 1)) {
    line++;
    start = i + 1;
  }
  const column = new TextDecoder().decode(bytes.subarray(start, offset)).length + 1;
  return { line, column };
}
