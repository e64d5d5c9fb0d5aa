import assert from "node:assert/strict";
import { fastest, slowest } from "./elapsed.ts";

Deno.test("a clock that is set back, or stands still while the machine sleeps, misleads nobody", () => {
  let [wallMs, steadyMs] = [1_000_000, 0];
  const clocks = [() => wallMs, () => steadyMs];
  const [atMost, atLeast] = [fastest(clocks), slowest(clocks)];
  const pass = (wall: number, steady: number) => {
    wallMs += wall;
    steadyMs += steady;
    return [atMost(), atLeast()];
  };
  assert.deepEqual(pass(100, 100), [100, 100]);
  assert.deepEqual(pass(-3_600_000, 50), [150, 100], "set back by an hour");
  assert.deepEqual(pass(60_000, 0), [60_150, 100], "asleep for a minute");
  assert.deepEqual(pass(10, 10), [60_160, 110]);
});
