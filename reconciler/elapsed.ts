/**
 * How much time has passed, by several clocks of which each may be wrong: the wall clock is set, and
 * the steady one stands still while a laptop sleeps.
 *
 * @module
 */

/** A clock, in milliseconds since whenever. */
export type Reading = () => number;

/** Time as it passed at most: for those who may act only until some moment. */
export function fastest(clocks: readonly Reading[]): Reading {
  return combine(clocks, (passed) => Math.max(...passed));
}

/** Time as it passed at least: for those who must wait. */
export function slowest(clocks: readonly Reading[]): Reading {
  return combine(clocks, (passed) => Math.min(...passed));
}

/** Never goes back. Begins at 0. */
function combine(
  clocks: readonly Reading[],
  choose: (passed: readonly number[]) => number,
): Reading {
  let last = clocks.map((clock) => clock());
  let total = 0;
  return () => {
    const now = clocks.map((clock) => clock());
    total += Math.max(0, choose(now.map((ms, i) => ms - (last[i] ?? ms))));
    last = now;
    return total;
  };
}

/** The earliest of the times that are known; undefined when none is. */
export function earliest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}
