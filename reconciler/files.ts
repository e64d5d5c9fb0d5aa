/**
 * What of a tree is read as a file, and problems with files as a whole.
 *
 * @module
 */
import { withoutControls } from "../cluster/show.ts";
import type { Problem } from "../jobs/problem.ts";
import type { StateRepository, TreeEntry } from "./ports.ts";

/** Largest file that is read as a manifest. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;

/** A problem with a file as a whole. */
export function problem(file: string, message: string, hint?: string): Problem {
  return { file, line: 1, column: 1, message, ...(hint ? { hint } : {}) };
}

/** Why an entry of the tree is not read as a file; undefined when it is one. */
export function unreadable(entry: TreeEntry): string | undefined {
  if (entry.mode === "120000") return "it is a symbolic link; only regular files are read";
  if (entry.mode === "160000") return "it is a submodule; only regular files are read";
  if (withoutControls(entry.path) !== entry.path || /[\n\t]/.test(entry.path)) {
    return "its name holds control characters; rename it";
  }
  if (entry.size > MAX_MANIFEST_BYTES) {
    return `it has ${entry.size} bytes; at most ${MAX_MANIFEST_BYTES} are read`;
  }
  return undefined;
}

/** One file of a commit; undefined when there is none, or a larger one than `maxBytes`. */
export async function fileAt(
  repository: Pick<StateRepository, "listTree" | "readBlobs">,
  commit: string,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const entry = (await repository.listTree(commit)).find((one) => one.path === path);
  return entry && (await repository.readBlobs([entry.oid], maxBytes)).get(entry.oid);
}
