/**
 * What a commit has to write: the files that differ from its base. Unchanged files keep their ids
 * from the base tree, so the cost follows what changed.
 *
 * @module
 */
import type { TreeEntry } from "../../reconciler/ports.ts";
import type { Changes } from "./backend.ts";
import { blobId, pathProblem } from "./tree.ts";

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
