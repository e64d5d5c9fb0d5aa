/**
 * Reads a state repository as files on disk, as the reconciler would read it from a commit.
 *
 * @module
 */
import { dirname, join, relative, resolve } from "node:path";

/** A folder with a `cluster.yaml`. Paths in it are relative to `root`, with slashes. */
export interface StateFolder {
  readonly root: string;
  /** Manifests: `jobs/**` with the ending `.yaml` or `.yml`, sorted. */
  readonly manifests: readonly string[];
  /** The bytes of a file; undefined: there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Whether there is a file or folder. */
  has(path: string): boolean;
}

/** Opens the folder at or above `path` that has a `cluster.yaml`. Throws when none has. */
export async function openFolder(path: string): Promise<StateFolder> {
  const root = await rootOf(path);
  const manifests = (await filesUnder(root, "jobs")).filter((file) => /\.ya?ml$/.test(file));
  return {
    root,
    manifests: manifests.sort(),
    read: (file) => Deno.readFile(join(root, file)).catch(undefinedIfMissing),
    has: (file) => exists(join(root, file)),
  };
}

/** `path` as seen from the root: "" is the root itself. */
export function within(root: string, path: string): string {
  return relative(root, resolve(path));
}

async function rootOf(path: string): Promise<string> {
  const start = resolve(path);
  if (!exists(start)) throw new Error(`Cannot check ${path}: no such file or folder`);
  for (let folder = start;; folder = dirname(folder)) {
    const found = await Deno.stat(join(folder, "cluster.yaml")).catch(undefinedIfMissing);
    if (found?.isFile) return folder;
    if (folder === dirname(folder)) break;
  }
  throw new Error(
    `Cannot check ${path}: neither it nor a folder above it has a cluster.yaml ` +
      "(the reconciler needs one at the root of the state repository)",
  );
}

/** Regular files below a folder; links and hidden names are passed over, as by the reconciler. */
async function filesUnder(root: string, folder: string): Promise<string[]> {
  const files: string[] = [];
  const entries = await Array.fromAsync(Deno.readDir(join(root, folder))).catch(undefinedIfMissing);
  for (const { name, isFile, isDirectory } of entries ?? []) {
    const path = `${folder}/${name}`;
    if (name.startsWith(".")) continue;
    if (isFile) files.push(path);
    else if (isDirectory) files.push(...await filesUnder(root, path));
  }
  return files;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    // A name that no file system takes, a loop of links, a folder that may not be entered.
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

function undefinedIfMissing(error: unknown): undefined {
  const missing = error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
  if (!missing) throw error;
  return undefined;
}
