/**
 * Time for this folder: the machine's own unless a test brings another.
 *
 * @module
 */
import type { Clock } from "../../reconciler/ports.ts";

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    }),
};

/** What `promise` gives, or `undefined` once `ms` have passed. Leaves no timer. */
export async function within<T>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  const timer = new AbortController();
  try {
    return await Promise.race([promise, clock.sleep(ms, timer.signal).then(() => undefined)]);
  } finally {
    timer.abort();
  }
}

/** Calls `action` after `ms` unless the function that it returns is called before. */
export function after(clock: Clock, ms: number, action: () => void): () => void {
  const timer = new AbortController();
  clock.sleep(ms, timer.signal).then(() => timer.signal.aborted || action());
  return () => timer.abort();
}
