/**
 * Repositories that jobs take their code from: a bare mirror each, named by the hash of its
 * address. Only the revisions that were asked for are fetched, without history.
 *
 * @module
 */
import { hash } from "node:crypto";
import { join } from "node:path";
import type { Outcome } from "../../reconciler/ports.ts";
import { GitError } from "./error.ts";
import type { Git } from "./git.ts";
import { Mirror } from "./mirror.ts";
import { parseRemote, type Remote, RemoteError } from "./remote.ts";
import { OID } from "./tree.ts";
import { Turns } from "./turns.ts";

/** Settings of {@linkcode CodeMirrors}. */
export interface CodeOptions {
  readonly git: Git;
  /** Holds one folder per repository. */
  readonly dir: string;
  readonly networkMs: number;
  /** Whether a manifest may name a repository by a path on this machine. */
  readonly allowPaths: boolean;
}

interface Entry {
  readonly mirror: Mirror;
  readonly turns: Turns;
}

/** What `git fetch --unshallow` means, without its complaint about a mirror that is whole. */
const WHOLE_HISTORY = "--depth=2147483647";
/** Mirrors kept open; the folders of others stay and are opened again when needed. */
const MAX_OPEN = 64;
const REV = /^[A-Za-z0-9_][A-Za-z0-9_.\/+@#=-]{0,254}$/;

/** The mirrors of all code repositories. */
export class CodeMirrors {
  readonly #open = new Map<string, Entry>();

  constructor(private readonly options: CodeOptions) {}

  /** Tree id of a revision: a full commit id, a tag, a branch or a full ref name. */
  async resolve(url: string, rev: string): Promise<Outcome<string>> {
    const problem = revProblem(rev);
    if (problem !== undefined) {
      return { kind: "terminal", reason: `Cannot use rev ${JSON.stringify(rev)}: ${problem}` };
    }
    try {
      const remote = parseRemote(url);
      if (remote.kind === "path" && !this.options.allowPaths) {
        throw new RemoteError(`Cannot use code from ${remote.display}: use ssh:// or https://`);
      }
      const { mirror, turns } = await this.#entry(remote);
      return await turns.take(() =>
        resolveIn(mirror, rev).catch((error) => {
          mirror.doubt(false);
          throw error;
        })
      );
    } catch (error) {
      if (error instanceof RemoteError) return { kind: "terminal", reason: error.message };
      if (!(error instanceof GitError)) throw error;
      return { kind: error.uncertain ? "unknown" : "retryable", reason: error.message };
    }
  }

  /** The folder of the mirror that holds a tree. */
  async find(treeId: string): Promise<string | undefined> {
    const names: string[] = [];
    try {
      for await (const entry of Deno.readDir(this.options.dir)) {
        if (entry.isDirectory && /^[0-9a-f]{64}$/.test(entry.name)) names.push(entry.name);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    for (const name of names) {
      const gitDir = join(this.options.dir, name);
      const { code } = await this.options.git.run({
        gitDir,
        args: ["cat-file", "-e", `${treeId}^{tree}`],
      });
      if (code === 0) return gitDir;
    }
    return undefined;
  }

  /** Ends the processes of all mirrors. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ mirror }) => mirror.cat.close()));
  }

  async #entry(remote: Remote): Promise<Entry> {
    const key = hash("sha256", remote.url);
    const found = this.#open.get(key);
    this.#open.delete(key);
    const { git, dir, networkMs } = this.options;
    const entry = found ??
      { mirror: new Mirror({ git, dir: join(dir, key), remote, networkMs }), turns: new Turns() };
    this.#open.set(key, entry);
    const [oldest] = this.#open;
    if (this.#open.size > MAX_OPEN && oldest !== undefined) {
      this.#open.delete(oldest[0]);
      await oldest[1].turns.take(() => oldest[1].mirror.cat.close());
    }
    return entry;
  }
}

function revProblem(rev: string): string | undefined {
  if (!REV.test(rev)) return "write a branch, a tag or a full commit id";
  if (
    rev.includes("..") || rev.includes("@{") || rev.endsWith(".lock") || /\/$|\/\/|\/\./.test(rev)
  ) {
    return "it is not a valid branch or tag name";
  }
  return undefined;
}

async function resolveIn(mirror: Mirror, rev: string): Promise<Outcome<string>> {
  await mirror.open();
  if (OID.test(rev)) {
    const known = await treeOf(mirror, rev);
    if (known !== undefined) return { kind: "ok", value: known };
    await fetchCommit(mirror, rev);
    return found(await treeOf(mirror, rev), mirror, rev);
  }
  const refs = await mirror.remoteRefs(candidates(rev));
  const ref = candidates(rev).find((name) => refs.has(name));
  if (ref === undefined) {
    const hint = /^[0-9a-f]{4,39}$/.test(rev) ? "; a commit must be written in full" : "";
    const reason = `${mirror.remote.display} has no branch or tag "${rev}"${hint}`;
    return { kind: "terminal", reason };
  }
  const oid = refs.get(`${ref}^{}`) ?? refs.get(ref) ?? "";
  const known = await treeOf(mirror, oid);
  if (known !== undefined) return { kind: "ok", value: known };
  // The branch may have moved since: the ref, not the id, says what was fetched.
  await mirror.fetch([`+${ref}:${keep(oid)}`], ["--depth=1"]);
  return found(await treeOf(mirror, keep(oid)), mirror, rev);
}

function found(tree: string | undefined, mirror: Mirror, rev: string): Outcome<string> {
  if (tree !== undefined) return { kind: "ok", value: tree };
  return { kind: "terminal", reason: `${mirror.remote.display} has no commit "${rev}"` };
}

/** In git's own order: `refs/…` as written, tags, branches. */
function candidates(rev: string): string[] {
  if (rev === "HEAD") return ["HEAD"];
  const exact = rev.startsWith("refs/") ? [rev] : [];
  const names = [...exact, `refs/tags/${rev}`, `refs/heads/${rev}`];
  return names.flatMap((name) => [name, `${name}^{}`]);
}

const keep = (oid: string) => `refs/ugro/keep/${oid}`;

async function treeOf(mirror: Mirror, name: string): Promise<string | undefined> {
  const [info] = await mirror.cat.check([`${name}^{tree}`]);
  return info?.type === "tree" ? info.oid : undefined;
}

/** Some servers give out branches and tags only: then all of them are fetched, with history. */
async function fetchCommit(mirror: Mirror, oid: string): Promise<void> {
  try {
    await mirror.fetch([`+${oid}:${keep(oid)}`], ["--depth=1"]);
  } catch (error) {
    if (!(error instanceof GitError) || error.uncertain) throw error;
    await mirror.fetch(["+refs/heads/*:refs/ugro/heads/*", "+refs/tags/*:refs/ugro/tags/*"], [
      WHOLE_HISTORY,
    ]);
  }
}
