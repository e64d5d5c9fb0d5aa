/**
 * The name of a run at a fixed time: the template's name and the time in UTC, to the minute.
 *
 * @example
 * instanceName("nightly", Date.UTC(2026, 0, 2, 3)); // "nightly-20260102-0300"
 * dueOf("nightly-20260102-0300"); // { stem: "nightly", dueMs: … }
 *
 * @module
 */
import { createHash } from "node:crypto";

/** What is left of the 63 characters of a name when `-20260102-0300` has been put behind it. */
const MAX_STEM = 63 - "-20260102-0300".length;
const HASH_DIGITS = 6;

/** What the names of a template's runs begin with: its name; of a long one a part and a hash. */
export function stemOf(template: string): string {
  if (template.length <= MAX_STEM) return template;
  const hash = createHash("sha256").update(template).digest("hex").slice(0, HASH_DIGITS);
  // Two long names may begin alike; their runs must not be taken for each other's.
  return `${template.slice(0, MAX_STEM - HASH_DIGITS - 1).replace(/-+$/, "")}-${hash}`;
}

/** The name of the run of a template that is due at a time (milliseconds since the epoch). */
export function instanceName(template: string, dueMs: number): string {
  const digits = new Date(dueMs).toISOString().replace(/[-:T]/g, "");
  return `${stemOf(template)}-${digits.slice(0, 8)}-${digits.slice(8, 12)}`;
}

/** The parts of such a name; undefined: it names no run. */
export function dueOf(name: string): { readonly stem: string; readonly dueMs: number } | undefined {
  const match = /^(.+)-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)$/.exec(name);
  if (!match) return undefined;
  const [, stem = "", year, month, day, hour, minute] = match;
  const dueMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:00Z`);
  // Dates read the 30th of February as the 2nd of March.
  const isReal = new Date(dueMs).getUTCDate() === Number(day);
  return isReal ? { stem, dueMs } : undefined;
}
