/**
 * When a waiting job is expected to start, in words.
 *
 * @example
 * expectedWords({ expectedStart: "2026-01-01T02:00:00Z", expectedBy: "limit" }, now); // "in 1h by limit"
 *
 * @module
 */
import { age } from "./age.ts";

/** `in 2h10m by limit`; where nobody can say, why not, or "". */
export function expectedWords(
  { expectedStart, expectedBy, expectedUnknown }: {
    readonly expectedStart?: string | undefined;
    readonly expectedBy?: string | undefined;
    readonly expectedUnknown?: string | undefined;
  },
  now: number,
): string {
  if (expectedStart === undefined || expectedBy === undefined) {
    return expectedUnknown === undefined ? "" : `not known: ${expectedUnknown}`;
  }
  const atMs = Date.parse(expectedStart);
  if (atMs <= now) return `now by ${expectedBy}`;
  return `in ${age(new Date(now).toISOString(), atMs)} by ${expectedBy}`;
}
