import assert from "node:assert/strict";
import { age } from "./age.ts";

Deno.test("ages have at most two units next to each other", () => {
  const start = "2026-01-01T00:00:00Z";
  const after = (seconds: number) => age(start, Date.parse(start) + seconds * 1000);
  assert.deepEqual([0, 59, 60, 61, 3600, 3605, 3725, 86_400, 90_000].map(after), [
    "0s",
    "59s",
    "1m",
    "1m1s",
    "1h",
    "1h",
    "1h2m",
    "1d",
    "1d1h",
  ]);
  assert.equal(after(-5), "0s");
  assert.equal(age("yesterday", 0), "?");
});
