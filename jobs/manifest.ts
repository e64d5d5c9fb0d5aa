/**
 * Reads a job manifest.
 *
 * @example
 * // jobs/hello.yaml: `script: scripts/hello.py`
 * const parsed = parseManifest("jobs/hello.yaml", bytes, { defaults: {}, hasPath });
 * if (parsed.ok) parsed.value.name; // "hello"
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { Fields } from "../cluster/nodes.ts";
import { type Read, Report, topMap } from "../cluster/report.ts";
import { didYouMean } from "../cluster/suggest.ts";
import { parseYaml } from "../cluster/yaml.ts";
import { fillArguments, type FillContext, texts } from "./arguments.ts";
import { type Defaults } from "./defaults.ts";
import { readTemplate, trainingFlags } from "./flags.ts";
import type { CheckpointRule, JobName, JobSpec, Resources, SecretSource } from "./job.ts";
import { priorityOf } from "./priority.ts";
import type { Parsed } from "./problem.ts";
import { checkOneProgram, locate, type Located, type ProgramFields } from "./program.ts";
import { JOB_NAME, JOB_NAME_WORDS, manifestShape } from "./schema.ts";
import { secretsOf, withoutValues } from "./secrets.ts";
import { mergeSections, SECTIONS, type Sections } from "./sections.ts";

/** What a manifest is read against. */
export interface ManifestContext {
  readonly defaults: Defaults;
  /** Absent while `cluster.yaml` is missing or wrong: then names in it are not checked. */
  readonly cluster?: Cluster;
  /** Whether a file or folder exists in the state repository at the manifest's commit. */
  hasPath(path: string): boolean;
}

type Manifest = Fields<typeof manifestShape>;
type Partly = Read<typeof manifestShape>;

const DEFAULT_GRACE_MS = 30_000;

/** The job that a file declares, or everything that is wrong with the file. */
export function parseManifest(
  file: string,
  bytes: Uint8Array,
  context: ManifestContext,
): Parsed<JobSpec> {
  const read = parseYaml(file, bytes);
  if (!read.ok) return read;
  const report = new Report(read.value);
  const top = topMap(report);
  if (top === undefined) return report.finish<JobSpec>(noValue);
  const fields = report.fields(manifestShape, withoutValues(top, report), []);
  const name = nameOf(file, top, fields, report);
  const config = mergeSections(
    { training: context.cluster?.training ?? {} },
    context.defaults,
    pickSections(fields),
  );
  checkOneProgram(top, report);
  checkNames(fields, context, report);
  const filling: FillContext = { report, config, job: name };
  const argv = fillArguments(fields.command, "command", filling);
  const args = fillArguments(fields.args, "args", filling);
  const flags = flagsOf(fields, report);
  const located = locate(fields as ProgramFields, argv, context, report);
  const checkpoint = checkpointOf(fields.checkpoint);
  const secrets = secretsOf(fields as Manifest, (path) => context.hasPath(path), report);
  return report.finish<JobSpec>(() => {
    if (located === undefined || checkpoint === undefined) return noValue();
    const full = fields as Manifest;
    const given = secrets === undefined ? {} : { secrets };
    const parts = { args: args ?? [], flags, config, checkpoint, ...given };
    return buildSpec(name as JobName, full, located, parts, context, report);
  });
}

function noValue(): never {
  throw new Error("Cannot build a job: the file has problems");
}

interface Parts {
  readonly args: readonly string[];
  readonly flags: readonly string[];
  readonly config: Sections;
  readonly checkpoint: CheckpointRule;
  readonly secrets?: Readonly<Record<string, SecretSource>>;
}

function buildSpec(
  name: JobName,
  full: Manifest,
  { program, code }: Located,
  parts: Parts,
  context: ManifestContext,
  report: Report,
): JobSpec {
  const { owner, workdir, activate, maxDuration, recovery } = full;
  return {
    name,
    ...(owner === undefined ? {} : { owner }),
    queue: full.queue,
    priority: priorityOf(full.priority),
    state: full.state,
    rerun: full.rerun,
    resources: resourcesOf(full.resources),
    program,
    code,
    ...parts,
    written: {
      args: full.args,
      flags: full.flags,
      ...(full.command === undefined ? {} : { command: full.command }),
      ...pickSections(full),
    },
    ...(workdir === undefined ? {} : { workdir }),
    env: texts(full.env, "env", report),
    ...(activate === undefined ? {} : { activate }),
    launcher: full.launcher ?? (program.kind === "command" ? "processes" : "torchrun"),
    recovery: {
      maxRetries: recovery.maxRetries,
      backoffMs: recovery.backoff,
      maxBackoffMs: recovery.maxBackoff,
    },
    graceMs: full.grace ?? context.cluster?.policy.graceMs ?? DEFAULT_GRACE_MS,
    ...(maxDuration === undefined ? {} : { maxDurationMs: maxDuration }),
  };
}

function nameOf(file: string, top: object, fields: Partly, report: Report): string {
  if (fields.name !== undefined) return fields.name;
  const base = file.slice(file.lastIndexOf("/") + 1).replace(/\.ya?ml$/i, "");
  if ("name" in top || JOB_NAME.test(base)) return base;
  const better = base.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "")
    .slice(0, 63).replace(/-$/, "");
  const hint = `rename the file, or write \`name: ${better || "my-job"}\``;
  report.problem([], `the file's name is not ${JOB_NAME_WORDS}`, hint);
  return base;
}

function checkNames(fields: Partly, context: ManifestContext, report: Report): void {
  const { cluster } = context;
  if (cluster === undefined) return;
  const queues = [...new Set(["default", ...cluster.queues.map((queue) => queue.name)])];
  const { queue, activate } = fields;
  if (queue !== undefined && !queues.includes(queue)) {
    const hint = didYouMean(queue, queues);
    report.problem(["queue"], `no queue is named \`${queue}\``, hint);
  }
  const environments = Object.keys(cluster.environments);
  if (activate !== undefined && !environments.includes(activate)) {
    const hint = didYouMean(activate, environments) ??
      "list it under `environments:` of cluster.yaml";
    report.problem(["activate"], `no environment is named \`${activate}\``, hint);
  }
}

function pickSections(fields: Partly): Sections {
  return Object.fromEntries(
    SECTIONS.flatMap((section) =>
      fields[section] === undefined ? [] : [[section, fields[section]]]
    ),
  );
}

function flagsOf(fields: Partly, report: Report): string[] {
  const { flags: given, training = {} } = fields;
  if (given === undefined) return [];
  const { template, booleans } = typeof given === "string"
    ? { template: given, booleans: undefined }
    : given;
  const style = readTemplate(template, booleans);
  if (typeof style === "string") {
    const message = `\`flags\` must be a template such as \`--{name} {value}\`, or \`none\``;
    report.problem(typeof given === "string" ? ["flags"] : ["flags", "template"], message, style);
    return [];
  }
  if (style === undefined) return [];
  const written = (path: readonly PropertyKey[]) => report.source.written(["training", ...path]);
  return trainingFlags(training, style, written, (path, message, hint) => {
    report.problem(["training", ...path], message, hint, "key");
  });
}

function resourcesOf(given: Manifest["resources"]): Resources {
  return {
    ...given,
    nodeSelector: Object.fromEntries(
      Object.entries(given.nodeSelector).map(([key, value]) => [key, String(value)]),
    ),
  };
}

function checkpointOf(given: Partly["checkpoint"]): CheckpointRule | undefined {
  if (given === undefined) return undefined;
  const { resume, dir, marker, pattern, neededBy } = given;
  const resumeArgs = typeof resume === "string" ? resume.split(/\s+/).filter(Boolean) : resume;
  return {
    pattern,
    resumeArgs,
    neededBy,
    ...(dir === undefined ? {} : { dir }),
    ...(marker === undefined ? {} : { marker }),
  };
}
