import assert from "node:assert/strict";
import fc from "fast-check";
import { nextRunMs, previousRunMs } from "./cron.ts";
import type { CronSchedule } from "./job.ts";

function schedule(cron: string, timezone = "UTC"): CronSchedule {
  return { cron, timezone, concurrency: "forbid", keep: 3, startWithinMs: 3_600_000 };
}

const iso = (ms: number | undefined) => ms === undefined ? undefined : new Date(ms).toISOString();

/** The next so many times after an instant. */
function runs(given: CronSchedule, from: string, count: number): (string | undefined)[] {
  let at: number | undefined = Date.parse(from);
  return Array.from({ length: count }, () => {
    at = at === undefined ? undefined : nextRunMs(given, at);
    return iso(at)?.slice(0, 16);
  });
}

Deno.test("a time is the previous one from its own instant on, and the next one until then", () => {
  const daily = schedule("0 3 * * *");
  const at = Date.parse("2026-05-05T03:00:00Z");
  assert.equal(iso(previousRunMs(daily, at - 1)), "2026-05-04T03:00:00.000Z");
  assert.equal(iso(nextRunMs(daily, at - 1)), "2026-05-05T03:00:00.000Z");
  assert.equal(iso(previousRunMs(daily, at)), "2026-05-05T03:00:00.000Z");
  assert.equal(iso(nextRunMs(daily, at)), "2026-05-06T03:00:00.000Z");
  assert.equal(iso(previousRunMs(daily, at + 500)), "2026-05-05T03:00:00.000Z");
});

Deno.test("a clock that is set back gets the times of its own day", () => {
  const daily = schedule("0 3 * * *");
  assert.equal(iso(previousRunMs(daily, Date.parse("2026-05-05T12:00:00Z")))?.slice(8, 10), "05");
  assert.equal(iso(previousRunMs(daily, Date.parse("2026-05-01T12:00:00Z")))?.slice(8, 10), "01");
});

Deno.test("hours are those of the time zone", () => {
  const from = "2026-01-15T12:00:00Z";
  const first = (timezone: string) => runs(schedule("0 3 * * *", timezone), from, 1)[0];
  assert.equal(first("Europe/Berlin"), "2026-01-16T02:00");
  assert.equal(first("America/New_York"), "2026-01-16T08:00");
  assert.equal(first("Asia/Kolkata"), "2026-01-15T21:30");
});

Deno.test("an hour that spring leaves out runs when the clock has jumped", () => {
  const berlin = schedule("30 2 * * *", "Europe/Berlin");
  assert.deepEqual(runs(berlin, "2026-03-28T12:00:00Z", 2), [
    "2026-03-29T01:00", // 03:00 on the wall
    "2026-03-30T00:30",
  ]);
  const after = Date.parse("2026-03-29T10:00:00Z");
  assert.equal(iso(previousRunMs(berlin, after)), "2026-03-29T01:00:00.000Z");
});

Deno.test("so does one of several hours", () => {
  const berlin = schedule("30 2,14 * * *", "Europe/Berlin");
  assert.deepEqual(runs(berlin, "2026-03-28T14:00:00Z", 2), [
    "2026-03-29T01:00",
    "2026-03-29T12:30",
  ]);
});

Deno.test("an hour that autumn has twice runs the first time only", () => {
  const berlin = schedule("30 2 * * *", "Europe/Berlin");
  assert.deepEqual(runs(berlin, "2026-10-24T12:00:00Z", 2), [
    "2026-10-25T00:30",
    "2026-10-26T01:30",
  ]);
  const second = Date.parse("2026-10-25T01:30:00Z"); // 02:30 once more
  assert.equal(iso(previousRunMs(berlin, second)), "2026-10-25T00:30:00.000Z");
});

Deno.test("an hourly schedule follows the hours that pass", () => {
  const hourly = schedule("30 * * * *", "Europe/Berlin");
  assert.deepEqual(runs(hourly, "2026-10-24T23:00:00Z", 4), [
    "2026-10-24T23:30",
    "2026-10-25T00:30",
    "2026-10-25T01:30",
    "2026-10-25T02:30",
  ]);
  assert.deepEqual(runs(hourly, "2026-03-29T00:00:00Z", 2), [
    "2026-03-29T00:30",
    "2026-03-29T01:30",
  ]);
});

Deno.test("a day that no year has gives no time, and a leap day gives the leap years", () => {
  assert.equal(nextRunMs(schedule("0 0 30 2 *"), 0), undefined);
  assert.equal(previousRunMs(schedule("0 0 30 2 *"), Date.UTC(2026, 0)), undefined);
  assert.deepEqual(runs(schedule("0 0 29 2 *"), "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00"]);
});

Deno.test("what is no schedule has no times", () => {
  for (const cron of ["", "often", "* * * * * *", "61 * * * *"]) {
    assert.equal(nextRunMs(schedule(cron), Date.UTC(2026, 0)), undefined, cron);
  }
  assert.equal(nextRunMs(schedule("0 3 * * *", "Mars/Olympus"), Date.UTC(2026, 0)), undefined);
});

Deno.test("between two times nothing comes, however they are asked for", () => {
  const given = fc.record({
    cron: fc.constantFrom("*/7 * * * *", "0 3 * * *", "15 2 * * 1", "30 1-3 * * *", "0 0 1 * *"),
    timezone: fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
    nowMs: fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) }),
  });
  fc.assert(fc.property(given, ({ cron, timezone, nowMs }) => {
    const one = schedule(cron, timezone);
    const previous = previousRunMs(one, nowMs) as number;
    const next = nextRunMs(one, nowMs) as number;
    assert.ok(previous <= nowMs && nowMs < next);
    // Fresh objects, so that nothing is answered from memory.
    assert.equal(nextRunMs(schedule(cron, timezone), previous), next);
    assert.equal(previousRunMs(schedule(cron, timezone), next - 1), previous);
  }));
});
