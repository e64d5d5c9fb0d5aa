/**
 * Brings a mirror's tracking refs to where the remote's branches stand.
 *
 * The remote is asked first: an unchanged one costs one short round trip and no fetch, and a branch
 * that is gone is told apart from a remote that did not answer.
 *
 * @module
 */
import type { GitBackend, Refs, Tracked } from "./backend.ts";
import { GitError } from "./error.ts";

/** What a sync found. */
export interface Synced {
  /** Where the tracked branches stand, by `remote`; their objects are in the mirror. */
  readonly positions: Refs;
  /** What the remote said of all refs that it was asked for. */
  readonly told: Refs;
}

/** A branch that is deleted or moved between two calls makes a round void; more are bad luck. */
const ROUNDS = 4;

/**
 * Asks, fetches what changed, forgets what is gone. `known` are the positions of the last time, for
 * which the objects are in the mirror; `also` are refs to ask for but not to fetch. Throws
 * {@linkcode GitError}: then nothing is known.
 */
export async function syncRefs(
  backend: GitBackend,
  tracked: readonly Tracked[],
  known: Refs | undefined,
  also: readonly string[] = [],
): Promise<Synced> {
  const asked = [...tracked.map((one) => one.remote), ...also];
  let have = known ?? await localPositions(backend, tracked);
  for (let round = 0; round < ROUNDS; round++) {
    const told = await backend.remoteRefs(asked);
    const changed = tracked.filter(({ remote }) => told.get(remote) !== have.get(remote));
    const moved = changed.filter(({ remote }) => told.has(remote));
    if (moved.length > 0 && !await backend.fetch(moved)) continue;
    for (const { remote, local } of changed) {
      if (!told.has(remote)) await backend.setLocalRef(local, undefined);
    }
    if (changed.length > 0) have = await localPositions(backend, tracked);
    // A mirror that was re-created meanwhile has only what moved; a branch may be newer than told.
    if (tracked.every(({ remote }) => told.has(remote) === have.has(remote))) {
      return { positions: have, told };
    }
  }
  throw new GitError(`Cannot read ${backend.display}: its branches keep changing`, false);
}

async function localPositions(backend: GitBackend, tracked: readonly Tracked[]): Promise<Refs> {
  const refs = await backend.localRefs();
  return new Map(tracked.flatMap(({ remote, local }) => {
    const oid = refs.get(local);
    return oid === undefined ? [] : [[remote, oid] as const];
  }));
}
