/**
 * A bare mirror of one remote: a cache that may be thrown away at any time, and is, when damaged.
 *
 * A folder is ours if it holds the marker `ugro-mirror`; any other folder that is not empty is
 * refused, since a mirror is re-created by removing the folder.
 *
 * @module
 */
import { hash } from "node:crypto";
import { join } from "node:path";
import { CatFile } from "./cat_file.ts";
import { GitError } from "./error.ts";
import type { Git } from "./git.ts";
import type { Remote } from "./remote.ts";

/** What a mirror is of, and where. */
export interface MirrorOptions {
  readonly git: Git;
  readonly dir: string;
  readonly remote: Remote;
  /** For calls that reach the remote. */
  readonly networkMs: number;
}

const MARKER = "ugro-mirror";
/** Local work that is not a pass's hot path: fsck, gc. */
const CARE_MS = 120_000;
/** Refs over the network, at most. */
const MAX_LISTING = 32 * 1024 * 1024;

/**
 * `git archive` and nothing else reads attributes here. In-tree `.gitattributes` must neither drop
 * files (`export-ignore`) nor rewrite them (`export-subst`, filters of the user's configuration).
 */
const ATTRIBUTES =
  "* -text !eol -crlf -ident -filter -export-ignore -export-subst !working-tree-encoding\n";

/** The remote left a ref out because it is broken there: that is not the same as deleted. */
const BROKEN_REF = /ignoring (?:broken|dangling) |does not point to a valid object|bad object/i;

const DAMAGE =
  /not a git repository|corrupt|bad object|unable to (?:read|parse)|missing (?:blob|tree|commit|object)|loose object|packfile|bad pack|did not send all necessary objects|invalid sha1 pointer|index file|broken link/i;

/** A bare mirror in a folder. */
export class Mirror {
  readonly cat: CatFile;
  #health: "unchecked" | "suspect" | "good" = "unchecked";
  /** Counts re-creations: what was read before may be gone. */
  generation = 0;

  constructor(private readonly options: MirrorOptions) {
    this.cat = new CatFile(options.git, options.dir, CARE_MS);
  }

  get dir(): string {
    return this.options.dir;
  }

  get remote(): Remote {
    return this.options.remote;
  }

  /** Makes the folder a working mirror: creates it, or checks it and re-creates a damaged one. */
  async open(): Promise<void> {
    if (this.#health === "good") return;
    const state = await inspect(this.dir, this.#marker());
    if (state === "foreign") {
      throw new GitError(
        `Cannot use ${this.dir} as a git mirror: it holds other files; choose an empty folder`,
        false,
      );
    }
    if (state === "ours" && await this.#works(this.#health === "suspect")) {
      await removeStaleLocks(this.dir, 2 * this.options.networkMs);
    } else {
      await this.#create();
    }
    this.#health = "good";
  }

  /** Has the mirror looked at before it is used again: lightly, or `deeply` after a failed read. */
  doubt(deeply: boolean): void {
    if (deeply) this.#health = "suspect";
    else if (this.#health === "good") this.#health = "unchecked";
  }

  /** Where the remote's refs stand, by full name. Throws unless the remote has answered in full. */
  async remoteRefs(args: readonly string[], deadlineMs?: number): Promise<Map<string, string>> {
    const { stdout, stderr } = await this.options.git.mustRun({
      // A mirror's configuration is empty, and a folder's own (in `/`) must not be found.
      gitDir: this.dir,
      args: ["ls-remote", ...options(args), this.remote.url, ...patterns(args)],
      protocols: this.remote.protocols,
      deadlineMs: deadlineMs ?? this.options.networkMs,
      maxOutput: MAX_LISTING,
    }, `Cannot read ${this.remote.display}`);
    if (BROKEN_REF.test(stderr)) {
      throw new GitError(
        `Cannot read ${this.remote.display}: it holds a broken ref (run git fsck there)`,
        true,
      );
    }
    return parseRefs(stdout, "\t");
  }

  /** Fetches refspecs. A mirror that turns out to be damaged is re-created and filled once. */
  async fetch(refspecs: readonly string[], extra: readonly string[] = []): Promise<void> {
    try {
      await this.#fetchOnce(refspecs, extra);
    } catch (error) {
      if (!(error instanceof GitError) || error.uncertain) throw error;
      if (!DAMAGE.test(error.stderr) || await this.#works(true)) throw error;
      await this.#create();
      await this.#fetchOnce(refspecs, extra);
    }
  }

  /** The refs of the mirror, by full name. */
  async refs(): Promise<Map<string, string>> {
    const { stdout } = await this.options.git.mustRun({
      gitDir: this.dir,
      args: ["for-each-ref", "--format=%(objectname) %(refname)", "refs/ugro"],
    });
    return parseRefs(stdout, " ");
  }

  /** Sets a ref of the mirror, or deletes it. */
  async setRef(ref: string, oid: string | undefined): Promise<void> {
    const args = oid === undefined ? ["update-ref", "-d", ref] : ["update-ref", ref, oid];
    await this.options.git.mustRun({ gitDir: this.dir, args });
  }

  /**
   * Packs loose objects if they have become many, and drops those that no ref needs: leases that
   * were renewed, mostly. A failure is not worth a word.
   */
  async tidy(): Promise<void> {
    await this.options.git.run({
      gitDir: this.dir,
      args: ["gc", "--auto", "--quiet"],
      // An hour: a pass may still read a commit that a rewritten branch has left.
      config: ["gc.auto=2000", "gc.autoDetach=false", "gc.pruneExpire=1.hour.ago"],
      deadlineMs: CARE_MS,
    });
  }

  #fetchOnce(refspecs: readonly string[], extra: readonly string[]): Promise<unknown> {
    return this.options.git.mustRun({
      gitDir: this.dir,
      args: [
        "fetch",
        "--quiet",
        "--force",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        ...extra,
        this.remote.url,
        ...refspecs,
      ],
      protocols: this.remote.protocols,
      deadlineMs: this.options.networkMs,
    }, `Cannot fetch ${this.remote.display}`);
  }

  #marker(): string {
    return `A cache of UGRO; safe to delete. Remote: ${hash("sha256", this.remote.url)}\n`;
  }

  async #works(deeply: boolean): Promise<boolean> {
    try {
      const refs = [...(await this.refs()).keys()];
      const trees = await this.cat.check(refs.map((ref) => `${ref}^{tree}`));
      if (trees.includes(undefined)) return false;
    } catch (error) {
      if (error instanceof GitError) return false;
      throw error;
    }
    if (!deeply) return true;
    const fsck = await this.options.git.run({
      gitDir: this.dir,
      args: ["fsck", "--no-dangling", "--no-progress"],
      deadlineMs: CARE_MS,
    });
    return fsck.ending === "exited" && fsck.code === 0;
  }

  async #create(): Promise<void> {
    this.generation++;
    await this.cat.restart();
    await Deno.remove(this.dir, { recursive: true }).catch(ignoreNotFound);
    await Deno.mkdir(this.dir, { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(join(this.dir, MARKER), this.#marker());
    await this.options.git.mustRun({
      args: ["init", "--bare", "--quiet", "--template=", "--object-format=sha1", this.dir],
    }, `Cannot create a git mirror in ${this.dir}`);
    await Deno.mkdir(join(this.dir, "info"), { recursive: true });
    await Deno.writeTextFile(join(this.dir, "info", "attributes"), ATTRIBUTES);
  }
}

const options = (args: readonly string[]) => args.filter((arg) => arg.startsWith("-"));
const patterns = (args: readonly string[]) => args.filter((arg) => !arg.startsWith("-"));

function parseRefs(output: Uint8Array, separator: string): Map<string, string> {
  const refs = new Map<string, string>();
  for (const line of new TextDecoder().decode(output).split("\n")) {
    const at = line.indexOf(separator);
    if (at > 0) refs.set(line.slice(at + 1), line.slice(0, at));
  }
  return refs;
}

/** Another remote's mirror is `stale`: ours, but of no use. */
async function inspect(dir: string, marker: string): Promise<"new" | "ours" | "stale" | "foreign"> {
  try {
    const found = await Deno.readTextFile(join(dir, MARKER));
    return found === marker ? "ours" : "stale";
  } catch (error) {
    ignoreNotFound(error);
  }
  try {
    for await (const _ of Deno.readDir(dir)) return "foreign";
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) return "foreign";
    ignoreNotFound(error);
  }
  return "new";
}

/** A git that was killed leaves lock files, which no later git removes. */
async function removeStaleLocks(dir: string, olderThanMs: number): Promise<void> {
  const pending = [dir, join(dir, "refs")];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory && folder !== dir) pending.push(path);
      if (!entry.isFile || !entry.name.endsWith(".lock")) continue;
      const { mtime } = await Deno.stat(path);
      if (mtime !== null && Date.now() - mtime.getTime() > olderThanMs) {
        await Deno.remove(path).catch(ignoreNotFound);
      }
    }
  }
}

function ignoreNotFound(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
