import assert from "node:assert/strict";
import { backoffMs, Gate } from "./pacing.ts";

Deno.test("pauses double from 1 s to 30 s, less a random half", () => {
  const full = [1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => backoffMs(failures, 0));
  assert.deepEqual(full, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(backoffMs(1, 0.5), 750);
});

Deno.test("a gate lets the allowed number through, the rest in turn, failures included", async () => {
  const gate = new Gate(2);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const one = async (n: number) => {
    order.push(n);
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
    if (n === 1) throw new Error("failed");
  };
  const all = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => gate.run(() => one(n))));
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  assert.equal(most, 2);
  assert.equal(all.filter((result) => result.status === "rejected").length, 1);
});
