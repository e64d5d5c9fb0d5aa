/**
 * From what a session says to what the reconciler may conclude.
 *
 * @module
 */
import type { Outcome } from "../../reconciler/ports.ts";
import type { Reply } from "./session.ts";

/** Codes with which a runner says: not done, and asking again cannot help. */
const TERMINAL = new Set(["stale-epoch", "conflict", "invalid", "not-found"]);
/** Codes with which it says: not done, try later. */
const RETRYABLE = new Set(["no-space", "failed"]);

/** `undefined` is a reply that did not come before the deadline. */
export function toOutcome<T>(op: string, reply: Reply<T> | undefined): Outcome<T> {
  if (reply === undefined) return { kind: "unknown", reason: `${op}: no answer in time` };
  switch (reply.kind) {
    case "ok":
      return reply;
    case "unsent":
      return { kind: "retryable", reason: reply.reason };
    case "lost":
      return { kind: "unknown", reason: reply.reason };
    case "refused": {
      const reason = `${reply.code}: ${reply.message}`;
      if (TERMINAL.has(reply.code)) return { kind: "terminal", reason };
      return { kind: RETRYABLE.has(reply.code) ? "retryable" : "unknown", reason };
    }
  }
}
