import assert from "node:assert/strict";
import { expectedWords } from "./expected.ts";

const now = Date.parse("2026-01-01T01:00:00Z");

Deno.test("an expected start is told from now on, with what it rests on", () => {
  const at = (expectedStart: string) => expectedWords({ expectedStart, expectedBy: "limit" }, now);
  assert.equal(at("2026-01-01T03:10:00.000Z"), "in 2h10m by limit");
  assert.equal(at("2026-01-01T00:59:00.000Z"), "now by limit", "the status is a little old");
  assert.equal(at("soon"), "in ? by limit");
  assert.equal(expectedWords({}, now), "");
  const expectedUnknown = "d1, d3 have no maxDuration";
  assert.equal(expectedWords({ expectedUnknown }, now), `not known: ${expectedUnknown}`);
});
