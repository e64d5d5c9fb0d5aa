/**
 * Some branches of a remote, over a {@linkcode GitBackend}: fetched together, and written by
 * commits that are pushed by compare-and-swap. Callers take turns.
 *
 * @module
 */
import type { Outcome } from "../../reconciler/ports.ts";
import type { Changes, GitBackend, ObjectInfo, Refs, Tracked } from "./backend.ts";
import { GitError } from "./error.ts";
import { pushCommit } from "./push.ts";
import { type Synced, syncRefs } from "./sync.ts";
import { mustBeOid } from "./tree.ts";

/** Who commits, and when. */
export interface Author {
  /** `Name <address>`. */
  readonly author: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Branches that are followed, and written. */
export class Branches {
  /** Where they stood last; undefined: not known any more. */
  #known: Refs | undefined;
  #knownGeneration = 0;

  constructor(
    readonly backend: GitBackend,
    private readonly tracked: readonly Tracked[],
    private readonly author: Author,
  ) {}

  /** Makes the mirror usable. */
  async open(): Promise<void> {
    await this.backend.open();
    if (this.backend.generation === this.#knownGeneration) return;
    this.#known = undefined;
    this.#knownGeneration = this.backend.generation;
  }

  /** Fetches what changed. `also` are refs to ask for but not to fetch. */
  async sync(also: readonly string[] = []): Promise<Synced> {
    await this.open();
    const synced = await syncRefs(this.backend, this.tracked, this.#known, also);
    this.#known = synced.positions;
    this.#knownGeneration = this.backend.generation;
    return synced;
  }

  /** Writes a commit into the mirror; no branch names it yet. */
  commit(parent: string | undefined, changes: Changes, message: string): Promise<string> {
    const { author, now } = this.author;
    return this.backend.writeCommit({ parent, changes, message, author, atMs: now() });
  }

  /** Moves a branch of the remote from `base` to `commit`. */
  async push(branch: Tracked, base: string | undefined, commit: string): Promise<Outcome<string>> {
    const outcome = await pushCommit(this.backend, { ref: branch.remote, commit, base });
    if (outcome.kind === "ok") {
      // It has happened: a failure to note it is not a failure, and the next sync notes it.
      await this.backend.setLocalRef(branch.local, commit).catch(() => this.backend.doubt(false));
      if (this.#known !== undefined) this.#known = new Map(this.#known).set(branch.remote, commit);
    }
    return outcome;
  }

  /** What is at a path of a commit ("" is its root). Throws when the commit is not in the mirror. */
  async objectAt(commit: string, path: string): Promise<ObjectInfo | undefined> {
    mustBeOid(commit);
    const [root, found] = await this.reading(() => this.backend.objects(commit, ["", path]));
    if (root !== undefined) return found;
    this.backend.doubt(true);
    throw new GitError(`Cannot read commit ${commit.slice(0, 12)}: it is not in the mirror`, false);
  }

  /** A read that fails means a damaged mirror, or an id that never was in it. */
  async reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof GitError && !error.uncertain) this.backend.doubt(true);
      throw error;
    }
  }

  /** What an error means for the caller. */
  failed(error: unknown, kind: "retryable" | "unknown"): Outcome<never> {
    this.backend.doubt(false);
    if (error instanceof GitError) return { kind, reason: error.message };
    const message = error instanceof Error ? error.message : String(error);
    return { kind, reason: `Cannot use the git mirror: ${message}` };
  }
}
