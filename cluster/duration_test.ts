import assert from "node:assert/strict";
import { formatDuration, parseDuration } from "./duration.ts";

Deno.test("durations are whole numbers with units, the largest first", () => {
  assert.equal(parseDuration("5s"), 5_000);
  assert.equal(parseDuration("2m"), 120_000);
  assert.equal(parseDuration("1h30m"), 5_400_000);
  assert.equal(parseDuration("1d"), 86_400_000);
  assert.equal(parseDuration("1d2h3m4s5ms"), 93_784_005);
  assert.equal(parseDuration("500ms"), 500);
  assert.equal(parseDuration("0s"), 0);
  assert.equal(parseDuration("365d"), 365 * 86_400_000);
});

Deno.test("what is not exactly a duration is none", () => {
  const wrong = [
    "",
    "5",
    "-3m",
    "1h 30",
    "1h 30m",
    "30m1h",
    "1.5h",
    "5S",
    "5s5s",
    "1e3s",
    " 5s",
    "366d",
  ];
  for (const text of [...wrong, "9".repeat(400) + "s"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

Deno.test("formatted durations read back as the same time", () => {
  for (const ms of [0, 1, 999, 1_000, 61_000, 5_400_000, 93_784_005]) {
    assert.equal(parseDuration(formatDuration(ms)), ms);
  }
  assert.equal(formatDuration(5_400_000), "1h30m");
  assert.equal(formatDuration(0), "0s");
});
