/**
 * The lease as a file: `lease.json` on the branch `ugro/lease`.
 *
 * @module
 */
import { z } from "zod";
import type { Lease } from "../../reconciler/ports.ts";

/** Name of the file. */
export const LEASE_FILE = "lease.json";

/** Largest lease that is read, in bytes. */
export const MAX_LEASE = 16 * 1024;

const count = z.number().int().nonnegative();
const name = z.string().min(1).max(100);
const person = z.string().max(300);

/** What later versions add is not our business; what is missing was so before there were standbys. */
const schema = z.object({
  epoch: count,
  repository: z.string().max(64),
  owner: person,
  claim: name,
  claimedAt: z.string().min(1).max(40),
  beat: count.default(0),
  watched: z.boolean().default(false),
  released: z.boolean().default(false),
  standby: z.object({ name, owner: person, seen: count }).optional(),
});

/** The lease in a file, or undefined when it is none. */
export function parseLease(text: string): Lease | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return undefined;
  const { standby, ...lease } = parsed.data;
  return standby === undefined ? lease : { ...lease, standby };
}

/** The file of a lease. */
export function renderLease(lease: Lease): string {
  return JSON.stringify(lease, null, 2) + "\n";
}

/** The message of the commit that writes `lease`; `before` is the one that it replaces. */
export function leaseMessage(lease: Lease, before: Lease | undefined): string {
  const what = `lease: epoch ${lease.epoch}`;
  if (before?.claim === lease.claim) {
    return `${what} ${lease.released && !before.released ? "released" : "renewed"}\n`;
  }
  return `${what} for ${lease.owner.replaceAll(/\s+/g, " ")}\n`;
}
