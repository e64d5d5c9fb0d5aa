import assert from "node:assert/strict";
import { parseTime } from "./time.ts";

const NOON = Date.UTC(2026, 11, 1, 12);

Deno.test("a time has a day, seconds and a zone", () => {
  assert.equal(parseTime("2026-12-01T12:00:00Z"), NOON);
  assert.equal(parseTime("2026-12-01t12:00:00z"), NOON);
  assert.equal(parseTime("2026-12-01 13:00:00+01:00"), NOON);
  assert.equal(parseTime("2026-12-01T06:30:00-05:30"), NOON);
  assert.equal(parseTime("2026-12-01T12:00:00.250Z"), NOON + 250);
  assert.equal(parseTime("2028-02-29T00:00:00Z"), Date.UTC(2028, 1, 29));
});

Deno.test("what leaves the zone or the calendar is no time", () => {
  const wrong = [
    "",
    "tomorrow",
    "2026-12-01",
    "2026-12-01T12:00Z",
    "2026-12-01T12:00:00",
    "2026-12-01T12:00:00+01",
    "2026-12-01T12:00:00+99:99",
    "2026-12-01T25:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-00-01T12:00:00Z",
    "2026-12-00T12:00:00Z",
    "2026-02-29T12:00:00Z",
    "2026-02-30T12:00:00Z",
    " 2026-12-01T12:00:00Z",
    "12026-12-01T12:00:00Z",
  ];
  for (const text of wrong) assert.equal(parseTime(text), undefined, text);
});
