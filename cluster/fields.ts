/**
 * Building blocks of the schemas. Each carries the words for what it wants ("a whole number of at
 * least 1"), which `issues.ts` puts into a sentence, and a description, which editors show.
 *
 * @example
 * const schema = map({ nodes: wholeNumber("Machines.", { min: 1 }).prefault(1) });
 *
 * @module
 */
import { z } from "zod";
import { LINE } from "./patterns.ts";
import { DURATION, formatDuration, MAX_DURATION_MS, parseDuration } from "./duration.ts";
import { PRIORITIES, PRIORITY_RANGE, priorityOf, type PriorityWord } from "./priority.ts";
import { parseTime, TIME } from "./time.ts";

/** A map with exactly these keys. */
export function map<S extends z.core.$ZodLooseShape>(shape: S) {
  return z.strictObject(shape, { error: "a map of `key: value` lines" });
}

/** A list of at most `max` items. */
export function list<T extends z.ZodType>(item: T, max: number) {
  const error = "a list, each item on a line of its own after `- `";
  return z.array(item, { error }).max(max, { error: `a list of at most ${max} items` });
}

/** A map with free keys that match `pattern`. */
export function record<T extends z.ZodType>(pattern: RegExp, keyWords: string, value: T) {
  const key = z.string().regex(pattern, { error: keyWords });
  return z.record(key, value, { error: "a map of `key: value` lines" });
}

/** Text that matches `pattern`; `wanted` says in words what that is. */
export function text(description: string, wanted: string, pattern: RegExp, max = 4096) {
  return z.string({ error: wanted })
    .max(max, { error: `${wanted}, of at most ${max} characters` })
    .regex(pattern, { error: wanted })
    .meta({ description });
}

/** One line of free text. */
export function line(description: string, max = 1000) {
  return text(description, "one line of text without control characters", LINE, max);
}

/** A whole number within bounds. */
export function wholeNumber(description: string, bounds: { min: number; max?: number }) {
  const error = bounds.max === undefined
    ? `a whole number of at least ${bounds.min}`
    : `a whole number from ${bounds.min} to ${bounds.max}`;
  const number = z.int({ error }).min(bounds.min, { error });
  const { max = Number.MAX_SAFE_INTEGER } = bounds;
  return number.max(max, { error }).meta({ description });
}

/** A number greater than 0. */
export function positiveNumber(description: string, max = 1_000_000) {
  const error = "a number greater than 0";
  return z.number({ error }).gt(0, { error })
    .max(max, { error: `a number of at most ${max}` }).meta({ description });
}

/** True or false. */
export function flag(description: string) {
  return z.boolean({ error: "true or false" }).meta({ description });
}

/** One of a few words. */
export function choice<const T extends readonly string[]>(description: string, words: T) {
  const error = `one of ${words.map((w) => `\`${w}\``).join(", ")}`;
  return z.enum(words, { error }).meta({ description });
}

/** A duration such as `1h30m`; milliseconds once parsed. */
export function duration(description: string, bounds: { minMs?: number; maxMs?: number } = {}) {
  const { minMs = 0, maxMs = MAX_DURATION_MS } = bounds;
  const error = "a duration with its unit, such as `500ms`, `30s`, `5m` or `1h30m`";
  return z.string({ error }).regex(DURATION, { error, abort: true })
    .refine((value) => {
      const ms = parseDuration(value);
      return ms !== undefined && ms >= minMs && ms <= maxMs;
    }, {
      error: minMs > 0
        ? `a duration of at least ${formatDuration(minMs)}`
        : "a duration of at most a year",
    })
    .meta({ description })
    .transform((value) => parseDuration(value) ?? 0);
}

/** A time with its zone, such as `2026-12-01T08:00:00Z`; milliseconds since the epoch once parsed. */
export function time(description: string) {
  const error = "a time with its zone, such as `2026-12-01T08:00:00Z`";
  return z.string({ error }).regex(TIME, { error, abort: true })
    .refine((value) => parseTime(value) !== undefined, { error: "a day and a time that exist" })
    .meta({ description })
    .transform((value) => parseTime(value) ?? 0);
}

const PRIORITY_WORDS = Object.keys(PRIORITIES) as [PriorityWord, ...PriorityWord[]];

/** A priority by number or by name; a number once parsed. */
export function priority(description: string) {
  const { min, max } = PRIORITY_RANGE;
  const error = `a whole number from ${min} to ${max}, or one of ${PRIORITY_WORDS.join(", ")}`;
  const number = z.int({ error }).min(min, { error }).max(max, { error });
  return z.union([number, z.enum(PRIORITY_WORDS, { error })], { error })
    .meta({ description }).transform(priorityOf);
}

/** Text, a number or a truth value, all of which become text (environment variables, labels). */
export function textual(description: string, wanted: string, pattern: RegExp, max: number) {
  return z.union([
    z.string().max(max, { error: wanted }).regex(pattern, { error: wanted }),
    z.number(),
    z.boolean(),
  ], { error: wanted }).meta({ description });
}
