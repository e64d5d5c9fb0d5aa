/**
 * Files that only their owner may read.
 *
 * @module
 */
import type { Bytes, Missing } from "./found.ts";

const OTHERS = 0o077;

/** Why a folder is not one that only its owner can look into. */
export async function folderProblem(path: string): Promise<Missing | undefined> {
  const info = await Deno.stat(path).catch(reason);
  if ("why" in info) return { why: `its folder ${info.why}` };
  if (!info.isDirectory) return { why: "its folder is none" };
  return isOpen(info) ? { why: "its folder is open to others: chmod 700" } : undefined;
}

/** Why a file is not a regular one that only its owner can read. A link is none. */
export async function fileProblem(path: string): Promise<Missing | undefined> {
  const info = await Deno.lstat(path).catch(reason);
  if ("why" in info) return info;
  if (!info.isFile) return { why: "is not a regular file" };
  return isOpen(info) ? { why: "is open to others: chmod 600" } : undefined;
}

/** The contents of such a file, when it has at most `maxBytes`. */
export async function readPrivate(path: string, maxBytes: number): Promise<Bytes> {
  const problem = await fileProblem(path);
  if (problem) return problem;
  const file = await Deno.open(path).catch(reason);
  if ("why" in file) return file;
  try {
    const buffer = new Uint8Array(maxBytes + 1);
    let filled = 0;
    for (
      let read: number | null = 0;
      read !== null && filled < buffer.length;
      filled += read ?? 0
    ) {
      read = await file.read(buffer.subarray(filled));
    }
    if (filled > maxBytes) return { why: `has more than ${maxBytes} bytes` };
    return { bytes: buffer.slice(0, filled) };
  } catch (error) {
    return reason(error);
  } finally {
    file.close();
  }
}

function isOpen({ mode }: Deno.FileInfo): boolean {
  return mode !== null && (mode & OTHERS) !== 0;
}

/** In words that name no path: these end up in status files. */
function reason(error: unknown): Missing {
  if (error instanceof Deno.errors.NotFound) return { why: "does not exist" };
  const denied = error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable;
  return { why: denied ? "may not be read by this controller" : "cannot be read" };
}
