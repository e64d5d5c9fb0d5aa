/**
 * Something that was found, or why it was not.
 *
 * @module
 */

/** Why something cannot be had: a phrase without a value in it, for a status file. */
export interface Missing {
  readonly why: string;
}

/** Bytes, or why there are none. */
export type Bytes = { readonly bytes: Uint8Array } | Missing;

/** A phrase of another program on one line, without control characters, at most 200 characters. */
export function phrase(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim().slice(0, 200);
}
