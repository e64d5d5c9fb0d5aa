/**
 * Reads the desired branch: cluster, defaults and manifests, each file once for each version of
 * it. What cannot be read is a problem with a place; it never takes anything else with it.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { Surroundings } from "../cluster/legacy.ts";
import { parseCluster } from "../cluster/parse.ts";
import { type Defaults, NO_DEFAULTS, parseDefaults } from "../jobs/defaults.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Problem } from "../jobs/problem.ts";
import { checkDependencies } from "./dependencies.ts";
import { MAX_MANIFEST_BYTES, problem, unreadable } from "./files.ts";
import type { Desired, InvalidJob } from "./model.ts";
import { type Manifest, ManifestReader, MAX_JOB_FILES, nameFrom } from "./manifests.ts";
import { Names } from "./names.ts";
import type { SecretStore, StateRepository, TreeEntry } from "./ports.ts";
import { SecretCheck } from "./secrets.ts";

/** Most problems that are kept. */
const MAX_PROBLEMS = 1000;

/** What reading gave. `value` is undefined while no valid cluster was ever seen. */
export interface DesiredRead {
  readonly value: Desired | undefined;
  readonly problems: readonly Problem[];
  /** For the log; empty when nothing new was read. */
  readonly notes: readonly { text: string; fields: Readonly<Record<string, unknown>> }[];
}

/** Reads the desired branch commit by commit. */
export class DesiredReader {
  readonly #manifests: ManifestReader;
  readonly #secrets: SecretCheck;
  #cluster: { oid: string; value: Cluster; problems: readonly Problem[] } | undefined;
  #defaults: { oid: string; value: Defaults; problems: readonly Problem[] } | undefined;
  #last: DesiredRead | undefined;
  #commit: string | undefined;
  #complete = false;

  constructor(
    private readonly repository: StateRepository,
    private readonly around: Surroundings,
    secrets?: SecretStore,
  ) {
    this.#manifests = new ManifestReader(repository);
    this.#secrets = new SecretCheck(secrets);
  }

  /**
   * The desired state at a commit; undefined (no such branch) keeps what was known. Files are read
   * once a version; whether secrets can be had may change without a commit, so it is asked anew.
   */
  async read(commit: string | undefined): Promise<DesiredRead> {
    const read = await this.#readFiles(commit);
    return read.value ? { ...read, value: await this.#secrets.mark(read.value) } : read;
  }

  async #readFiles(commit: string | undefined): Promise<DesiredRead> {
    if (commit === undefined) return this.#withoutBranch();
    if (commit === this.#commit && this.#complete && this.#last) {
      return { ...this.#last, notes: [] };
    }
    const entries = await this.repository.listTree(commit);
    const problems: Problem[] = [];
    const cluster = await this.#readCluster(entries, problems);
    const defaults = await this.#readDefaults(entries, problems);
    if (!cluster) {
      const read = { value: undefined, problems, notes: notesOf(commit, problems) };
      this.#remember(commit, read, true);
      return read;
    }
    const files = jobFiles(entries, problems);
    const manifests = await this.#manifests.read({
      commit,
      entries,
      files,
      cluster,
      defaults: defaults?.value ?? NO_DEFAULTS,
      context: `${this.#cluster?.oid} ${this.#defaults?.oid}`,
      // Without the defaults nobody knows what a job is: all manifests wait, nothing is stopped.
      blocked: defaults ? undefined : problems.at(-1),
    });
    const value = assemble(commit, cluster, manifests, problems, files.length === 0);
    const read = { value, problems: value.problems, notes: notesOf(commit, value.problems) };
    this.#remember(commit, read, manifests.every((m) => !m.transient));
    return read;
  }

  #remember(commit: string, read: DesiredRead, complete: boolean): void {
    this.#last = read;
    this.#commit = commit;
    this.#complete = complete;
  }

  #withoutBranch(): DesiredRead {
    const text = "the desired branch does not exist on the remote; what was known stays in force";
    const first = this.#commit !== undefined || this.#last === undefined;
    this.#commit = undefined;
    const notes = first ? [{ text, fields: {} }] : [];
    this.#last ??= { value: undefined, problems: [problem("cluster.yaml", text)], notes: [] };
    return { ...this.#last, notes };
  }

  async #readCluster(
    entries: readonly TreeEntry[],
    problems: Problem[],
  ): Promise<Cluster | undefined> {
    const file = "cluster.yaml";
    const found = await this.#file(entries, file, this.#cluster?.oid);
    if (found.oid !== undefined && found.oid === this.#cluster?.oid) {
      problems.push(...this.#cluster.problems);
      return this.#cluster.value;
    }
    if (!found.bytes) {
      problems.push(problem(file, found.why ?? "the repository has no cluster.yaml"));
      return this.#cluster?.value;
    }
    const parsed = parseCluster(file, found.bytes, this.around);
    if (!parsed.ok) {
      problems.push(...parsed.problems);
      return this.#cluster?.value;
    }
    this.#cluster = { oid: found.oid ?? "", value: parsed.value, problems: parsed.warnings };
    problems.push(...parsed.warnings);
    return parsed.value;
  }

  /** The defaults, those of before when the file is broken, or undefined when there are none. */
  async #readDefaults(
    entries: readonly TreeEntry[],
    problems: Problem[],
  ): Promise<{ value: Defaults } | undefined> {
    const file = "config/training_defaults.yaml";
    const found = await this.#file(entries, file, this.#defaults?.oid);
    if (found.oid === undefined && !found.why) {
      this.#defaults = undefined;
      return { value: NO_DEFAULTS };
    }
    if (this.#defaults && found.oid === this.#defaults.oid) {
      problems.push(...this.#defaults.problems);
      return this.#defaults;
    }
    if (!found.bytes) {
      problems.push(problem(file, found.why ?? ""));
      return this.#defaults;
    }
    const parsed = parseDefaults(file, found.bytes);
    if (!parsed.ok) {
      problems.push(...parsed.problems);
      return this.#defaults;
    }
    this.#defaults = { oid: found.oid ?? "", value: parsed.value, problems: parsed.warnings };
    problems.push(...parsed.warnings);
    return this.#defaults;
  }

  /** A file of the tree; `{}` when there is none, no bytes when it is the version `known`. */
  async #file(
    entries: readonly TreeEntry[],
    path: string,
    known: string | undefined,
  ): Promise<{ oid?: string; bytes?: Uint8Array; why?: string }> {
    const entry = entries.find((e) => e.path === path);
    if (!entry) return {};
    const why = unreadable(entry);
    if (why) return { why };
    if (entry.oid === known) return { oid: known };
    const bytes = (await this.repository.readBlobs([entry.oid], MAX_MANIFEST_BYTES)).get(entry.oid);
    return bytes ? { oid: entry.oid, bytes } : { why: "it cannot be read" };
  }
}

function jobFiles(entries: readonly TreeEntry[], problems: Problem[]): TreeEntry[] {
  const files = entries.filter((e) => /^jobs\/.+\.ya?ml$/s.test(e.path));
  if (files.length > MAX_JOB_FILES) {
    problems.push(problem("jobs", `${files.length} files; only ${MAX_JOB_FILES} are read`));
  }
  // Those past the limit go along unread: what they declare is unknown, and not gone.
  return files;
}

function assemble(
  commit: string,
  cluster: Cluster,
  manifests: readonly Manifest[],
  problems: Problem[],
  empty: boolean,
): Desired {
  const jobs = new Map<string, DesiredJob>();
  const broken: (InvalidJob & { readonly name: string })[] = [];
  const names = new Names();
  const clashes = new Set<string>();
  // Manifests that wait for one broken file share its problem; once is enough.
  const told = new Set(problems);
  for (const manifest of manifests) {
    problems.push(...manifest.problems.filter((p) => !told.has(p)));
    if (manifest.kind === "invalid") {
      broken.push(manifest);
      continue;
    }
    const { job } = manifest;
    const other = names.take(job.spec, job.file);
    const text = `the name ${other?.name} is taken by ${other?.file}`;
    const clash = `${job.file} ${text}`;
    if (!other) jobs.set(job.spec.name, job);
    else if (!clashes.has(clash)) {
      const found = problem(job.file, text, "give one of them another `name:`");
      problems.push(found);
      clashes.add(clash);
      // What runs of this file is not deleted: nobody has said so.
      broken.push({ name: nameFrom(job.file), file: job.file, problems: [found] });
    }
  }
  const invalid = invalidByName(broken, jobs);
  const found = checkDependencies(jobs.values(), (name) => mayBeOf(invalid, name));
  problems.push(...found.problems, ...found.warnings);
  for (const [name, message] of found.cycles) {
    const job = jobs.get(name);
    if (job) jobs.set(name, { ...job, blocked: { reason: "DependencyCycle", message } });
  }
  return { commit, cluster, jobs, invalid, problems: problems.slice(0, MAX_PROBLEMS), empty };
}

/**
 * Broken files by the name of the job that each seems to be about. All of them are kept, be the
 * name taken or not: the jobs that were last seen in such a file must not look deleted.
 */
function invalidByName(
  broken: readonly (InvalidJob & { readonly name: string })[],
  jobs: ReadonlyMap<string, unknown>,
): Map<string, InvalidJob> {
  const invalid = new Map<string, InvalidJob>();
  for (const manifest of broken) {
    let { name } = manifest;
    for (let i = 2; invalid.has(name) || jobs.has(name); i++) {
      name = `${manifest.name.slice(0, 50)}-file-${i}`;
    }
    invalid.set(name, manifest);
  }
  return invalid;
}

/** Whether a broken file may be about a job: it has its name, or the name of one of many. */
function mayBeOf(invalid: ReadonlyMap<string, unknown>, name: string): boolean {
  const parts = name.split("-");
  return parts.some((_, i) => invalid.has(parts.slice(0, i + 1).join("-")));
}

function notesOf(commit: string, problems: readonly Problem[]): DesiredRead["notes"] {
  return problems.slice(0, 50).map((p) => ({
    text: "problem in the state repository",
    fields: { commit: commit.slice(0, 12), file: p.file, line: p.line, problem: p.message },
  }));
}
