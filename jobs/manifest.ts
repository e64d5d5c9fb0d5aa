/**
 * Reads a job manifest.
 *
 * @example
 * // jobs/hello.yaml: `script: scripts/hello.py`
 * const parsed = parseManifest("jobs/hello.yaml", bytes, { defaults: {}, hasPath });
 * if (parsed.ok) parsed.value[0]?.name; // "hello"
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { Fields } from "../cluster/nodes.ts";
import { type Read, Report, topMap } from "../cluster/report.ts";
import type { Path } from "../cluster/show.ts";
import { didYouMean } from "../cluster/suggest.ts";
import { parseYaml } from "../cluster/yaml.ts";
import { fillArguments, type FillContext, texts } from "./arguments.ts";
import { type Defaults } from "./defaults.ts";
import { applySettings, expand, type Variant, writtenIn } from "./expand.ts";
import { readTemplate, trainingFlags } from "./flags.ts";
import type { CheckpointRule, JobName, JobSpec } from "./job.ts";
import { estimateGb } from "./memory.ts";
import { JOB_NAME, JOB_NAME_WORDS } from "./names.ts";
import { checkPermissions } from "./permissions.ts";
import type { Parsed } from "./problem.ts";
import { checkOneProgram, locate, type Located, type ProgramFields } from "./program.ts";
import { manifestShape } from "./schema.ts";
import { secretsOf, withoutValues } from "./secrets.ts";
import { mergeSections, SECTIONS, type Sections } from "./sections.ts";
import { checkResources, resourcesOf, type Timing, timingOf } from "./shapes.ts";

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
/** Most characters that the jobs of one manifest take together. */
const MAX_CHILDREN_SIZE = 32 * 1024 * 1024;

/** The jobs that a file declares, or everything that is wrong with the file. */
export function parseManifest(
  file: string,
  bytes: Uint8Array,
  context: ManifestContext,
): Parsed<readonly JobSpec[]> {
  const read = parseYaml(file, bytes);
  if (!read.ok) return read;
  const report = new Report(read.value);
  const top = topMap(report);
  if (top === undefined) return report.finish<readonly JobSpec[]>(noValue);
  const fields = report.fields(manifestShape, withoutValues(top, report), []);
  const name = nameOf(file, top, fields, report);
  checkOneProgram(top, report);
  checkNames(fields, context, report);
  checkResources(fields.resources, context.cluster, report);
  const timing = timingOf(fields, name, report);
  const variants = expand(name, top, fields, report) ?? [];
  if (variants.length > 1) checkApart(fields, variants.length, report);
  const jobs: JobSpec[] = [];
  for (const variant of variants) {
    const job = buildJob(variant, fields, timing, context, report);
    // What is wrong with one is most likely wrong with all.
    if (job === undefined) break;
    jobs.push(job);
    // Known after the first: many large ones are not even made.
    if (variants.length === 1 || sizeOf(job) * variants.length <= MAX_CHILDREN_SIZE) continue;
    const hint = "make fewer of them, or keep data in a file";
    report.problem([], `its ${variants.length} jobs are too large together`, hint);
    break;
  }
  return report.finish<readonly JobSpec[]>(() => jobs.length === 0 ? noValue() : jobs);
}

/** One job of a manifest; undefined once its problems are noted. */
function buildJob(
  variant: Variant,
  given: Partly,
  timing: Timing,
  context: ManifestContext,
  report: Report,
): JobSpec | undefined {
  const fields = applySettings(given, variant);
  const written = writtenIn(variant, report);
  const config = mergeSections(
    { training: context.cluster?.training ?? {} },
    context.defaults,
    pickSections(fields),
  );
  const { name: job, placeholders } = variant;
  const named = fields.schedule === undefined ? job : undefined;
  const filling: FillContext = { report, config, job: named, placeholders, written };
  const argv = fillArguments(fields.command, "command", filling);
  const args = fillArguments(fields.args, "args", filling);
  const flags = flagsOf(fields, written, report);
  const located = locate(fields as ProgramFields, argv, context, report);
  const checkpoint = checkpointOf(fields.checkpoint);
  const secrets = secretsOf(fields as Manifest, (path) => context.hasPath(path), report);
  if (!report.clean || located === undefined || checkpoint === undefined) return undefined;
  const full = fields as Manifest;
  const parts = {
    args: args ?? [],
    flags,
    config,
    checkpoint,
    ...(secrets === undefined ? {} : { secrets }),
    env: texts(full.env, "env", written),
  };
  return buildSpec(variant, full, located, { ...parts, ...timing }, context);
}

/** What one job of many takes in the controller. */
function sizeOf({ args, flags, config, program, env }: JobSpec): number {
  return JSON.stringify([args, flags, config, program, env]).length;
}

/** Jobs of one manifest that share a folder would go on from each other's checkpoints. */
function checkApart(fields: Partly, count: number, report: Report): void {
  const dir = fields.checkpoint?.dir;
  if (dir === undefined || dir.includes("{job}")) return;
  const message = `\`checkpoint.dir\` is one folder for ${count} jobs`;
  report.problem(["checkpoint", "dir"], message, "add `/{job}` to it");
}

function noValue(): never {
  throw new Error("Cannot build a job: the file has problems");
}

type Parts =
  & Pick<JobSpec, "args" | "flags" | "config" | "checkpoint" | "env">
  & Partial<Pick<JobSpec, "secrets">>
  & Timing;

function buildSpec(
  { name, parent }: Variant,
  full: Manifest,
  { program, code }: Located,
  parts: Parts,
  context: ManifestContext,
): JobSpec {
  const { owner, workdir, activate, maxDuration, recovery } = full;
  const resources = resourcesOf(full.resources);
  const estimatedGb = estimateGb(parts.config, resources);
  return {
    name: name as JobName,
    ...(parent === undefined ? {} : { parent }),
    ...(owner === undefined ? {} : { owner }),
    queue: full.queue,
    priority: full.priority,
    state: full.state,
    rerun: full.rerun,
    resources,
    ...(estimatedGb === undefined ? {} : { estimatedGb }),
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
  const { owner, priority = 0 } = fields;
  // A queue that is not understood is a problem of its own.
  if (queue !== undefined) checkPermissions({ owner, queue, priority }, cluster, report);
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

function flagsOf(fields: Partly, written: FillContext["written"], report: Report): string[] {
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
  const below = (path: Path) => written(["training", ...path]);
  return trainingFlags(training, style, below, (path, message, hint) => {
    report.problem(["training", ...path], message, hint, "key");
  });
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
