/**
 * The state repository, by the system's git: a bare mirror that is read by objects and written by
 * compare-and-swap pushes. There is no work tree and no index.
 *
 * @example
 * ```ts
 * const state = new GitStateRepository({
 *   remote: "git@forge.example:lab/state.git",
 *   mirrorDir: "/var/lib/ugro/state.git",
 *   codeDir: "/var/lib/ugro/code",
 * });
 * const heads = await state.refresh();
 * ```
 *
 * @module
 */
import type {
  Claim,
  CodeArchive,
  Heads,
  Outcome,
  StateRepository,
  StatusCommit,
  TreeEntry,
} from "../../reconciler/ports.ts";
import type { Code } from "../../jobs/job.ts";
import { archiveTree, MAX_ARCHIVE } from "./archive.ts";
import { OID } from "./cat_file.ts";
import { CodeMirrors } from "./code.ts";
import {
  BlobIds,
  type Changes,
  changesAgainst,
  filesProblem,
  listingAfter,
  writeCommit,
} from "./commit.ts";
import { Git, GitError } from "./git.ts";
import { LEASE_FILE, NO_CLAIM, parseClaim, renderLease } from "./lease.ts";
import { Mirror } from "./mirror.ts";
import { pushCommit } from "./push.ts";
import { parseRemote, type Remote } from "./remote.ts";
import { checkAuthor, checkBranch, type GitStateOptions } from "./options.ts";
import { type Positions, syncRefs, type Tracked } from "./sync.ts";
import { ListingCache, parseTree, pathProblem } from "./tree.ts";
import { Turns } from "./turns.ts";

const CLAIM_TRIES = 10;
/** Listings kept: desired and status, now and before. */
const LISTINGS = 4;
/** Writes and fetches between two looks at whether the mirror wants packing. */
const TIDY_EVERY = 500;
const MAX_TREE_LISTING = 256 * 1024 * 1024;
const MAX_LEASE = 64 * 1024;

const status: Tracked = { remote: "refs/heads/ugro/status", local: "refs/ugro/status" };
const lease: Tracked = { remote: "refs/heads/ugro/lease", local: "refs/ugro/lease" };

/** {@linkcode StateRepository} over git. Call {@linkcode GitStateRepository.close} at the end. */
export class GitStateRepository implements StateRepository {
  /** The checked address; `display` is safe to print. */
  readonly remote: Remote;
  readonly #options: GitStateOptions;
  readonly #networkMs: number;
  readonly #author: string;
  readonly #git: Git;
  readonly #mirror: Mirror;
  readonly #codes: CodeMirrors;
  readonly #desired: Tracked;
  readonly #turns = new Turns();
  readonly #listings = new ListingCache(LISTINGS);
  readonly #blobIds = new BlobIds();
  #known: Positions | undefined;
  #knownGeneration = 0;
  #refreshing: Promise<Outcome<Heads>> | undefined;
  #sinceTidy = TIDY_EVERY;

  /** Checks the settings and starts nothing. Throws `RemoteError`, or `TypeError` on a bad name. */
  constructor(options: GitStateOptions) {
    this.#options = options;
    this.remote = parseRemote(options.remote);
    this.#networkMs = options.networkMs ?? 60_000;
    this.#author = checkAuthor(options.author ?? "UGRO <ugro@localhost>");
    const branch = checkBranch(options.branch ?? "main");
    this.#desired = { remote: `refs/heads/${branch}`, local: "refs/ugro/desired" };
    this.#git = new Git({
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig }),
      deadlineMs: options.localMs ?? 30_000,
    });
    const shared = { git: this.#git, networkMs: this.#networkMs };
    this.#mirror = new Mirror({ ...shared, dir: options.mirrorDir, remote: this.remote });
    this.#codes = new CodeMirrors({
      ...shared,
      dir: options.codeDir,
      allowPaths: options.allowCodePaths ?? this.remote.kind === "path",
    });
  }

  /** @inheritDoc */
  refresh(): Promise<Outcome<Heads>> {
    return this.#refreshing ??= this.#turns.take(() => this.#refresh()).finally(() => {
      this.#refreshing = undefined;
    });
  }

  /** @inheritDoc Throws GitError when the commit is not in the mirror. */
  async listTree(commit: string): Promise<readonly TreeEntry[]> {
    const cached = this.#listings.get(commit);
    if (cached !== undefined) return cached;
    mustBeOid(commit);
    const { stdout } = await this.#reading(() =>
      this.#git.mustRun({
        gitDir: this.#mirror.dir,
        args: ["ls-tree", "-r", "-l", "-z", "--full-tree", commit],
        maxOutput: MAX_TREE_LISTING,
      }, `Cannot list commit ${commit.slice(0, 12)}`)
    );
    const listing = parseTree(stdout);
    this.#listings.set(commit, listing);
    return listing;
  }

  /** @inheritDoc Throws GitError when an id is not in the mirror or not a blob. */
  readBlobs(oids: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Uint8Array>> {
    oids.forEach(mustBeOid);
    return this.#reading(() => this.#mirror.cat.read(oids, maxBytes));
  }

  /** @inheritDoc Commits nothing, and answers `base`, when `files` are what `base` holds. */
  async commitStatus(commit: StatusCommit): Promise<Outcome<string>> {
    const problem = filesProblem(commit.files);
    if (problem !== undefined) {
      return { kind: "terminal", reason: `Cannot commit status: ${problem}` };
    }
    const { base, message, files, keep } = commit;
    return await this.#turns.take(async () => {
      try {
        await this.#open();
        const listing = base === undefined ? [] : await this.listTree(base);
        this.#blobIds.prune(files);
        const changes = changesAgainst(listing, files, this.#blobIds.idOf, keep);
        const outcome = await this.#commit(status, base, changes, message);
        if (outcome.kind === "ok" && outcome.value !== base) {
          const after = listingAfter(listing, changes, this.#blobIds.idOf);
          if (after !== undefined) this.#listings.set(outcome.value, after);
        }
        return outcome;
      } catch (error) {
        return this.#failed(error, "retryable");
      }
    });
  }

  /** @inheritDoc */
  async claimEpoch(owner: string): Promise<Outcome<Claim>> {
    let why = "";
    for (let attempt = 0; attempt < CLAIM_TRIES; attempt++) {
      if (attempt > 0) await pause(Math.random() * Math.min(2000, 50 * 2 ** attempt));
      const outcome = await this.#turns.take(() =>
        this.#claimOnce(owner).catch((error) => this.#failed(error, "unknown"))
      );
      if (outcome.kind !== "retryable") return outcome;
      why = outcome.reason;
    }
    return { kind: "retryable", reason: `no lease in ${CLAIM_TRIES} tries: ${why}` };
  }

  /** @inheritDoc Throws GitError when the commit is not in the mirror. */
  async treeId(commit: string, path: string): Promise<string | undefined> {
    mustBeOid(commit);
    const clean = path.replace(/^(\.\/+)+|\/+$/g, "").replace(/^\.$/, "");
    if (clean !== "" && (pathProblem(clean) !== undefined || /[\r\n]/.test(clean))) {
      return undefined;
    }
    const [root, found] = await this.#reading(() =>
      this.#mirror.cat.check([
        `${commit}^{tree}`,
        clean === "" ? `${commit}^{tree}` : `${commit}:${clean}`,
      ])
    );
    if (root === undefined) {
      this.#mirror.doubt(true);
      throw new GitError(
        `Cannot read commit ${commit.slice(0, 12)}: it is not in the mirror`,
        false,
      );
    }
    return found?.type === "tree" ? found.oid : undefined;
  }

  /** @inheritDoc */
  resolveCode(code: Extract<Code, { kind: "git" }>): Promise<Outcome<string>> {
    return this.#codes.resolve(code.url, code.rev);
  }

  /** @inheritDoc Throws GitError when it cannot be packed whole (size, submodules, bad paths). */
  async archive(treeId: string): Promise<CodeArchive> {
    mustBeOid(treeId);
    const [here] = await this.#mirror.cat.check([`${treeId}^{tree}`]).catch(() => []);
    const gitDir = here === undefined ? await this.#codes.find(treeId) : this.#mirror.dir;
    if (gitDir === undefined) {
      throw new GitError(`Cannot pack code ${treeId.slice(0, 12)}: no mirror holds it`, false);
    }
    return await archiveTree(this.#git, gitDir, treeId, this.#options.maxArchive ?? MAX_ARCHIVE);
  }

  /** Ends all processes. Calls in flight end as `unknown`, or throw. */
  async close(): Promise<void> {
    await this.#git.close();
    await Promise.all([this.#mirror.cat.close(), this.#codes.close()]);
    await this.#turns.take(() => Promise.resolve());
  }

  async #refresh(): Promise<Outcome<Heads>> {
    try {
      const positions = await this.#sync();
      return {
        kind: "ok",
        value: {
          desired: positions.get(this.#desired.remote),
          status: positions.get(status.remote),
        },
      };
    } catch (error) {
      return this.#failed(error, "unknown");
    }
  }

  async #open(): Promise<void> {
    await this.#mirror.open();
    if (this.#mirror.generation !== this.#knownGeneration) {
      this.#known = undefined;
      this.#knownGeneration = this.#mirror.generation;
    }
    if (this.#sinceTidy++ < TIDY_EVERY) return;
    this.#sinceTidy = 0;
    await this.#mirror.tidy();
  }

  async #sync(): Promise<Positions> {
    await this.#open();
    this.#known = await syncRefs(this.#mirror, [this.#desired, status, lease], this.#known);
    this.#knownGeneration = this.#mirror.generation;
    return this.#known;
  }

  /** Only within a turn. */
  async #commit(
    branch: Tracked,
    base: string | undefined,
    changes: Changes,
    message: string,
  ): Promise<Outcome<string>> {
    if (base !== undefined && changes.written.size === 0 && changes.removed.length === 0) {
      return { kind: "ok", value: base };
    }
    const dir = this.#mirror.dir;
    const commit = await writeCommit(this.#git, dir, {
      parent: base,
      changes,
      message: message.endsWith("\n") ? message : `${message}\n`,
      author: this.#author,
      atMs: (this.#options.now ?? Date.now)(),
    });
    if (base !== undefined) {
      // A path that is not UTF-8 can be neither compared nor removed by its name.
      const [before, after] = await this.#mirror.cat.check([`${base}^{tree}`, `${commit}^{tree}`]);
      if (before !== undefined && before.oid === after?.oid) return { kind: "ok", value: base };
    }
    const deadlineMs = this.#networkMs;
    const push = { ref: branch.remote, commit, base, deadlineMs };
    const outcome = await pushCommit(this.#git, this.#mirror, push);
    if (outcome.kind === "ok") {
      // It has happened: a failure to note it is not a failure, and the next refresh notes it.
      await this.#mirror.setRef(branch.local, commit).catch(() => this.#mirror.doubt(false));
      if (this.#known !== undefined) this.#known = new Map(this.#known).set(branch.remote, commit);
    }
    return outcome;
  }

  /** Only within a turn. */
  async #claimOnce(owner: string): Promise<Outcome<Claim>> {
    const base = (await this.#sync()).get(lease.remote);
    const held = base === undefined ? NO_CLAIM : await this.#claimAt(base);
    if (held === undefined) {
      const reason = `${lease.remote} holds no readable ${LEASE_FILE}; ` +
        "restore it with git revert, keeping its epoch (nodes refuse a lower one)";
      return { kind: "terminal", reason };
    }
    const now = new Date((this.#options.now ?? Date.now)()).toISOString();
    const { epoch, repository } = held;
    const claim = { epoch: epoch + 1, repository: repository || crypto.randomUUID() };
    const next = { ...claim, owner, claimedAt: now, claim: crypto.randomUUID() };
    const changes = { written: new Map([[LEASE_FILE, renderLease(next)]]), removed: [] };
    const message = `lease: epoch ${next.epoch} for ${owner.replaceAll(/\s+/g, " ")}`;
    const outcome = await this.#commit(lease, base, changes, message);
    return outcome.kind === "ok" ? { kind: "ok", value: claim } : outcome;
  }

  async #claimAt(commit: string): Promise<Claim | undefined> {
    const entry = (await this.listTree(commit)).find(({ path }) => path === LEASE_FILE);
    if (entry === undefined) return undefined;
    const bytes = (await this.readBlobs([entry.oid], MAX_LEASE)).get(entry.oid);
    return bytes === undefined ? undefined : parseClaim(new TextDecoder().decode(bytes));
  }

  /** A read that fails means a damaged mirror, or an id that never was in it. */
  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof GitError && !error.uncertain) this.#mirror.doubt(true);
      throw error;
    }
  }

  #failed(error: unknown, kind: "retryable" | "unknown"): Outcome<never> {
    this.#mirror.doubt(false);
    if (error instanceof GitError) return { kind, reason: error.message };
    const message = error instanceof Error ? error.message : String(error);
    return { kind, reason: `Cannot use the git mirror: ${message}` };
  }
}

function mustBeOid(oid: string): void {
  if (!OID.test(oid)) throw new GitError(`not a git object id: ${JSON.stringify(oid)}`, false);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
