/**
 * Reads job manifests, each version of a file once: the cost of a commit follows what it changed.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import { showValue } from "../cluster/show.ts";
import type { Defaults } from "../jobs/defaults.ts";
import { specDigest } from "../jobs/digest.ts";
import type { Code, DesiredJob, JobSpec, NeededSecret } from "../jobs/job.ts";
import { parseManifest } from "../jobs/manifest.ts";
import type { Problem } from "../jobs/problem.ts";
import { MAX_MANIFEST_BYTES, problem, unreadable } from "./files.ts";
import type { StateRepository, TreeEntry } from "./ports.ts";

/** Most job files of a repository, and most jobs of all of them. */
export const MAX_JOB_FILES = 50_000;

/** One job of a manifest file as read, or a file that declares none. */
export type Manifest =
  | {
    readonly kind: "job";
    readonly job: DesiredJob;
    readonly problems: readonly Problem[];
    readonly transient: false;
  }
  | {
    readonly kind: "invalid";
    /** The job it seems to be about: the file's name. */
    readonly name: string;
    readonly file: string;
    readonly problems: readonly Problem[];
    /** True when the same file may be fine later (code that cannot be fetched now). */
    readonly transient: boolean;
  };

/** What manifests are read against. */
export interface ManifestSet {
  readonly commit: string;
  readonly entries: readonly TreeEntry[];
  readonly files: readonly TreeEntry[];
  readonly cluster: Cluster;
  readonly defaults: Defaults;
  /** Changes whenever cluster or defaults change. */
  readonly context: string;
  /** Set when no manifest can be understood now, and why. */
  readonly blocked: Problem | undefined;
}

interface Digested {
  readonly spec: JobSpec;
  readonly digest: string;
}

interface Cached {
  readonly context: string;
  readonly asked: readonly (readonly [string, boolean])[];
  readonly parsed:
    | { readonly jobs: readonly Digested[]; readonly warnings: readonly Problem[] }
    | { readonly problems: readonly Problem[] };
}

/** Reads manifests and keeps what it read, by path and blob. */
export class ManifestReader {
  #cache = new Map<string, Cached>();

  constructor(
    private readonly repository: StateRepository,
    private readonly maxJobs = MAX_JOB_FILES,
  ) {}

  /**
   * Reads all manifests of a commit, in the order of their paths: one entry a job, or one for a
   * file that declares none. A file whose jobs would be too many counts as not understood, so that
   * those of its jobs that run are left alone.
   */
  async read(set: ManifestSet): Promise<Manifest[]> {
    const paths = pathsOf(set.entries);
    const files = set.files.slice(0, this.maxJobs);
    const fresh = files.filter((entry) => !unreadable(entry) && !this.#hit(entry, set, paths));
    const blobs = await this.repository.readBlobs(fresh.map((e) => e.oid), MAX_MANIFEST_BYTES);
    const next = new Map<string, Cached>();
    const tooMany = new Set(set.files.slice(this.maxJobs).map(({ path }) => path));
    let jobs = 0;
    for (const entry of files) {
      const cached = this.#hit(entry, set, paths) ?? parse(entry, blobs, set, paths);
      const count = cached && "jobs" in cached.parsed ? cached.parsed.jobs.length : 0;
      if (jobs + count > this.maxJobs) tooMany.add(entry.path);
      else if (cached) next.set(keyOf(entry), cached);
      jobs += tooMany.has(entry.path) ? 0 : count;
    }
    this.#cache = next;
    const shared = {
      trees: new Map<string, Promise<CodeFound>>(),
      entries: new Entries(set.entries),
      tooMany,
    };
    const manifests = await Promise.all(
      set.files.map((entry) => this.#finish(entry, next.get(keyOf(entry)), set, shared)),
    );
    return manifests.flat();
  }

  #hit(entry: TreeEntry, set: ManifestSet, paths: ReadonlySet<string>): Cached | undefined {
    const cached = this.#cache.get(keyOf(entry));
    if (!cached || cached.context !== set.context) return undefined;
    return cached.asked.every(([path, answer]) => paths.has(path) === answer) ? cached : undefined;
  }

  async #finish(
    entry: TreeEntry,
    cached: Cached | undefined,
    set: ManifestSet,
    shared: Shared,
  ): Promise<Manifest[]> {
    const file = entry.path;
    const invalid = (problems: readonly Problem[], transient = false): Manifest[] => [{
      kind: "invalid",
      name: nameFrom(file),
      file,
      problems,
      transient,
    }];
    const why = unreadable(entry);
    if (why) return invalid([problem(file, why)]);
    if (shared.tooMany.has(file)) {
      const text = `with its jobs there are more than ${this.maxJobs}; none of them is read`;
      return invalid([problem(file, text, "remove manifests of jobs that have ended")]);
    }
    if (!cached) return invalid([problem(file, "its contents cannot be read")], true);
    if ("problems" in cached.parsed) return invalid(cached.parsed.problems);
    if (set.blocked) return invalid([set.blocked]);
    const { jobs, warnings } = cached.parsed;
    const found = await Promise.all(jobs.map(({ spec }) => this.#codeOf(spec, set, shared)));
    // All jobs of a file have the same code.
    const missing = found.find((code) => "why" in code);
    if (missing) return invalid([problem(file, missing.why)], missing.transient);
    return jobs.map(({ spec, digest }, i): Manifest => {
      const code = found[i];
      const secrets = neededSecrets(spec, shared.entries);
      const job: DesiredJob = {
        spec,
        file,
        specDigest: digest,
        codeDigest: code && "digest" in code ? code.digest : null,
        ...(secrets.length > 0 ? { secrets } : {}),
      };
      return { kind: "job", job, problems: i === 0 ? warnings : [], transient: false };
    });
  }

  #codeOf({ code }: JobSpec, { commit }: ManifestSet, { trees }: Shared): Promise<CodeFound> {
    const key = JSON.stringify(code);
    const finding = trees.get(key) ?? this.#findCode(code, commit);
    trees.set(key, finding);
    return finding;
  }

  async #findCode(code: Code, commit: string): Promise<CodeFound> {
    if (code.kind === "node") return { digest: null };
    if (code.kind === "repository") {
      const digest = await this.repository.treeId(commit, code.path);
      const why = `\`code:\` names the folder ${showValue(code.path)}, which does not exist`;
      return digest === undefined ? { why, transient: false } : { digest };
    }
    const found = await this.repository.resolveCode(code);
    if (found.kind === "ok") return { digest: found.value };
    return {
      why: `its code cannot be fetched: ${found.reason}`,
      transient: found.kind !== "terminal",
    };
  }
}

/** The secrets of a job with the blobs that hold them; a link or a submodule holds none. */
function neededSecrets(spec: JobSpec, entries: Entries): NeededSecret[] {
  return Object.entries(spec.secrets ?? {}).map(([name, source]) => {
    if (!("path" in source)) return { name, source };
    const entry = entries.at(source.path);
    return entry && !unreadable(entry) ? { name, source, blob: entry.oid } : { name, source };
  });
}

/** The files of a tree by path; sorted out when somebody asks for the first. */
class Entries {
  #byPath: ReadonlyMap<string, TreeEntry> | undefined;

  constructor(private readonly all: readonly TreeEntry[]) {}

  at(path: string): TreeEntry | undefined {
    this.#byPath ??= new Map(this.all.map((entry) => [entry.path, entry]));
    return this.#byPath.get(path);
  }
}

/** What the manifests of one commit look up together. */
interface Shared {
  readonly trees: Map<string, Promise<CodeFound>>;
  readonly entries: Entries;
  /** Paths of files whose jobs would be too many. */
  readonly tooMany: ReadonlySet<string>;
}

type CodeFound =
  | { readonly digest: string | null }
  | { readonly why: string; readonly transient: boolean };

function keyOf(entry: TreeEntry): string {
  return `${entry.oid} ${entry.path}`;
}

/** All files and all folders that hold them. */
function pathsOf(entries: readonly TreeEntry[]): ReadonlySet<string> {
  const paths = new Set<string>();
  for (const { path } of entries) {
    paths.add(path);
    for (let i = path.lastIndexOf("/"); i > 0; i = path.lastIndexOf("/", i - 1)) {
      const folder = path.slice(0, i);
      if (paths.has(folder)) break;
      paths.add(folder);
    }
  }
  return paths;
}

function parse(
  entry: TreeEntry,
  blobs: ReadonlyMap<string, Uint8Array>,
  set: ManifestSet,
  paths: ReadonlySet<string>,
): Cached | undefined {
  const bytes = blobs.get(entry.oid);
  if (!bytes) return undefined;
  const asked = new Map<string, boolean>();
  const result = parseManifest(entry.path, bytes, {
    cluster: set.cluster,
    defaults: set.defaults,
    hasPath: (path) => {
      const answer = paths.has(path);
      asked.set(path, answer);
      return answer;
    },
  });
  const known = { context: set.context, asked: [...asked] };
  if (!result.ok) return { ...known, parsed: { problems: result.problems } };
  const jobs = result.value.map((spec) => ({ spec, digest: specDigest(spec) }));
  return { ...known, parsed: { jobs, warnings: result.warnings } };
}

/** A job name made from a file's name, for files that do not say. */
export function nameFrom(file: string): string {
  const base = file.split("/").at(-1)?.replace(/\.ya?ml$/, "") ?? "";
  const name = base.toLowerCase().replace(/[^a-z0-9-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63);
  return name === "" ? "unnamed" : name.replace(/-+$/, "");
}
