/**
 * The schema of a job manifest. Descriptions are what editors show; see `schemas/`.
 *
 * @module
 */
import { z } from "zod";
import { choice, duration, flag, line, list, map, priority, record } from "../cluster/fields.ts";
import { positiveNumber, text, textual, time, wholeNumber } from "../cluster/fields.ts";
import { ENV_NAME, ENV_NAME_WORDS, ENV_VALUE, LABEL_KEY } from "../cluster/patterns.ts";
import { NODE_PATH, NODE_PATH_WORDS, PERSON, WORD } from "../cluster/patterns.ts";
import { idleSchema } from "../cluster/queue_schema.ts";
import { envSchema, labelsSchema } from "../cluster/schema.ts";
import { JOB_NAME, JOB_NAME_WORDS } from "./names.ts";
import { type Section, SECTIONS } from "./sections.ts";
import { afterSchema, arraySchema, matrixSchema, MAX_CHILDREN } from "./shape_schema.ts";
import { nodesSchema, scheduleSchema } from "./shape_schema.ts";

export { JOB_NAME } from "./names.ts";

/** What nobody sees in a line: control characters, and marks that reorder it. */
const UNSEEN = String.raw`\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069`;
const PATH = new RegExp(String.raw`^(?!-)(?!.*(?:^|/)\.\.(?:/|$))[^${UNSEEN}\\]+$`);
const PATH_WORDS = "a path without `..` and `\\` that does not begin with `-`";
const GIT_URL =
  /^(?:https:\/\/[^\s@/]+\/\S+|ssh:\/\/(?!-)(?:[^\s:@/]+@)?[A-Za-z0-9[][^\s:@]*(?::\d+)?\/\S+|file:\/\/\/\S+|\w[\w.-]*@[A-Za-z0-9][\w.-]*:[^\s-]\S*)$/;
const REVISION = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$/;

/** A list of arguments: text, numbers or truth values. */
const argumentList = (description: string, max = 1000) =>
  list(textual("One argument.", "text, at most 32 KiB", ENV_VALUE, 32_768), max)
    .meta({ description });

const contentSchema = z.record(z.string(), z.unknown(), { error: "a map of `key: value` lines" });
const SECTION_WORDS: Readonly<Record<Section, string>> = {
  model: "The model; free content.",
  dataset: "The data; free content.",
  training: "Training parameters; in a manifest each becomes a flag of the script (see `flags`).",
  optimizer: "The optimizer; free content.",
  lora: "LoRA; free content.",
  quantization: "Quantization; free content.",
  logging: "Logging; free content.",
};

/** `model`, `training` and the others: free content, all optional. */
export const sectionsShape = Object.fromEntries(
  SECTIONS.map((name) => [
    name,
    contentSchema.meta({ description: SECTION_WORDS[name] }).exactOptional(),
  ]),
) as Record<Section, z.ZodExactOptional<typeof contentSchema>>;

/** `config/training_defaults.yaml`. */
export const defaultsSchema = map(sectionsShape).meta({
  title: "UGRO training defaults",
  description: "What the configuration of every job begins with. Manifests go over it.",
});

const SHARE_WORDS = "a number between 0 and 1, such as 0.25";
const resourcesSchema = map({
  nodes: nodesSchema.prefault(1),
  gpusPerNode: wholeNumber(
    "GPUs, and so ranks, on each machine. On a machine without GPUs a rank takes a CPU slot.",
    { min: 1 },
  ).max(64, { error: "at most 64" }).prefault(1),
  vramGb: positiveNumber("Memory that each GPU must have, in GB.").exactOptional(),
  gpuModel: line("Model that each GPU must be, such as `RTX 4090`.", 100).exactOptional(),
  nodeSelector: labelsSchema.meta({ description: "Labels that each machine must have." })
    .prefault({}),
  cpuCores: wholeNumber("CPU cores that each machine must have.", { min: 1, max: 10_000 })
    .exactOptional(),
  ramGb: positiveNumber("Main memory that each machine must have, in GB.").exactOptional(),
  gpuShare: z.number({ error: SHARE_WORDS }).gt(0, { error: SHARE_WORDS })
    .lt(1, { error: SHARE_WORDS })
    .meta({ description: "Part of one GPU; others that share may run on the rest." })
    .exactOptional(),
  mixedGpus: flag("Its GPUs may be of different models or sizes; the weakest sets the pace.")
    .exactOptional(),
  within: text(
    "A label of which all its machines must have the same value, such as `rack`.",
    "the key of a label",
    LABEL_KEY,
  ).exactOptional(),
});

const CODE_WORDS = "`node`, `{repository: FOLDER}` or `{git: URL, rev: REVISION}`";
const codeSchema = z.union([
  z.literal("node", { error: CODE_WORDS }),
  map({ repository: text("Folder of the state repository; `.` is all of it.", PATH_WORDS, PATH) }),
  map({
    git: text("A repository, without a password in it.", "an https or ssh git address", GIT_URL),
    rev: text("Branch, tag or commit.", "a branch, tag or commit", REVISION),
  }),
], { error: CODE_WORDS });

const TEMPLATE_WORDS = "a template such as `--{name} {value}`, or `none`";
const templateSchema = z.string({ error: TEMPLATE_WORDS }).max(200, { error: TEMPLATE_WORDS });
const flagsSchema = z.union([
  templateSchema,
  map({
    template: templateSchema.meta({ description: "The template." }),
    booleans: choice("`bare`: `--flag` for true, nothing for false; `value`: `--flag true`.", [
      "bare",
      "value",
    ]).exactOptional(),
  }),
], { error: TEMPLATE_WORDS });

/** A check that no other placeholders are used. */
function onlyPlaceholders(...known: string[]): [(text: string) => boolean, { error: string }] {
  const shown = known.map((name) => `\`{${name}}\``).join(" and ");
  const error = `text with no placeholders but ${shown}`;
  const fits = (text: string) =>
    [...text.matchAll(/\{([^{}]*)\}/g)].every(([, name = ""]) => known.includes(name));
  return [fits, { error }];
}

const RESUME_WORDS = "arguments such as `--resume-from {path}`, as text or a list";
const resumeText = z.string({ error: RESUME_WORDS }).max(4096, { error: RESUME_WORDS })
  .refine(...onlyPlaceholders("path", "step"));
const checkpointSchema = map({
  dir: text("Folder on the nodes; `{job}` is replaced.", NODE_PATH_WORDS, NODE_PATH)
    .refine(...onlyPlaceholders("job")).exactOptional(),
  pattern: text(
    "Name of one checkpoint with `*` for the step.",
    "a file name with exactly one `*`, such as `step-*`",
    new RegExp(String.raw`^(?!-)[^*/${UNSEEN}]*\*[^*/${UNSEEN}]*$`),
    200,
  ).prefault("step-*"),
  marker: text("File that a complete checkpoint folder holds.", PATH_WORDS, PATH, 200)
    .regex(/^[^/]/, { error: "a path inside the checkpoint folder" }).exactOptional(),
  resume: z.union([resumeText, list(resumeText, 100)], { error: RESUME_WORDS }).meta({
    description: "Arguments that resume from a checkpoint; `{path}` and `{step}` are replaced.",
  }).prefault([]),
  neededBy: choice("Who must have the checkpoint.", ["all", "rank0"]).prefault("all"),
});

const recoverySchema = map({
  maxRetries: wholeNumber("Retries after failures.", { min: 0, max: 1000 }).prefault(3),
  backoff: duration("Wait before the first retry; it doubles.").prefault("10s"),
  maxBackoff: duration("The longest wait.").prefault("5m"),
});

/** The most secrets of one job. */
const MAX_SECRETS = 64;
/** The words for the source of a secret. */
export const SECRET_WORDS =
  "`{env: NAME}`, `{file: NAME}`, `{age: PATH}` or `{sops: PATH, key: KEY.IN.IT}`";
// Exactly as git lists it: relative, without empty parts, `.` or `..`.
const TREE_PATH = String.raw`^(?![-~])(?!.*(?:^|/)\.{0,2}(?:/|$))[^${UNSEEN}\\]+`;
const TREE_PATH_WORDS = "the path of a file of the state repository, such as `secrets/db.age`";
const SECRET_KEY = new RegExp(String.raw`^[^.${UNSEEN}]+(?:\.[^.${UNSEEN}]+){0,31}$`);
const secretSchema = z.union([
  map({
    env: text(
      "Rest of the name of a variable of the controller: `NAME` is its `UGRO_SECRET_NAME`.",
      "a name of letters, digits and `_`, without `UGRO_SECRET_` before it",
      ENV_NAME,
    ),
  }),
  map({
    file: text(
      "File in the controller's secrets folder.",
      "the name of a file, without a folder",
      /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/,
    ),
  }),
  map({
    age: text(
      "File of the state repository that `age` wrote.",
      TREE_PATH_WORDS,
      new RegExp(`${TREE_PATH}$`),
    ),
  }),
  map({
    sops: text(
      "File of the state repository that SOPS wrote for age.",
      `${TREE_PATH_WORDS.replace(".age", ".yaml")}, that ends in .yaml, .yml or .json`,
      new RegExp(String.raw`${TREE_PATH}\.(?:ya?ml|json)$`),
    ),
    key: text("Where the value is in it.", "keys with dots between, `hf.token`", SECRET_KEY, 1000),
  }),
], { error: SECRET_WORDS });
const secretsSchema = record(ENV_NAME, ENV_NAME_WORDS, secretSchema)
  .refine((secrets) => Object.keys(secrets).length <= MAX_SECRETS, {
    error: `a map of at most ${MAX_SECRETS} secrets`,
  })
  .meta({ description: "Variables for every rank whose values are kept elsewhere." });

/** Every key of a manifest. */
export const manifestShape = {
  name: text("Name of the job; default: the file's name.", JOB_NAME_WORDS, JOB_NAME, 63)
    .exactOptional(),
  owner: text("Whose job it is.", "a login or mail address", PERSON).exactOptional(),
  queue: text("Queue of `cluster.yaml`.", "the name of a queue", WORD).prefault("default"),
  priority: priority("Higher goes first.").prefault(0),
  state: choice("What you want of it.", ["running", "suspended", "cancelled"]).prefault("running"),
  rerun: wholeNumber("Raise it to run a finished job again.", { min: 0 }).prefault(0),
  resources: resourcesSchema.meta({ description: "What the job needs." }).prefault({}),
  script: text("Training script.", PATH_WORDS, PATH).exactOptional(),
  module: text("Python module, run as `python -m` does.", "a module", /^[A-Za-z_]\w*(?:\.\w+)*$/)
    .exactOptional(),
  command: list(textual("One word.", "text", ENV_VALUE, 32_768), 1000)
    .min(1, { error: "a list that begins with a program" })
    .meta({ description: "Program and arguments; no shell reads them." }).exactOptional(),
  code: codeSchema.meta({ description: "Where the code comes from; default: where it is found." })
    .exactOptional(),
  args: argumentList("Arguments after the flags; `{training.lr}` and `{job}` are replaced.")
    .prefault([]),
  flags: flagsSchema.meta({ description: "How parameters of `training` become arguments." })
    .prefault("--{name} {value}"),
  ...sectionsShape,
  workdir: text("Working folder; relative ones begin at the code.", PATH_WORDS, PATH)
    .exactOptional(),
  env: envSchema.prefault({}),
  secrets: secretsSchema.exactOptional(),
  activate: text("Environment of `cluster.yaml`.", "the name of an environment", WORD)
    .exactOptional(),
  launcher: choice("`processes` starts ranks without torchrun.", ["torchrun", "processes"])
    .exactOptional(),
  checkpoint: checkpointSchema.meta({ description: "Checkpoints and how to resume." }).prefault({}),
  recovery: recoverySchema.meta({ description: "What happens after a failure." }).prefault({}),
  grace: duration("Time between SIGTERM and SIGKILL.").exactOptional(),
  maxDuration: duration("The job is stopped after this time.", { minMs: 1 }).exactOptional(),
  after: afterSchema.exactOptional(),
  startAfter: time("It is not launched before.").exactOptional(),
  deadline: time("It must have ended by then, or is stopped and has failed.").exactOptional(),
  idle: idleSchema.exactOptional(),
  matrix: matrixSchema.exactOptional(),
  array: arraySchema.exactOptional(),
  maxParallel: wholeNumber("Most jobs of this manifest at once.", { min: 1, max: MAX_CHILDREN })
    .exactOptional(),
  schedule: scheduleSchema.exactOptional(),
};

/** A whole manifest; parsing goes field by field, editors get the whole. */
export const manifestSchema = map(manifestShape).meta({
  title: "UGRO job",
  description: "A training job. One of `script`, `module` and `command` is needed.",
});
