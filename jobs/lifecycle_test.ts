import assert from "node:assert/strict";
import { isActive, isFinal, step, STEPS } from "./lifecycle.ts";
import type { Phase } from "./status.ts";

const PHASES = Object.keys(STEPS) as Phase[];

Deno.test("staying is always allowed, and every step of the table is", () => {
  for (const from of PHASES) {
    assert.equal(step(from, from), from);
    for (const to of STEPS[from]) assert.equal(step(from, to), to);
  }
});

Deno.test("every step that the table lacks throws and names both phases", () => {
  for (const from of PHASES) {
    for (const to of PHASES) {
      if (from === to || STEPS[from].includes(to)) continue;
      assert.throws(() => step(from, to), new RegExp(`Cannot go from ${from} to ${to}`));
    }
  }
});

Deno.test("what has succeeded comes back only by a new attempt or a person's wish", () => {
  assert.deepEqual(STEPS.Succeeded, ["Pending", "Launching", "Cancelled"]);
});

Deno.test("any phase can be left for a new launch, so that an attempt that was found counts", () => {
  for (const from of PHASES) assert.equal(step(from, "Launching"), "Launching");
});

Deno.test("no phase holds machines and is final", () => {
  for (const phase of PHASES) assert.ok(!(isActive(phase) && isFinal(phase)));
  assert.deepEqual(PHASES.filter(isFinal).sort(), ["Cancelled", "Failed", "Succeeded"]);
});
