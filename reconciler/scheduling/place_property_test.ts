import assert from "node:assert/strict";
import fc from "fast-check";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import { choose } from "./choose.ts";
import { kindOf, optionsOn, take } from "./fit.ts";
import { needs, room } from "./testing.ts";
import type { Room } from "./types.ts";

const RUNS = { numRuns: 500 };
const TOPOLOGY = ["zone", "rack"];

const GPUS = [
  { model: "RTX 3070", memoryMiB: 8192 },
  { model: "RTX 3060", memoryMiB: 12_288 },
  { model: "H100", memoryMiB: 81_559 },
];

const someRoom = fc.record({
  gpus: fc.integer({ min: 0, max: 4 }),
  kind: fc.constantFrom(...GPUS),
  other: fc.option(fc.constantFrom(...GPUS), { nil: undefined }),
  zone: fc.constantFrom("a", "b", undefined),
  rack: fc.constantFrom("r1", "r2", undefined),
  cpuLeft: fc.constantFrom(undefined, 4, 8),
  closed: fc.constantFrom(undefined, undefined, undefined, "is cordoned"),
});

const anyRooms = fc.array(someRoom, { minLength: 1, maxLength: 6 }).map((given) =>
  given.map(({ gpus, kind, other, zone, rack, cpuLeft, closed }, i) =>
    room(`n${i}`, {
      gpus,
      ...kind,
      ...(other ? { unlike: { 0: other } } : {}),
      labels: { ...(zone ? { zone } : {}), ...(rack ? { rack } : {}) },
      ...(cpuLeft === undefined ? {} : { cpuLeft }),
      ...(closed === undefined ? {} : { closed }),
    })
  )
);

const share = fc.constantFrom(undefined, undefined, 0.1, 0.3, 0.5);

const anyNeed = fc.record({
  nodes: fc.integer({ min: 1, max: 3 }),
  gpusPerNode: fc.integer({ min: 1, max: 3 }),
  gpuShare: share,
  vramGb: fc.constantFrom(undefined, 4, 10, 40),
  cpuCores: fc.constantFrom(undefined, undefined, 3),
  mixedGpus: fc.constantFrom(undefined, undefined, true),
  within: fc.constantFrom(undefined, undefined, "rack"),
}).map(({ gpusPerNode, ...rest }): Resources => {
  const given = Object.fromEntries(Object.entries(rest).filter(([, v]) => v !== undefined));
  return needs({ ...given, gpusPerNode: rest.gpuShare === undefined ? gpusPerNode : 1 });
});

const anyWorld = fc.record({
  rooms: anyRooms,
  jobs: fc.array(anyNeed, { minLength: 1, maxLength: 12 }),
  preferred: fc.dictionary(fc.constantFrom("n0", "n1", "n2"), fc.integer({ min: 1, max: 3 })),
});

interface Given {
  readonly rooms: readonly Room[];
  readonly jobs: readonly Resources[];
  readonly preferred: Readonly<Record<string, number>>;
}

/** Places one job after the other; gives each its placement, or undefined. */
function placeAll({ rooms, jobs, preferred }: Given, before = (_: Resources) => {}) {
  return jobs.map((need): readonly PlacedRank[] | undefined => {
    before(need);
    const options = rooms.flatMap((at) => optionsOn(at, need, Infinity));
    const choice = choose(options, need, need.nodes, new Map(Object.entries(preferred)), TOPOLOGY);
    return choice?.chosen.map((option) => take(option, need));
  });
}

Deno.test("no slot is given away twice, and no more of it than all", () => {
  fc.assert(
    fc.property(anyWorld, (given) => {
      const used = new Map<string, number>();
      const memory = new Map<string, number>();
      const slots = new Map(given.rooms.flatMap((at) => [...at.slots]));
      placeAll(given).forEach((placement, i) => {
        for (const { gpus, share = 1 } of placement ?? []) {
          for (const uuid of gpus) {
            used.set(uuid, (used.get(uuid) ?? 0) + share);
            memory.set(uuid, (memory.get(uuid) ?? 0) + (given.jobs[i]?.vramGb ?? 0));
          }
        }
      });
      for (const [uuid, part] of used) assert.ok(part <= 1 + 1e-9, `${part} of ${uuid}`);
      for (const [uuid, gb] of memory) {
        const has = slots.get(uuid)?.memoryMiB ?? 0;
        assert.ok(gb * 1024 * 0.93 <= has, `${gb} GB on ${uuid} with ${has} MiB`);
      }
      for (const { cpuLeft } of given.rooms) assert.ok((cpuLeft ?? 0) >= 0);
    }),
    RUNS,
  );
});

Deno.test("a gang gets all of its nodes, each its own, or none; with equal GPUs", () => {
  fc.assert(
    fc.property(anyWorld, (given) => {
      const byName = new Map(given.rooms.map((at) => [at.node.name as string, at]));
      placeAll(given).forEach((placement, i) => {
        const need = given.jobs[i] as Resources;
        if (!placement) return;
        assert.equal(new Set(placement.map(({ node }) => node)).size, need.nodes);
        const kinds = new Set<string>();
        const places = new Set<string | undefined>();
        for (const { node, gpus } of placement) {
          assert.equal(new Set(gpus).size, need.gpusPerNode);
          const at = byName.get(node) as Room;
          assert.equal(at.closed, undefined);
          places.add(at.node.labels.rack);
          for (const uuid of gpus) {
            const slot = at.slots.get(uuid);
            assert.ok(slot, `${uuid} is not on ${node}`);
            assert.ok((slot.memoryMiB ?? 0) >= (need.vramGb ?? 0) * 1024 * 0.93);
            kinds.add(kindOf(slot));
          }
        }
        if (!need.mixedGpus) assert.equal(kinds.size, 1);
        if (need.within) assert.ok(places.size === 1 && !places.has(undefined));
      });
    }),
    RUNS,
  );
});

/** How many nodes could hold a rank of a job that says nothing but how many GPUs it needs. */
function holders(rooms: readonly Room[], need: Resources): number {
  const counts = GPUS.map(({ model }) =>
    rooms.filter(({ free, closed }) =>
      !closed && free.filter((s) => s.model === model && s.left === 1).length >= need.gpusPerNode
    ).length
  );
  return Math.max(...counts);
}

Deno.test("a job that finds no place fits nowhere", () => {
  const plain = fc.record({
    nodes: fc.integer({ min: 1, max: 3 }),
    gpusPerNode: fc.integer({ min: 1, max: 3 }),
  }).map((need) => needs(need));
  fc.assert(
    fc.property(anyWorld, fc.array(plain, { minLength: 1, maxLength: 8 }), (given, jobs) => {
      const expected: boolean[] = [];
      const before = (need: Resources) => expected.push(holders(given.rooms, need) >= need.nodes);
      const found = placeAll({ ...given, jobs }, before).map((placement) =>
        placement !== undefined
      );
      assert.deepEqual(found, expected);
    }),
    RUNS,
  );
});

Deno.test("no more whole slots of a node are taken than may be", () => {
  fc.assert(
    fc.property(anyRooms, anyNeed, fc.integer({ min: 0, max: 3 }), (rooms, need, whole) => {
      for (const at of rooms) {
        for (const { slots } of optionsOn(at, need, whole)) {
          assert.ok(slots.filter((slot) => slot.left === 1).length <= whole);
        }
      }
    }),
    RUNS,
  );
});

Deno.test("the same world is placed the same way", () => {
  const copy = (given: Given): Given => ({
    ...given,
    rooms: given.rooms.map((at) => ({ ...at, free: [...at.free] })),
  });
  fc.assert(
    fc.property(anyWorld, (given) => {
      const again = copy(given);
      assert.deepEqual(placeAll(given), placeAll(again));
    }),
    RUNS,
  );
});
