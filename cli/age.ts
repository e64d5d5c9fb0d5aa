/**
 * How long ago something was, in at most two units.
 *
 * @example
 * age("2026-01-01T00:00:00Z", Date.parse("2026-01-01T01:02:03Z")); // "1h2m"
 *
 * @module
 */

const UNITS = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]] as const;

/** The time from `since` (ISO 8601) to `now`; `?` when `since` is no time. */
export function age(since: string, now: number): string {
  let rest = Math.floor((now - Date.parse(since)) / 1000);
  if (Number.isNaN(rest)) return "?";
  if (rest <= 0) return "0s";
  const first = UNITS.findIndex(([, seconds]) => rest >= seconds);
  return UNITS.slice(first, first + 2).map(([unit, seconds]) => {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    return count === 0 ? "" : `${count}${unit}`;
  }).join("");
}
