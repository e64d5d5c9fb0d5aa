/**
 * Stopwatch: how long a piece of work takes by the clock on the wall, and how long this process was
 * on a CPU for it. On a machine that others use too, the second is what the work itself costs.
 *
 * @module
 */
import process from "node:process";

/** Both times in milliseconds. */
export interface Timed<T> {
  readonly result: T;
  readonly wallMs: number;
  /** All threads of the process: a little more than the wall on a machine that does nothing else. */
  readonly cpuMs: number;
}

/** Does the work once. */
export function time<T>(work: () => T): Timed<T> {
  const before = process.cpuUsage();
  const start = performance.now();
  const result = work();
  const wallMs = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { result, wallMs, cpuMs: (user + system) / 1000 };
}

/** The middle one. */
export function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? NaN;
}
