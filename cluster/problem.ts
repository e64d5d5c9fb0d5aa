/**
 * Problems with what people wrote: always with a place, and with a hint where one is known.
 *
 * @module
 */
import { plain } from "./show.ts";

/** One thing wrong with one file. `line` and `column` count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint?: string;
}

/** A file that was read: its value, or everything that is wrong with it. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Most characters of a file's name that are shown. */
const MAX_NAME = 300;
/** Most characters of a sentence that are shown. */
const MAX_SENTENCE = 1000;

/** `file:line:column: message (hint)`, on one line whatever the file's name holds. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, message, hint } = problem;
  const text = plain(message, MAX_SENTENCE) + (hint ? ` (${plain(hint, MAX_SENTENCE)})` : "");
  return `${plain(file, MAX_NAME)}:${line}:${column}: ${text}`;
}
