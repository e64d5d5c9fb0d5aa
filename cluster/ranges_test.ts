import assert from "node:assert/strict";
import { expandRange } from "./ranges.ts";

const names = (text: string, max = 10_000) => {
  const expanded = expandRange(text, max);
  return expanded.ok ? expanded.names : expanded.reason;
};

Deno.test("ranges keep the width of their start", () => {
  assert.deepEqual(names("gpu[08-10,12]"), ["gpu08", "gpu09", "gpu10", "gpu12"]);
  assert.deepEqual(names("r[1-2]-[01-02]x"), ["r1-01x", "r1-02x", "r2-01x", "r2-02x"]);
  assert.deepEqual(names("single"), ["single"]);
});

Deno.test("ranges are bounded before they are expanded", () => {
  assert.equal(names("n[0-9999]").length, 10_000);
  assert.equal(names("n[0-999999999]"), "more than 10000 names");
  assert.equal(names("n[0-999][0-999]"), "more than 10000 names");
});

Deno.test("a range that means nothing says why", () => {
  assert.equal(names("n[3-1]"), "the range 3-1 runs backwards");
  assert.equal(names("n[1-"), "a bracket has no partner");
  assert.equal(names("n[a]"), "a range is written `[1-8]` or `[01-08,12]`");
});
