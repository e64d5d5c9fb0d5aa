/**
 * The times of a schedule: the last one that has come and the next one that will. The cron field
 * rules are croner's.
 *
 * @example
 * const schedule = { cron: "0 3 * * *", timezone: "Europe/Berlin", … };
 * previousRunMs(schedule, Date.UTC(2026, 0, 1, 12)); // 2026-01-01T02:00:00Z
 * nextRunMs(schedule, Date.UTC(2026, 0, 1, 12)); // 2026-01-02T02:00:00Z
 *
 * When the clocks change: an hour named by number ("30 2 * * *") that spring leaves out runs when
 * the clock has jumped, and one that autumn has twice runs the first time only, so that each day
 * has its run. Repeated times ("30 * * * *") follow the hours that pass: none in spring's gap, both
 * in autumn.
 *
 * @module
 */
import { Cron } from "croner";
import type { CronSchedule } from "./job.ts";

/** The two times around an instant; right until the second of them comes. */
interface Around {
  readonly askedMs: number;
  readonly previousMs: number | undefined;
  readonly nextMs: number | undefined;
}

/** A parsed schedule with its newest answer: most passes ask for the same two times. */
interface Clock {
  readonly cron: Cron | undefined;
  around: Around | undefined;
}

const clocks = new WeakMap<CronSchedule, Clock>();

/** The newest time at or before `nowMs`; undefined: there was none. Milliseconds since the epoch. */
export function previousRunMs(schedule: CronSchedule, nowMs: number): number | undefined {
  return around(schedule, nowMs).previousMs;
}

/** The first time after `nowMs`; undefined: there will be none, as for the 30th of February. */
export function nextRunMs(schedule: CronSchedule, nowMs: number): number | undefined {
  return around(schedule, nowMs).nextMs;
}

function around(schedule: CronSchedule, nowMs: number): Around {
  let clock = clocks.get(schedule);
  if (!clock) clocks.set(schedule, clock = { cron: read(schedule), around: undefined });
  if (!clock.around || !holds(clock.around, nowMs)) clock.around = ask(clock.cron, nowMs);
  return clock.around;
}

function holds({ askedMs, previousMs, nextMs }: Around, nowMs: number): boolean {
  return nowMs >= (previousMs ?? askedMs) && nowMs < (nextMs ?? Infinity);
}

function ask(cron: Cron | undefined, nowMs: number): Around {
  // The library's "before" leaves out the instant itself.
  const previousMs = cron?.previousRuns(1, new Date(nowMs + 1))[0]?.getTime();
  return { askedMs: nowMs, previousMs, nextMs: cron?.nextRun(new Date(nowMs))?.getTime() };
}

/** A manifest is read with a check of its schedule; what still is none has no times at all. */
function read({ cron, timezone }: CronSchedule): Cron | undefined {
  try {
    const read = new Cron(cron, { timezone, mode: "5-part", fixedTimeRule: "no-wildcard" });
    // A time zone that does not exist is not noticed before somebody asks for a time.
    read.nextRun(new Date(0));
    return read;
  } catch {
    return undefined;
  }
}
