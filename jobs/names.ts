/**
 * Names of jobs, and of the jobs that one manifest makes.
 *
 * @example
 * childName("sweep", { "training.optimizer": "adam", "training.seed": 1 }); // "sweep-adam-1"
 * childName("sweep", { "training.lr": 0.001 }); // "sweep-0-001-dad250"
 *
 * @module
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "./digest.ts";

/** The name of a job. */
export const JOB_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** The words for `JOB_NAME`. */
export const JOB_NAME_WORDS = "a name of lower-case letters, digits and `-`";

const MAX_NAME = 63;
const HASH_DIGITS = 6;

/** What tells the jobs of one manifest apart, by the place of each value in a manifest. */
export type Values = Readonly<Record<string, string | number | boolean>>;

/**
 * The name of the job with these values. It depends on nothing else, and not on their order, so
 * that whoever adds a value to a list renames no job. Values that a name cannot show in full are
 * shown in part, with a digest of all of them.
 */
export function childName(parent: string, values: Values): string {
  const texts = Object.keys(values).sort().map((key) => String(values[key]));
  const name = [parent, ...texts].join("-");
  if (name.length <= MAX_NAME && texts.every((text) => /^[a-z0-9]+$/.test(text))) return name;
  const digest = createHash("sha256").update(canonicalJson(values)).digest("hex");
  const shown = name.toLowerCase().replace(/[^a-z0-9]+/g, "-")
    .slice(0, MAX_NAME - HASH_DIGITS - 1).replace(/-+$/, "");
  return `${shown}-${digest.slice(0, HASH_DIGITS)}`;
}
