/**
 * Reads the status branch of a state repository, for the commands that only look.
 *
 * @module
 */
import { hash } from "node:crypto";
import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { parseYaml } from "../cluster/yaml.ts";
import type { JobStatus } from "../jobs/status.ts";
import { Git } from "../providers/git/git.ts";
import { GitStateRepository } from "../providers/git/repository.ts";
import { fileAt } from "../reconciler/files.ts";
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
}

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
 * The caller closes it.
 */
export async function openRepository(repo: string): Promise<GitStateRepository> {
  const remote = await remoteOf(repo);
  const name = hash("sha256", remote).slice(0, 16);
  return new GitStateRepository({
    remote,
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
  const toMend = heads.value.status === undefined
    ? []
    : await readToMend(state, heads.value.status);
  return { commit: heads.value.status, jobs: byName, unreadable: lines, toMend };
}

/** The conditions of nodes; a file that is not as UGRO writes it has none. */
async function readToMend(state: StateRepository, commit: string): Promise<string[]> {
  const bytes = await fileAt(state, commit, "cluster.yaml", OUR_OWN.maxBytes);
  const read = bytes && parseYaml("cluster.yaml", bytes, OUR_OWN);
  const nodes = read?.ok ? NodesSchema.safeParse(read.value.value).data?.nodes ?? [] : [];
  return nodes.flatMap(({ name, conditions = [] }) =>
    conditions.map(({ type, message, fix }) => `${name}: ${type}: ${message}; fix: ${fix}`)
  );
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
