/**
 * The order in which those who wait are listed, and how many stand before each. A job at a limit,
 * or one that can never start, is in nobody's way: it does not count for others, and what can never
 * start comes last.
 *
 * @example
 * inTurn(served.waiting).map(({ waits, ahead }) => `${ahead} before ${waits.request.name}`);
 *
 * @module
 */
import type { Waits } from "./scheduling/types.ts";

/** What is looked at of a job that waits. */
type Told = Pick<Waits, "reason" | "numbers">;

/** Jobs that wait, in the order in which people read them; `all` as they are tried. */
export function inTurn<T extends Told>(all: readonly T[]): { waits: T; ahead: number }[] {
  const [never, others] = [all.filter(canNeverStart), all.filter((one) => !canNeverStart(one))];
  let competing = 0;
  return [...others, ...never].map((waits) => {
    const ahead = competing;
    if (waits.reason !== "Quota" && !canNeverStart(waits)) competing++;
    return { waits, ahead };
  });
}

/** Whatever ends or frees: the cluster, or a limit, has no room for it. */
function canNeverStart({ reason, numbers }: Told): boolean {
  if (reason === "Unschedulable") return true;
  const { needed = 0, limit = Infinity, limitHours } = numbers;
  return reason === "Quota" && (needed > limit + 1e-6 || limitHours === 0);
}
