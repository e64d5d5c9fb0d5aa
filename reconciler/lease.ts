/**
 * The lease: which controller may write, told by one document on the branch `ugro/lease` that is
 * written by compare-and-swap only. Nothing here depends on clocks that agree: each side counts on
 * its own clock how long ago it saw or wrote something (docs/adr/0007-lease.md).
 *
 * @module
 */
import type { Claim, Lease, LeaseAt } from "./ports.ts";

/** How often a controller renews a lease that somebody watches. */
export const RENEW_MS = 4000;

/** A watched controller acts no longer than this after it began its last successful renewal. */
export const HELD_MS = 8000;

/** A standby takes a watched lease that has not been renewed for so long. More than `HELD_MS`. */
const PATIENCE_MS = 10_000;

/** How often a standby looks at the lease. */
export const LOOK_MS = 1500;

/** A controller that knows of no standby looks at least this often whether there is one. */
export const ALONE_LOOK_MS = 20_000;

/** And acts no longer than this after it began its last successful look. */
export const ALONE_HELD_MS = 45_000;

/** A standby takes an unwatched lease after so long. More than `ALONE_HELD_MS`. */
const ALONE_PATIENCE_MS = 60_000;

/** How often a standby says that it is still there. */
export const SEEN_MS = 5 * 60_000;

/** A standby that has not said so for this long is forgotten. */
export const FORGET_MS = 15 * 60_000;

/** Who claims. */
export interface Claimant {
  /** Names the claim; no other has the same. */
  readonly claim: string;
  readonly owner: string;
  /** RFC 3339. */
  readonly claimedAt: string;
}

/**
 * The lease that a new claim writes over `held`. `before` is what the status branch remembers of
 * its last writer, in case the lease was deleted or set back; `newRepository` names a repository
 * that no controller has worked on before.
 */
export function claimOver(
  held: Lease | undefined,
  before: Claim | undefined,
  by: Claimant,
  newRepository: () => string,
): Lease {
  const standby = held?.standby && held.standby.name !== by.claim ? held.standby : undefined;
  return {
    epoch: Math.max(held?.epoch ?? 0, before?.epoch ?? 0) + 1,
    repository: held?.repository || before?.repository || newRepository(),
    owner: by.owner,
    claim: by.claim,
    claimedAt: by.claimedAt,
    beat: 0,
    watched: standby !== undefined,
    released: false,
    ...(standby ? { standby } : {}),
  };
}

/** The next renewal by the holder. */
export function renewed(lease: Lease, standby: Lease["standby"]): Lease {
  const { standby: _, ...rest } = lease;
  const watched = standby !== undefined;
  return { ...rest, beat: lease.beat + 1, watched, ...(standby ? { standby } : {}) };
}

/** What a controller learns about its own right from the lease that the branch shows. */
export type Finding =
  /** It is ours as we wrote it. */
  | "ours"
  /** Another controller has claimed it since. */
  | "lost"
  /** The branch was deleted or set back: it has to be written again. */
  | "undone";

/**
 * Compares what the branch shows with the lease that we wrote last (and wrote before we looked).
 */
export function compare(mine: Lease, shown: Lease | undefined): Finding {
  if (!shown) return "undone";
  if (shown.claim === mine.claim) return shown.beat < mine.beat ? "undone" : "ours";
  return shown.epoch >= mine.epoch ? "lost" : "undone";
}

/**
 * Whether a standby may take the lease that it has seen unchanged for `unchangedMs`. A holder that
 * cannot know of a standby yet must be left alone: it renews nothing.
 */
export function mayTake(shown: Lease | undefined, unchangedMs: number): boolean {
  if (!shown) return unchangedMs >= ALONE_PATIENCE_MS;
  if (shown.released) return true;
  if (!shown.standby) return false;
  return unchangedMs >= (shown.watched ? PATIENCE_MS : ALONE_PATIENCE_MS);
}

/** How far an epoch is raised at once on the word of a node, which may lie. */
const MAX_RAISE = 1000;

/** The epoch to go on with when nodes have seen `seen` although the lease is ours. */
export function raisedEpoch(epoch: number, seen: number): number {
  return seen >= epoch && seen - epoch <= MAX_RAISE ? seen + 1 : epoch;
}

/** What changes when the holder of a lease lives, whatever a standby writes into it. */
export function signOfLife(at: LeaseAt | undefined): string {
  return at ? `${at.lease.claim} ${at.lease.beat} ${at.lease.watched}` : "none";
}
