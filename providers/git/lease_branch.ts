/**
 * The branch `ugro/lease`: one document, read and written by compare-and-swap.
 *
 * A new claim is a commit on top of the one before, so that `git log ugro/lease` lists the claims,
 * each as it was last. A renewal, of which there may be tens of thousands a day, replaces the tip
 * instead: its parent is the parent of the lease that it renews. So this branch, and no other, is
 * force-pushed (`--force-with-lease`): a forge must not protect it against that.
 *
 * It has a mirror and turns of its own: a renewal must not wait for a slow fetch of the state.
 *
 * @module
 */
import type { Lease, LeaseAt, Outcome } from "../../reconciler/ports.ts";
import type { GitBackend, Tracked } from "./backend.ts";
import { type Author, Branches } from "./branches.ts";
import { LEASE_FILE, leaseMessage, MAX_LEASE, parseLease, renderLease } from "./lease.ts";
import { Turns } from "./turns.ts";

/** The branch, and the ref that follows it. */
export const LEASE: Tracked = { remote: "refs/heads/ugro/lease", local: "refs/ugro/lease" };

/** What a version of the branch says; `lease` undefined: nothing that is a lease. */
interface Version {
  readonly version: string;
  readonly lease: Lease | undefined;
}

/** Reads and writes the lease. */
export class LeaseBranch {
  readonly #branches: Branches;
  readonly #turns = new Turns();
  /** What was decoded last. */
  #last: Version | undefined;

  constructor(backend: GitBackend, author: Author) {
    this.#branches = new Branches(backend, [LEASE], author);
  }

  /**
   * The lease, when the remote has just said that its branch stands at `tip`; undefined: there is
   * none, or none that can be read. Fetches if need be, then it may be a later one. Throws GitError.
   */
  async at(tip: string | undefined): Promise<LeaseAt | undefined> {
    if (tip === undefined) return undefined;
    const known = this.#last?.version === tip ? this.#last : await this.#fetch();
    return known?.lease && { version: known.version, lease: known.lease };
  }

  /** Asks the remote; fetches only what changed. */
  async read(): Promise<Outcome<LeaseAt | undefined>> {
    try {
      const found = await this.#fetch();
      if (found === undefined) return { kind: "ok", value: undefined };
      const { version, lease } = found;
      if (lease !== undefined) return { kind: "ok", value: { version, lease } };
      const reason = `${LEASE.remote} holds no readable ${LEASE_FILE}; ` +
        "restore it with git revert, keeping its epoch (nodes refuse a lower one)";
      return { kind: "terminal", reason };
    } catch (error) {
      return this.#branches.failed(error, "unknown");
    }
  }

  /** Replaces the version `base` (undefined: nothing) by a lease; gives the new version. */
  async write(base: string | undefined, lease: Lease): Promise<Outcome<string>> {
    const text = renderLease(lease);
    if (parseLease(text) === undefined) {
      return { kind: "terminal", reason: "Cannot write the lease: a value of it is out of bounds" };
    }
    return await this.#turns.take(async () => {
      try {
        await this.#branches.open();
        const before = base === undefined ? undefined : (await this.#decode(base)).lease;
        const parent = base !== undefined && before?.claim === lease.claim
          ? await this.#branches.backend.parent(base)
          : base;
        const changes = { written: new Map([[LEASE_FILE, text]]), removed: [] };
        const commit = await this.#branches.commit(parent, changes, leaseMessage(lease, before));
        const outcome = await this.#branches.push(LEASE, base, commit);
        if (outcome.kind === "ok") this.#last = { version: commit, lease };
        return outcome;
      } catch (error) {
        return this.#branches.failed(error, "retryable");
      }
    });
  }

  /** Ends all processes. */
  async close(): Promise<void> {
    await this.#branches.backend.close();
    await this.#turns.take(() => Promise.resolve());
  }

  #fetch(): Promise<Version | undefined> {
    return this.#turns.take(async () => {
      try {
        const tip = (await this.#branches.sync()).positions.get(LEASE.remote);
        return tip === undefined ? undefined : await this.#decode(tip);
      } catch (error) {
        this.#branches.backend.doubt(false);
        throw error;
      }
    });
  }

  async #decode(version: string): Promise<Version> {
    if (this.#last?.version === version) return this.#last;
    const found = await this.#branches.objectAt(version, LEASE_FILE);
    let lease: Lease | undefined;
    if (found?.type === "blob") {
      const { backend } = this.#branches;
      const blobs = await this.#branches.reading(() => backend.readBlobs([found.oid], MAX_LEASE));
      const bytes = blobs.get(found.oid);
      lease = bytes && parseLease(new TextDecoder().decode(bytes));
    }
    return this.#last = { version, lease };
  }
}
