/**
 * The parts of a manifest's schema that say when it runs, and how many jobs it makes.
 *
 * @module
 */
import { z } from "zod";
import { choice, duration, list, map, record, text, textual } from "../cluster/fields.ts";
import { wholeNumber } from "../cluster/fields.ts";
import { ENV_VALUE } from "../cluster/patterns.ts";
import { JOB_NAME } from "./names.ts";

/** The most jobs of one manifest. */
export const MAX_CHILDREN = 1000;
const MAX_NODES = 10_000;
const MAX_AFTER = 100;
const MAX_KEYS = 16;

const NODES_WORDS = `a whole number from 1 to ${MAX_NODES}, or two such as \`1..4\``;
/** `nodes: 2`, or `nodes: 1..4`. */
export const nodesSchema = z.union([
  z.int({ error: NODES_WORDS }).min(1, { error: NODES_WORDS })
    .max(MAX_NODES, { error: NODES_WORDS }),
  z.string({ error: NODES_WORDS }).regex(/^[1-9]\d{0,4}\.\.[1-9]\d{0,4}$/, { error: NODES_WORDS }),
], { error: NODES_WORDS }).meta({
  description: "Machines. `1..4`: at least 1, and up to 4 while nobody else can use them.",
});

const AFTER_WORDS = "the name of a job, or `{job: NAME, when: success}`";
const dependencyName = z.string({ error: AFTER_WORDS }).max(63, { error: AFTER_WORDS })
  .regex(JOB_NAME, { error: AFTER_WORDS });
const dependencyMap = map({
  job: dependencyName.meta({ description: "Name of the job, or of a manifest of many jobs." }),
  when: choice("How it must have ended.", ["success", "failure", "any"]).prefault("success"),
});
const dependency = z.union([dependencyName, dependencyMap], { error: AFTER_WORDS });
/** `after: prep`, `after: {job: prep, when: any}`, or a list of such. */
export const afterSchema = z.union([
  dependencyName,
  dependencyMap,
  list(dependency, MAX_AFTER),
], { error: `${AFTER_WORDS}, or a list of them` })
  .meta({ description: "Jobs that must have ended before; with success unless `when` says." });

/** One value of a matrix. */
const scalar = textual("One value.", "text, a number, true or false", ENV_VALUE, 4096);
const MATRIX_KEY =
  /^(?!.*(?:^|\.)__proto__(?:\.|$))[A-Za-z_][A-Za-z0-9_-]{0,63}(?:\.[A-Za-z_][A-Za-z0-9_-]{0,63}){0,7}$/;
/** `matrix: {lr: [0.1, 0.2], model.name: [a, b]}`. */
export const matrixSchema = record(
  MATRIX_KEY,
  "a parameter such as `lr`, `optimizer.name` or `env.NAME`",
  list(scalar, MAX_CHILDREN).min(1, { error: "a list of at least one value" }),
).refine((matrix) => Object.keys(matrix).length > 0, { error: "a map of parameters to lists" })
  .refine((matrix) => Object.keys(matrix).length <= MAX_KEYS, {
    error: `a map of at most ${MAX_KEYS} parameters`,
  })
  .meta({ description: "Lists of values: one job for each combination." });

const ARRAY_WORDS = `a whole number from 1 to ${MAX_CHILDREN}, or two such as \`3-7\``;
/** `array: 10` (0 to 9), or `array: 3-7`. */
export const arraySchema = z.union([
  z.int({ error: ARRAY_WORDS }).min(1, { error: ARRAY_WORDS })
    .max(MAX_CHILDREN, { error: ARRAY_WORDS }),
  z.string({ error: ARRAY_WORDS })
    .regex(/^(?:0|[1-9]\d{0,5})-(?:0|[1-9]\d{0,5})$/, { error: ARRAY_WORDS }),
], { error: ARRAY_WORDS }).meta({
  description: "One job for each number: `10` is 0 to 9, `3-7` is 3 to 7; see `{array.index}`.",
});

const CRON_WORDS =
  "five fields (minute, hour, day of the month, month, day of the week), such as " +
  "`0 3 * * *`";
// `?` is the time at which it is read to some; six fields would be seconds.
const FIELD = "[0-9A-Za-z*,/#-]{1,100}";
const cronText = text(
  "Five fields: minute, hour, day of the month, month, day of the week.",
  CRON_WORDS,
  new RegExp(`^ *${FIELD}(?: +${FIELD}){4} *$`),
  200,
);
/** `schedule: "0 3 * * *"`, or a map. */
export const scheduleSchema = z.union([
  cronText,
  map({
    cron: cronText,
    timezone: text(
      "Name of a time zone.",
      "a time zone such as `Europe/Berlin`",
      /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/,
      64,
    ).prefault("UTC"),
    concurrency: choice(
      "When the run before is still there: `forbid` waits for its end, `replace` stops it.",
      ["allow", "forbid", "replace"],
    ).prefault("forbid"),
    keep: wholeNumber("Finished runs that stay listed.", { min: 0, max: 100 }).prefault(3),
    startWithin: duration("A run that cannot begin within this time is left out.", { minMs: 1 })
      .prefault("1h"),
  }),
], { error: `${CRON_WORDS}, or a map with \`cron\`` })
  .meta({ description: "Runs of the job at fixed times." });
