/**
 * Packs a tree into a tar, whole or not at all.
 *
 * @module
 */
import type { CodeArchive } from "../../reconciler/ports.ts";
import { GitError } from "./error.ts";
import type { Git } from "./git.ts";
import { parseTree, pathProblem } from "./tree.ts";

/** Largest tar, in bytes. */
export const MAX_ARCHIVE = 512 * 1024 * 1024;
const PACK_MS = 120_000;

/**
 * Packs a tree. Throws {@linkcode GitError} when it is too large, holds submodules (which would
 * become empty folders) or paths that leave the folder it is unpacked in.
 */
export async function archiveTree(
  git: Git,
  gitDir: string,
  treeId: string,
  maxBytes: number,
): Promise<CodeArchive> {
  const refuse = (why: string) =>
    new GitError(`Cannot pack code ${treeId.slice(0, 12)}: ${why}`, false);
  const listing = await git.mustRun({ gitDir, args: ["ls-tree", "-r", "-l", "-z", treeId] });
  let total = 0;
  for (const entry of parseTree(listing.stdout)) {
    const path = JSON.stringify(entry.path);
    const problem = pathProblem(entry.path);
    if (problem !== undefined) throw refuse(`path ${path}: ${problem}`);
    if (entry.mode === "160000") {
      throw refuse(
        `${path} is a submodule, which is not shipped; put its files into the repository`,
      );
    }
    total += entry.size;
  }
  const limit = `${Math.floor(maxBytes / 1024 / 1024)} MiB`;
  const tooLarge = () =>
    refuse(`it is larger than ${limit}; keep data and checkpoints out of git, or set \`path:\``);
  if (total > maxBytes) throw tooLarge();
  const call = {
    gitDir,
    args: ["archive", "--format=tar", treeId],
    maxOutput: maxBytes,
    deadlineMs: PACK_MS,
  };
  const result = await git.run(call);
  if (result.ending === "too-large") throw tooLarge();
  if (result.ending !== "exited" || result.code !== 0) {
    throw refuse(result.stderr.trim().split("\n").at(-1) || `git archive: ${result.ending}`);
  }
  return { digest: treeId, tar: result.stdout };
}
