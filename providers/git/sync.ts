/**
 * Brings a mirror's three tracking refs to where the remote's branches stand.
 *
 * `git ls-remote` asks first: an unchanged remote costs one short round trip and no fetch, and a
 * branch that is gone is told apart from a remote that did not answer.
 *
 * @module
 */
import { GitError } from "./git.ts";
import type { Mirror } from "./mirror.ts";

/** A branch of the remote and the mirror's ref that follows it. */
export interface Tracked {
  /** `refs/heads/…` on the remote. */
  readonly remote: string;
  /** `refs/ugro/…` in the mirror. */
  readonly local: string;
}

/** Where the tracked branches stand, by `remote`; absent: no such branch. */
export type Positions = ReadonlyMap<string, string>;

/** A branch that is deleted or moved between two calls makes a round void; more are bad luck. */
const ROUNDS = 4;

/**
 * Asks, fetches what changed, forgets what is gone. `known` are the positions of the last time,
 * for which the objects are in the mirror. Throws {@linkcode GitError}: then nothing is known.
 */
export async function syncRefs(
  mirror: Mirror,
  tracked: readonly Tracked[],
  known: Positions | undefined,
): Promise<Positions> {
  let failed: GitError | undefined;
  let have = known ?? await localPositions(mirror, tracked);
  for (let round = 0; round < ROUNDS; round++) {
    const refs = await mirror.remoteRefs(["--heads", ...tracked.map((one) => one.remote)]);
    const changed = tracked.filter(({ remote }) => refs.get(remote) !== have.get(remote));
    const moved = changed.filter(({ remote }) => refs.has(remote));
    try {
      if (moved.length > 0) {
        await mirror.fetch(moved.map(({ remote, local }) => `+${remote}:${local}`));
      }
    } catch (error) {
      if (!(error instanceof GitError) || !/couldn't find remote ref/.test(error.stderr)) {
        throw error;
      }
      failed = error;
      continue;
    }
    for (const { remote, local } of changed) {
      if (!refs.has(remote)) await mirror.setRef(local, undefined);
    }
    if (changed.length > 0) have = await localPositions(mirror, tracked);
    // A mirror that was re-created meanwhile has only what moved; a branch may be newer than told.
    if (tracked.every(({ remote }) => refs.has(remote) === have.has(remote))) return have;
  }
  throw failed ?? new GitError(`Cannot read ${mirror.remote.display}: it keeps changing`, false);
}

async function localPositions(mirror: Mirror, tracked: readonly Tracked[]): Promise<Positions> {
  const refs = await mirror.refs();
  return new Map(tracked.flatMap(({ remote, local }) => {
    const oid = refs.get(local);
    return oid === undefined ? [] : [[remote, oid] as const];
  }));
}
