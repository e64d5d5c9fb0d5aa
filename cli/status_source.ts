/**
 * Reads the status branch of a state repository, for the commands that only look.
 *
 * @module
 */
import { hash } from "node:crypto";
import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import type { Cluster } from "../cluster/cluster.ts";
import { parseCluster } from "../cluster/parse.ts";
import { parseYaml } from "../cluster/yaml.ts";
import { formatProblem } from "../jobs/problem.ts";
import type { JobStatus } from "../jobs/status.ts";
import { Git } from "../providers/git/git.ts";
import { GitStateRepository } from "../providers/git/repository.ts";
import { fileAt, MAX_MANIFEST_BYTES } from "../reconciler/files.ts";
import { HistoryReader, OUR_OWN } from "../reconciler/history.ts";
import type { StateRepository } from "../reconciler/ports.ts";

/** The jobs as the status branch has them, by name. */
export interface Snapshot {
  /** undefined: there is no status branch yet. */
  readonly commit: string | undefined;
  readonly jobs: readonly JobStatus[];
  /** Status files that could not be read: `file: why`. */
  readonly unreadable: readonly string[];
  /** What a person has to mend on the nodes: `node: type: message; fix: …`. */
  readonly toMend: readonly string[];
  /** undefined: it is not there, or not as UGRO writes it, so that nobody knows who waits. */
  readonly queue?: Queue | undefined;
  /** Head of the branch that people write; undefined: there is none. */
  readonly desired?: string | undefined;
}

/** `queue.yaml`: who waits, in order, the first of them. */
type Queue = z.infer<typeof QueueSchema>;

/** A job that waits. */
export type Listed = Queue["waiting"][number];

const QueueSchema = z.object({
  waiting: z.array(z.object({
    position: z.number(),
    job: z.string(),
    needs: z.string().optional(),
    reason: z.string(),
    message: z.string(),
    ahead: z.number().optional(),
    numbers: z.record(z.string(), z.number()).optional(),
    expectedStart: z.string().optional(),
    expectedBy: z.string().optional(),
    expectedUnknown: z.string().optional(),
  })),
  total: z.number(),
});

const NodesSchema = z.object({
  nodes: z.array(z.object({
    name: z.string(),
    conditions: z.array(z.object({ type: z.string(), message: z.string(), fix: z.string() }))
      .optional(),
  })),
});

/** Folder of the mirrors of the commands that look; the service has one of its own. */
const MIRRORS = ".ugro/look";

/**
 * Opens a state repository: a URL, a bare repository, or a clone, which stands for its `origin`.
 * `branch` is the one that people write. The caller closes it.
 */
export async function openRepository(
  repo: string,
  branch = "main",
): Promise<GitStateRepository> {
  const remote = await remoteOf(repo);
  const name = hash("sha256", remote).slice(0, 16);
  return new GitStateRepository({
    remote,
    branch,
    mirrorDir: resolve(MIRRORS, `${name}.git`),
    codeDir: resolve(MIRRORS, `${name}.code`),
    networkMs: 30_000,
  });
}

/** Fetches and reads the status branch. Throws when it cannot be had. */
export async function readSnapshot(state: StateRepository): Promise<Snapshot> {
  const heads = await state.refresh();
  if (heads.kind !== "ok") throw new Error(heads.reason);
  const { jobs, unreadable } = await new HistoryReader(state).read(heads.value.status, false);
  const byName = [...jobs.values()].toSorted((a, b) => a.name < b.name ? -1 : 1);
  const lines = [...unreadable].map(([name, why]) => `jobs/${name}.yaml: ${why}`);
  const ours = heads.value.status;
  return {
    commit: ours,
    jobs: byName,
    unreadable: lines,
    toMend: await readToMend(state, ours),
    queue: await readOurs(state, ours, "queue.yaml", QueueSchema),
    desired: heads.value.desired,
  };
}

/** The conditions of nodes. */
async function readToMend(state: StateRepository, commit: string | undefined): Promise<string[]> {
  const { nodes = [] } = await readOurs(state, commit, "cluster.yaml", NodesSchema) ?? {};
  return nodes.flatMap(({ name, conditions = [] }) =>
    conditions.map(({ type, message, fix }) => `${name}: ${type}: ${message}; fix: ${fix}`)
  );
}

/** A file of the status branch; undefined when it is not there, or not as UGRO writes it. */
async function readOurs<T>(
  state: StateRepository,
  commit: string | undefined,
  path: string,
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  const bytes = commit && await fileAt(state, commit, path, OUR_OWN.maxBytes);
  const read = bytes && parseYaml(path, bytes, OUR_OWN);
  return read && read.ok ? schema.safeParse(read.value.value).data : undefined;
}

/** The cluster that people declare at a commit, without which nobody has quotas or shares. */
export async function readCluster(
  state: StateRepository,
  commit: string | undefined,
): Promise<{ readonly cluster: Cluster | undefined; readonly problems: readonly string[] }> {
  const file = "cluster.yaml";
  const bytes = commit && await fileAt(state, commit, file, MAX_MANIFEST_BYTES);
  if (!bytes) {
    const why = `${file}: not found on the branch that people write, so that quotas, shares and ` +
      "limits are unknown (name the branch with --branch)";
    return { cluster: undefined, problems: [why] };
  }
  const parsed = parseCluster(file, bytes, { env: Deno.env.toObject() });
  if (parsed.ok) return { cluster: parsed.value, problems: [] };
  return { cluster: undefined, problems: parsed.problems.map(formatProblem) };
}

/** What git is to fetch from: for a clone its origin, for another folder its whole path. */
async function remoteOf(repo: string): Promise<string> {
  if (/^[^/]*:/.test(repo)) return repo;
  const path = await Deno.realPath(repo).catch(() => {
    throw new Error(`Cannot read ${repo}: no such folder (give a URL, or the path of a clone)`);
  });
  const git = new Git();
  try {
    const inside = await git.run({ args: ["-C", path, "rev-parse", "--git-dir"] });
    if (inside.code !== 0) {
      throw new Error(`Cannot read ${repo}: not a git repository (give --repo URL, or a clone)`);
    }
    const found = await git.run({ args: ["-C", path, "config", "--get", "remote.origin.url"] });
    const origin = new TextDecoder().decode(found.stdout).trim();
    if (origin === "") return path;
    return isAbsolute(origin) || /^[^/]*:/.test(origin) ? origin : join(path, origin);
  } finally {
    await git.close();
  }
}
