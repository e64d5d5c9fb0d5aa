/**
 * Points in time as people write them: RFC 3339 with its zone, never the reader's own zone.
 *
 * @example
 * parseTime("2026-12-01T08:00:00Z"); // 1_796_112_000_000
 * parseTime("2026-12-01T08:00:00"); // undefined: in which zone?
 *
 * @module
 */

/** What a time looks like; editors get it with the JSON Schema. */
export const TIME =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** Milliseconds since the epoch, or undefined when the text is not a time of the calendar. */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  // Dates read the 30th of February as the 2nd of March.
  const lastDay = new Date(Date.UTC(Number(match[1]), Number(match[2]), 0)).getUTCDate();
  const ms = Date.parse(text);
  return Number.isNaN(ms) || Number(match[3]) > lastDay ? undefined : ms;
}
