/**
 * Commits by plumbing: one `git fast-import` writes the changed blobs, the trees and the commit,
 * without a work tree or an index.
 *
 * @module
 */
import type { NewCommit } from "./backend.ts";
import { GitError } from "./error.ts";
import type { Git } from "./git.ts";
import { OID } from "./tree.ts";

/** Holds the commit until it is pushed. */
const CANDIDATE = "refs/ugro/candidate";
/** Most bytes that one commit may write. */
const MAX_BYTES = 256 * 1024 * 1024;
const encoder = new TextEncoder();

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
