/**
 * Durations as people write them: `5s`, `2m`, `1h30m`, `1d`, `500ms`. Strict: whole numbers, each
 * unit once, the largest first, and never a bare number.
 *
 * @example
 * parseDuration("1h30m"); // 5_400_000
 * parseDuration("90"); // undefined: seconds or minutes?
 *
 * @module
 */

/** What a duration looks like; editors get it with the JSON Schema. */
export const DURATION = /^(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** The longest duration accepted: a year. */
export const MAX_DURATION_MS = 365 * 86_400_000;

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000], [
  "ms",
  1,
]] as const;

/** Milliseconds, or undefined when the text is not a duration of at most a year. */
export function parseDuration(text: string): number | undefined {
  const match = text.length <= 64 ? DURATION.exec(text) : null;
  if (match === null) return undefined;
  let totalMs = 0;
  UNITS.forEach(([, unitMs], i) => totalMs += Number(match[i + 1] ?? 0) * unitMs);
  return totalMs <= MAX_DURATION_MS ? totalMs : undefined;
}

/** The shortest text that `parseDuration` reads back as the same time; `ms` is rounded. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.round(ms));
  let text = "";
  for (const [unit, unitMs] of UNITS) {
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text === "" ? "0s" : text;
}
