/**
 * The objects of a simulated remote, with ids that follow from the contents as git's do. Old
 * commits are forgotten.
 *
 * @module
 */
import { hash } from "node:crypto";
import type { TreeEntry } from "../../reconciler/ports.ts";
import type { NewCommit } from "../git/backend.ts";
import { GitError } from "../git/error.ts";
import { LEASE_FILE } from "../git/lease.ts";
import { blobId } from "../git/tree.ts";

/** A commit; its files are sorted by path. */
export interface SimCommit {
  readonly files: readonly TreeEntry[];
  readonly tree: string;
  readonly parent: string | undefined;
  readonly message: string;
}

/** Commits that are kept; a lease is renewed too often to count among the others. */
const KEPT = { state: 500, lease: 100 };
/** Commits forgotten between two sweeps of the texts that nothing names any more. */
const SWEEP_EVERY = 200;

const encoder = new TextEncoder();

/** Commits and texts. */
export class SimStore {
  readonly #commits = { state: new Map<string, SimCommit>(), lease: new Map<string, SimCommit>() };
  readonly #texts = new Map<string, string>();
  #forgotten = 0;

  /** `isHead` names the commits that are never forgotten. */
  constructor(private readonly isHead: (commit: string) => boolean) {}

  /** A commit, if it is (still) there. */
  find(commit: string): SimCommit | undefined {
    return this.#commits.state.get(commit) ?? this.#commits.lease.get(commit);
  }

  /** A commit; throws GitError when it is not there. */
  get(commit: string): SimCommit {
    const found = this.find(commit);
    if (found !== undefined) return found;
    throw new GitError(`Cannot read commit ${commit}: it is not in the mirror`, false);
  }

  /** Text of a blob. */
  text(oid: string): string | undefined {
    return this.#texts.get(oid);
  }

  /** Keeps a text and gives its entry; commit it before anything else happens. */
  entry(path: string, text: string, mode = "100644"): TreeEntry {
    const oid = blobId(text);
    this.#texts.set(oid, text);
    return { mode, oid, size: encoder.encode(text).length, path };
  }

  /** Writes a commit as git would: the parent's files, changed. */
  write({ parent, changes, message, author, atMs }: NewCommit): string {
    const files = new Map((parent === undefined ? [] : this.get(parent).files)
      .map((entry) => [entry.path, entry]));
    for (const path of changes.removed) files.delete(path);
    for (const [path, text] of changes.written) files.set(path, this.entry(path, text));
    return this.commit([...files.values()], parent, message, `${author} ${atMs}`);
  }

  /** Makes a commit; the same one twice has one id. */
  commit(
    entries: readonly TreeEntry[],
    parent: string | undefined,
    message: string,
    author: string,
  ): string {
    const files = inOrder(entries)
      ? entries
      : entries.toSorted((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
    const tree = treeIdOf(files, "") as string;
    const id = hash("sha1", `commit\n${tree}\n${parent}\n${author}\n${message}`);
    const pool = files.some(({ path }) => path === LEASE_FILE) ? "lease" : "state";
    const commits = this.#commits[pool];
    commits.delete(id);
    commits.set(id, { files, tree, parent, message });
    for (const old of commits.keys()) {
      if (commits.size <= KEPT[pool]) break;
      if (this.isHead(old)) continue;
      commits.delete(old);
      this.#forgotten++;
    }
    if (this.#forgotten >= SWEEP_EVERY) this.#sweep();
    return id;
  }

  #sweep(): void {
    this.#forgotten = 0;
    const named = new Set<string>();
    for (const commits of Object.values(this.#commits)) {
      for (const { files } of commits.values()) for (const { oid } of files) named.add(oid);
    }
    for (const oid of this.#texts.keys()) if (!named.has(oid)) this.#texts.delete(oid);
  }
}

/** Id of a folder (a prefix that ends in "/", or "" for all); undefined: nothing is in it. */
export function treeIdOf(files: readonly TreeEntry[], prefix: string): string | undefined {
  const inside = prefix === "" ? files : files.filter(({ path }) => path.startsWith(prefix));
  if (inside.length === 0 && prefix !== "") return undefined;
  let text = "tree\n";
  for (const { mode, oid, path } of inside) text += `${mode} ${oid} ${path.slice(prefix.length)}\0`;
  return hash("sha1", text);
}

function inOrder(entries: readonly TreeEntry[]): boolean {
  let before = "";
  for (const { path } of entries) {
    if (path < before) return false;
    before = path;
  }
  return true;
}
