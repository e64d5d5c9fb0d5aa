/**
 * Commits by plumbing: one `git fast-import` writes the changed blobs, the trees and the commit,
 * without a work tree or an index. Unchanged files keep their ids from the base tree, so the cost
 * follows what changed.
 *
 * @module
 */
import type { TreeEntry } from "../../reconciler/ports.ts";
import { OID } from "./cat_file.ts";
import { type Git, GitError } from "./git.ts";
import { blobId, pathProblem } from "./tree.ts";

/** What a commit changes against its base. */
export interface Changes {
  /** Path to new contents. */
  readonly written: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

/** A commit to write. */
export interface NewCommit {
  readonly parent: string | undefined;
  readonly changes: Changes;
  readonly message: string;
  /** `Name <address>`. */
  readonly author: string;
  readonly atMs: number;
}

/** Holds the commit until it is pushed. */
const CANDIDATE = "refs/ugro/candidate";
/** Most bytes that one commit may write. */
const MAX_BYTES = 256 * 1024 * 1024;
const encoder = new TextEncoder();

/** What is wrong with a set of files, or undefined. */
export function filesProblem(files: ReadonlyMap<string, string>): string | undefined {
  for (const path of files.keys()) {
    const problem = pathProblem(path);
    if (problem !== undefined) return `path ${JSON.stringify(path)}: ${problem}`;
    for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
      if (files.has(path.slice(0, at))) {
        return `path ${JSON.stringify(path)}: "${path.slice(0, at)}" is a file as well`;
      }
    }
  }
  return undefined;
}

/** Compares files with a listing, `keep` aside. `idOf` gives a text's blob id (and may remember it). */
export function changesAgainst(
  base: readonly TreeEntry[],
  files: ReadonlyMap<string, string>,
  idOf: (path: string, text: string) => string,
  keep: readonly string[] = [],
): Changes {
  const before = new Map(base.map((entry) => [entry.path, entry]));
  for (const path of keep) if (!files.has(path)) before.delete(path);
  const written = new Map<string, string>();
  for (const [path, text] of files) {
    const entry = before.get(path);
    before.delete(path);
    if (entry?.mode !== "100644" || entry.oid !== idOf(path, text)) written.set(path, text);
  }
  return { written, removed: [...before.keys()] };
}

/** The listing after changes that add and remove nothing; undefined: git must list it. */
export function listingAfter(
  base: readonly TreeEntry[],
  changes: Changes,
  idOf: (path: string, text: string) => string,
): TreeEntry[] | undefined {
  if (changes.removed.length > 0) return undefined;
  let replaced = 0;
  const listing = base.map((entry) => {
    const text = changes.written.get(entry.path);
    if (text === undefined) return entry;
    replaced++;
    const { path } = entry;
    return { mode: "100644", oid: idOf(path, text), size: encoder.encode(text).length, path };
  });
  return replaced === changes.written.size ? listing : undefined;
}

/** Blob ids by path, remembered while the text stays the same. */
export class BlobIds {
  #known = new Map<string, { readonly text: string; readonly oid: string }>();

  /** The id of `text`, which is the file at `path` now. */
  readonly idOf = (path: string, text: string): string => {
    const known = this.#known.get(path);
    if (known?.text === text) return known.oid;
    const oid = blobId(text);
    this.#known.set(path, { text, oid });
    return oid;
  };

  /** Forgets paths that are no longer written. */
  prune(files: ReadonlyMap<string, string>): void {
    for (const path of this.#known.keys()) if (!files.has(path)) this.#known.delete(path);
  }
}

/** Writes a commit into the object store of `gitDir` and gives its id. Throws GitError. */
export async function writeCommit(git: Git, gitDir: string, commit: NewCommit): Promise<string> {
  const { stdout } = await git.mustRun({
    gitDir,
    // One commit's objects stay loose; a first commit of very many becomes a pack.
    args: ["fast-import", "--quiet", "--force", "--done", "--date-format=raw"],
    stdin: importStream(commit),
    maxOutput: 4096,
  });
  const oid = new TextDecoder().decode(stdout).trim();
  if (!OID.test(oid)) throw new GitError("git fast-import: no commit id came back", false);
  return oid;
}

function importStream(commit: NewCommit): Uint8Array<ArrayBuffer> {
  const parts: string[] = [];
  const data = (text: string) => {
    parts.push(`data ${encoder.encode(text).length}\n`, text, "\n");
  };
  const who = `${commit.author} ${Math.floor(commit.atMs / 1000)} +0000`;
  parts.push(`commit ${CANDIDATE}\nmark :1\nauthor ${who}\ncommitter ${who}\n`);
  data(commit.message);
  if (commit.parent !== undefined) parts.push(`from ${commit.parent}\n`);
  // Removals first: a file may make room for a folder of its name.
  for (const path of commit.changes.removed) parts.push(`D ${quotePath(path)}\n`);
  for (const [path, text] of commit.changes.written) {
    parts.push(`M 100644 inline ${quotePath(path)}\n`);
    data(text);
  }
  parts.push("\nget-mark :1\ndone\n");
  const bytes = encoder.encode(parts.join(""));
  if (bytes.length > MAX_BYTES) {
    throw new GitError(`Cannot commit: it writes more than ${MAX_BYTES / 1024 / 1024} MiB`, false);
  }
  return bytes;
}

/** C-style quotes, which fast-import undoes. */
function quotePath(path: string): string {
  const escaped = path.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `"${escaped}"`;
}
