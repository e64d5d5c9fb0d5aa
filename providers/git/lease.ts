/**
 * The writer's lease: one file on the branch `ugro/lease`, whose epoch every claim raises by one.
 *
 * @module
 */

import type { Claim } from "../../reconciler/ports.ts";

/** Name of the only file on the branch. */
export const LEASE_FILE = "lease.json";

/** Before the first claim. */
export const NO_CLAIM: Claim = { epoch: 0, repository: "" };

/** What the file says. */
export interface Lease extends Claim {
  readonly owner: string;
  /** RFC 3339. */
  readonly claimedAt: string;
  /** Makes each claim a commit of its own, even by one owner within one second. */
  readonly claim: string;
}

/** The claim in a lease file, or undefined when it is none. */
export function parseClaim(text: string): Claim | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("epoch" in value)) return undefined;
    const { epoch } = value;
    if (!Number.isSafeInteger(epoch) || Number(epoch) < 0) return undefined;
    const named = "repository" in value && typeof value.repository === "string";
    return { epoch: Number(epoch), repository: named ? String(value.repository).slice(0, 64) : "" };
  } catch {
    return undefined;
  }
}

/** The file of a lease. */
export function renderLease(lease: Lease): string {
  return JSON.stringify(lease, null, 2) + "\n";
}
