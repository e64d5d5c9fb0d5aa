import assert from "node:assert/strict";
import { JOB_NAME } from "../jobs/schema.ts";
import { dueOf, instanceName, stemOf } from "./instance_name.ts";

const DUE = Date.UTC(2026, 0, 2, 3, 5);

Deno.test("a run is named after its template and its time in UTC, and can be read back", () => {
  assert.equal(instanceName("nightly", DUE), "nightly-20260102-0305");
  assert.deepEqual(dueOf("nightly-20260102-0305"), { stem: "nightly", dueMs: DUE });
  assert.deepEqual(dueOf("a-20260101-0000-20260102-0305"), {
    stem: "a-20260101-0000",
    dueMs: DUE,
  });
});

Deno.test("a long name is cut so that all fits, and those that begin alike stay apart", () => {
  const long = `${"a".repeat(60)}-b`;
  const other = `${"a".repeat(60)}-c`;
  for (const name of [long, other, "a".repeat(49), "a".repeat(50), `${"a".repeat(41)}-${long}`]) {
    const run = instanceName(name.slice(0, 63), DUE);
    assert.ok(run.length <= 63 && JOB_NAME.test(run), run);
    assert.equal(dueOf(run)?.stem, stemOf(name.slice(0, 63)));
  }
  assert.equal(instanceName("a".repeat(49), DUE), `${"a".repeat(49)}-20260102-0305`);
  assert.notEqual(instanceName(long, DUE), instanceName(other, DUE));
});

Deno.test("what only looks like a time is none", () => {
  const others = [
    "nightly",
    "-20260102-0305",
    "nightly-20260230-0305",
    "nightly-20261302-0305",
    "nightly-20260102-2405",
    "nightly-20260102-0360",
    "nightly-20260102",
    "nightly-20260102-03051",
  ];
  for (const name of others) assert.equal(dueOf(name), undefined, name);
});
