/**
 * The state repository's decisions: what is fetched, what a status commit holds, what an answer
 * means. Git itself stands behind {@linkcode GitBackend}; `repository.ts` puts the system's git
 * there, and the simulation one of its own.
 *
 * @module
 */
import type {
  CodeArchive,
  Heads,
  Lease,
  LeaseAt,
  Outcome,
  StateRepository,
  StatusCommit,
  TreeEntry,
} from "../../reconciler/ports.ts";
import type { Code } from "../../jobs/job.ts";
import type { CodeSource, GitBackend, Tracked } from "./backend.ts";
import { type Author, Branches } from "./branches.ts";
import { BlobIds, changesAgainst, filesProblem, listingAfter } from "./commit.ts";
import { LEASE, LeaseBranch } from "./lease_branch.ts";
import { ListingCache, mustBeOid, pathProblem } from "./tree.ts";
import { Turns } from "./turns.ts";

/** Listings kept: desired and status, now and before. */
const LISTINGS = 4;

const STATUS: Tracked = { remote: "refs/heads/ugro/status", local: "refs/ugro/status" };

/** The git that a {@linkcode GitState} works with. */
export interface Backends {
  /** For the desired state and the status branch. */
  readonly state: GitBackend;
  /** For the lease: a mirror of its own of the same remote. */
  readonly lease: GitBackend;
  readonly code: CodeSource;
}

/** {@linkcode StateRepository} over git. Call {@linkcode GitState.close} at the end. */
export class GitState implements StateRepository {
  readonly #backend: GitBackend;
  readonly #branches: Branches;
  readonly #lease: LeaseBranch;
  readonly #code: CodeSource;
  readonly #desired: Tracked;
  readonly #turns = new Turns();
  readonly #listings = new ListingCache(LISTINGS);
  readonly #blobIds = new BlobIds();
  #refreshing: Promise<Outcome<Heads>> | undefined;

  /** `branch` holds the desired state. Starts nothing. */
  constructor({ state, lease, code }: Backends, branch: string, author: Author) {
    this.#desired = { remote: `refs/heads/${branch}`, local: "refs/ugro/desired" };
    this.#backend = state;
    this.#branches = new Branches(state, [this.#desired, STATUS], author);
    this.#lease = new LeaseBranch(lease, author);
    this.#code = code;
  }

  /** @inheritDoc */
  refresh(): Promise<Outcome<Heads>> {
    return this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
  }

  /** @inheritDoc Throws GitError when the commit is not in the mirror. */
  async listTree(commit: string): Promise<readonly TreeEntry[]> {
    const cached = this.#listings.get(commit);
    if (cached !== undefined) return cached;
    mustBeOid(commit);
    const listing = await this.#branches.reading(() => this.#backend.listTree(commit));
    this.#listings.set(commit, listing);
    return listing;
  }

  /** @inheritDoc Throws GitError when an id is not in the mirror or not a blob. */
  readBlobs(oids: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Uint8Array>> {
    oids.forEach(mustBeOid);
    return this.#branches.reading(() => this.#backend.readBlobs(oids, maxBytes));
  }

  /** @inheritDoc Commits nothing, and answers `base`, when `files` are what `base` holds. */
  async commitStatus(commit: StatusCommit): Promise<Outcome<string>> {
    const problem = filesProblem(new Map([...commit.files, ...commit.along ?? []]));
    if (problem !== undefined) {
      return { kind: "terminal", reason: `Cannot commit status: ${problem}` };
    }
    return await this.#turns.take(() =>
      this.#commit(commit).catch((error) => this.#branches.failed(error, "retryable"))
    );
  }

  /** @inheritDoc */
  readLease(): Promise<Outcome<LeaseAt | undefined>> {
    return this.#lease.read();
  }

  /** @inheritDoc */
  writeLease(base: string | undefined, lease: Lease): Promise<Outcome<string>> {
    return this.#lease.write(base, lease);
  }

  /** @inheritDoc Throws GitError when the commit is not in the mirror. */
  async treeId(commit: string, path: string): Promise<string | undefined> {
    const clean = path.replace(/^(\.\/+)+|\/+$/g, "").replace(/^\.$/, "");
    if (clean !== "" && (pathProblem(clean) !== undefined || /[\r\n]/.test(clean))) {
      return undefined;
    }
    const found = await this.#branches.objectAt(commit, clean);
    return found?.type === "tree" ? found.oid : undefined;
  }

  /** @inheritDoc */
  resolveCode(code: Extract<Code, { kind: "git" }>): Promise<Outcome<string>> {
    return this.#code.resolve(code);
  }

  /** @inheritDoc Throws GitError when it cannot be packed whole (size, submodules, bad paths). */
  archive(treeId: string): Promise<CodeArchive> {
    return this.#code.archive(treeId);
  }

  /** Ends all processes. Calls in flight end as `unknown`, or throw. */
  async close(): Promise<void> {
    await Promise.all([this.#backend.close(), this.#lease.close(), this.#code.close()]);
    await this.#turns.take(() => Promise.resolve());
  }

  async #refresh(): Promise<Outcome<Heads>> {
    try {
      const { positions, told } = await this.#turns.take(() => this.#branches.sync([LEASE.remote]));
      const lease = await this.#lease.at(told.get(LEASE.remote));
      const desired = positions.get(this.#desired.remote);
      return { kind: "ok", value: { desired, status: positions.get(STATUS.remote), lease } };
    } catch (error) {
      return this.#branches.failed(error, "unknown");
    }
  }

  /** Only within a turn. */
  async #commit(
    { base, files, keep = [], along = new Map(), message }: StatusCommit,
  ): Promise<Outcome<string>> {
    await this.#branches.open();
    const listing = base === undefined ? [] : await this.listTree(base);
    const all = along.size > 0 ? new Map([...files, ...along]) : files;
    this.#blobIds.prune(all);
    const { idOf } = this.#blobIds;
    const alone = changesAgainst(listing, files, idOf, [...keep, ...along.keys()]);
    if (base !== undefined && alone.written.size === 0 && alone.removed.length === 0) {
      return { kind: "ok", value: base };
    }
    const changes = along.size > 0 ? changesAgainst(listing, all, idOf, keep) : alone;
    const text = message.endsWith("\n") ? message : `${message}\n`;
    const commit = await this.#branches.commit(base, changes, text);
    // A path that is not UTF-8 can be neither compared nor removed by its name.
    if (base !== undefined && await this.#sameTree(base, commit)) {
      return { kind: "ok", value: base };
    }
    const outcome = await this.#branches.push(STATUS, base, commit);
    if (outcome.kind === "ok") {
      const after = listingAfter(listing, changes, idOf);
      if (after !== undefined) this.#listings.set(commit, after);
    }
    return outcome;
  }

  async #sameTree(a: string, b: string): Promise<boolean> {
    const [[before], [after]] = await Promise.all([
      this.#backend.objects(a, [""]),
      this.#backend.objects(b, [""]),
    ]);
    return before !== undefined && before.oid === after?.oid;
  }
}
