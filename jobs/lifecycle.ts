/**
 * The lifecycle of a job: one table of the steps that may happen; any other step throws.
 *
 * @example
 * step("Running", "Recovering"); // fine
 * step("Succeeded", "Running");  // throws: only a new attempt (Launching) may follow
 *
 * @module
 */
import type { Phase } from "./status.ts";

/** For each phase the phases that may follow it; staying is always allowed. */
export const STEPS: Readonly<Record<Phase, readonly Phase[]>> = {
  Pending: ["Launching", "Running", "Suspended", "Cancelled", "Invalid", "Failed", "Unknown"],
  Launching: [
    "Running",
    "Recovering",
    "Suspended",
    "Cancelled",
    "Failed",
    "Succeeded",
    "Unknown",
    "Pending",
    "Invalid",
  ],
  Running: [
    "Succeeded",
    "Failed",
    "Recovering",
    "Suspended",
    "Cancelled",
    "Unknown",
    "Pending",
    "Launching",
    "Invalid",
  ],
  Recovering: [
    "Launching",
    "Running",
    "Failed",
    "Suspended",
    "Cancelled",
    "Pending",
    "Unknown",
    "Invalid",
  ],
  Suspended: ["Pending", "Launching", "Running", "Cancelled", "Unknown", "Invalid", "Succeeded"],
  Unknown: [
    "Running",
    "Launching",
    "Recovering",
    "Pending",
    "Succeeded",
    "Failed",
    "Suspended",
    "Cancelled",
    "Invalid",
  ],
  Succeeded: ["Pending", "Launching", "Cancelled"],
  Failed: ["Pending", "Launching", "Suspended", "Cancelled", "Invalid"],
  Cancelled: ["Pending", "Launching", "Suspended", "Invalid", "Unknown"],
  Invalid: [
    "Pending",
    "Launching",
    "Running",
    "Recovering",
    "Suspended",
    "Cancelled",
    "Unknown",
    "Failed",
    "Succeeded",
  ],
};

/** Phases in which a job holds or may hold machines. */
export function isActive(phase: Phase): boolean {
  return phase === "Launching" || phase === "Running" || phase === "Unknown";
}

/** Phases that end a job until a person changes something. */
export function isFinal(phase: Phase): boolean {
  return phase === "Succeeded" || phase === "Failed" || phase === "Cancelled";
}

/** Checks one step of the lifecycle. Throws on an illegal one: that is a bug, not an input. */
export function step(from: Phase, to: Phase): Phase {
  if (from !== to && !STEPS[from].includes(to)) {
    throw new Error(`Cannot go from ${from} to ${to}: not a step of the lifecycle`);
  }
  return to;
}
