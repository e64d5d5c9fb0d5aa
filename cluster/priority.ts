/**
 * Priorities by name, in manifests and in `cluster.yaml`. A higher number goes first.
 *
 * @module
 */

/** What the words stand for. */
export const PRIORITIES = { low: -100, normal: 0, high: 100, urgent: 1000 } as const;

/** The lowest and the highest priority. */
export const PRIORITY_RANGE = { min: -1000, max: 1000 } as const;

/** A priority as people write it. */
export type PriorityWord = keyof typeof PRIORITIES;

/** The number that a word or a number stands for. */
export function priorityOf(given: number | PriorityWord): number {
  return typeof given === "number" ? given : PRIORITIES[given];
}
