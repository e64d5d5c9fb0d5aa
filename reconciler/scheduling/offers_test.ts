import assert from "node:assert/strict";
import * as fc from "fast-check";
import { optionsOn, take } from "./fit.ts";
import { Offers } from "./offers.ts";
import { needs, room } from "./testing.ts";
import type { Room } from "./types.ts";

const NEEDS = [
  needs(),
  needs({ gpusPerNode: 2 }),
  needs({ gpusPerNode: 4, cpuCores: 2 }),
  needs({ gpuShare: 0.5 }),
];

function afresh(rooms: readonly Room[], shape: number, whole: number) {
  return rooms.flatMap((one) => optionsOn(one, NEEDS[shape] ?? needs(), whole));
}

Deno.test("property: what is remembered is what a fresh look finds, whatever was taken since", () => {
  const step = fc.record({
    shape: fc.nat(NEEDS.length - 1),
    whole: fc.constantFrom(0, 1, 3, Infinity),
    takes: fc.option(fc.nat(20), { nil: undefined }),
  });
  const steps = fc.array(step, { maxLength: 20 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 5 }), steps, (count, steps) => {
    const rooms = Array.from({ length: count }, (_, i) => room(`n${i}`, { gpus: 4, cpuLeft: 3 }));
    const offers = new Offers(rooms);
    for (const { shape, whole, takes } of steps) {
      const need = NEEDS[shape] ?? needs();
      const found = offers.find(String(shape), need, () => whole);
      assert.deepEqual(found, afresh(rooms, shape, whole));
      const option = takes === undefined ? undefined : found[takes % Math.max(1, found.length)];
      if (option) take(option, need);
    }
  }));
});

Deno.test("what is kept on one node only counts there", () => {
  const rooms = [room("n1", { gpus: 2 }), room("n2", { gpus: 2 })];
  const found = new Offers(rooms).find("1", needs(), ({ node }) => node.name === "n1" ? 0 : 2);
  assert.deepEqual(found.map((option) => option.room.node.name), ["n2"]);
});

Deno.test("more needs than are remembered cost time, not truth", () => {
  const rooms = [room("n1", { gpus: 2 })];
  const offers = new Offers(rooms);
  for (const _ of [1, 2]) {
    for (let i = 0; i < 100; i++) {
      assert.equal(
        offers.find(`shape ${i}`, needs({ gpusPerNode: 1 + i }), () => Infinity).length,
        i < 2 ? 1 : 0,
      );
    }
  }
});
