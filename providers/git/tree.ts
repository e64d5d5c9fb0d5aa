/**
 * Listings of trees, and the ids that git would give to contents.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import type { TreeEntry } from "../../reconciler/ports.ts";
import { GitError } from "./error.ts";

const decoder = new TextDecoder();

/**
 * Parses `git ls-tree -r -l -z`: `MODE SP TYPE SP OID SP+ SIZE TAB PATH NUL`. Paths are any bytes
 * but NUL; what is not UTF-8 in them becomes U+FFFD.
 */
export function parseTree(output: Uint8Array): TreeEntry[] {
  const entries: TreeEntry[] = [];
  const records = decoder.decode(output).split("\0");
  if (records.pop() !== "") throw new Error("git ls-tree: the listing is cut off");
  for (const record of records) {
    const match = /^(\d{6}) (?:blob|commit) ([0-9a-f]+) +(\d+|-)\t/.exec(record);
    if (match === null) throw new Error("git ls-tree: a line of unknown form");
    entries.push({
      mode: match[1] ?? "",
      oid: match[2] ?? "",
      size: match[3] === "-" ? 0 : Number(match[3]),
      path: record.slice(match[0].length),
    });
  }
  return entries;
}

/** The SHA-1 id of a blob with this text. */
export function blobId(text: string): string {
  return hash("sha1", `blob ${Buffer.byteLength(text)}\0${text}`);
}

/** A full object id. */
export const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Throws {@linkcode GitError} unless this is a full object id. */
export function mustBeOid(oid: string): void {
  if (!OID.test(oid)) throw new GitError(`not a git object id: ${JSON.stringify(oid)}`, false);
}

/** Why a path may not be written to a tree or an archive; undefined: it may. */
export function pathProblem(path: string): string | undefined {
  if (path === "") return "it is empty";
  if (path.includes("\0")) return "it holds a NUL";
  for (const part of path.split("/")) {
    if (part === "") return "it has an empty part";
    if (part === "." || part === "..") return `it has a part "${part}"`;
    if (part.toLowerCase() === ".git") return "it has a part .git";
  }
  return undefined;
}

/** Keeps the listings of the last few commits; a commit never changes. */
export class ListingCache {
  readonly #listings = new Map<string, readonly TreeEntry[]>();

  constructor(private readonly capacity: number) {}

  /** The listing, counted as used. */
  get(commit: string): readonly TreeEntry[] | undefined {
    const listing = this.#listings.get(commit);
    if (listing !== undefined) this.set(commit, listing);
    return listing;
  }

  /** Remembers a listing and forgets the least recently used one over the capacity. */
  set(commit: string, listing: readonly TreeEntry[]): void {
    this.#listings.delete(commit);
    this.#listings.set(commit, listing);
    const [oldest] = this.#listings.keys();
    if (this.#listings.size > this.capacity && oldest !== undefined) this.#listings.delete(oldest);
  }

  /** Forgets everything. */
  clear(): void {
    this.#listings.clear();
  }
}
