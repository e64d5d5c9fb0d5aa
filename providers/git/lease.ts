/**
 * The writer's lease: one file on the branch `ugro/lease`, whose epoch every claim raises by one.
 *
 * @module
 */

/** Name of the only file on the branch. */
export const LEASE_FILE = "lease.json";

/** What the file says. */
export interface Lease {
  readonly epoch: number;
  readonly owner: string;
  /** RFC 3339. */
  readonly claimedAt: string;
  /** Makes each claim a commit of its own, even by one owner within one second. */
  readonly claim: string;
}

/** The epoch in a lease file, or undefined when it is none. */
export function parseEpoch(text: string): number | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("epoch" in value)) return undefined;
    const { epoch } = value;
    return Number.isSafeInteger(epoch) && Number(epoch) >= 0 ? Number(epoch) : undefined;
  } catch {
    return undefined;
  }
}

/** The file of a lease. */
export function renderLease(lease: Lease): string {
  return JSON.stringify(lease, null, 2) + "\n";
}
