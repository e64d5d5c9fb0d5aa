import assert from "node:assert/strict";
import { hasLeft, slotsOf } from "./capacity.ts";
import type { Gpu, GpuOwner } from "./gpu.ts";
import type { NodeName, NodeSpec } from "./node.ts";

const NODE: NodeSpec = {
  name: "n1" as NodeName,
  connect: { kind: "local" },
  address: "127.0.0.1",
  labels: {},
  hardware: {},
  cpuSlots: 2,
  workdir: "~/.ugro",
  python: "python3",
};

function gpu(index: number, changes: Partial<Gpu> = {}): Gpu {
  return {
    uuid: `GPU-${index}`,
    index,
    model: "H100",
    memoryTotalMiB: 80_000,
    memoryUsedMiB: 4,
    utilisationPct: 0,
    temperatureC: null,
    powerW: null,
    eccUncorrected: 0,
    processes: [],
    ...changes,
  };
}

const usedBy = (owner: GpuOwner) => ({
  processes: [{ pid: 7, name: "x", usedMiB: null, owner }],
});

function busy(changes: Partial<Gpu>): string | undefined {
  const slots = slotsOf(NODE, [gpu(0, changes)], new Map());
  assert.equal(slots.free.length + slots.busy.length, slots.total);
  return slots.busy[0];
}

Deno.test("an idle GPU is free, with what a job may ask of it", () => {
  const { free, total } = slotsOf(NODE, [gpu(0), gpu(1)], new Map());
  const slot = { uuid: "GPU-0", model: "H100", memoryMiB: 80_000, left: 1 };
  assert.deepEqual([free[0], total], [slot, 2]);
});

Deno.test("a GPU that a run of ours has booked is busy, process or not", () => {
  const { free, busy } = slotsOf(NODE, [gpu(0), gpu(1)], new Map([["GPU-1", 1]]));
  assert.deepEqual([free.map((slot) => slot.uuid), busy], [["GPU-0"], ["GPU 1 holds a run"]]);
});

Deno.test("every process makes a GPU busy: foreign, hidden, or left over from a run", () => {
  assert.match(busy(usedBy({ kind: "foreign" })) ?? "", /foreign process 7/);
  assert.match(busy(usedBy({ kind: "unseen" })) ?? "", /which hides/);
  const left = usedBy({ kind: "run", job: "a", attempt: 2, rank: 0 });
  assert.equal(busy(left), "GPU 0 is still used by a/2");
});

Deno.test("memory that nobody is seen to use counts, but for what a desktop takes", () => {
  assert.equal(busy({ memoryUsedMiB: 8000 }), undefined, "a tenth of the card is idle");
  assert.match(busy({ memoryUsedMiB: 8001 }) ?? "", /memory in use by nobody/);
  assert.equal(busy({ memoryTotalMiB: 8000, memoryUsedMiB: 2048 }), undefined);
  assert.match(busy({ memoryTotalMiB: 8000, memoryUsedMiB: 2049 }) ?? "", /memory in use/);
  assert.equal(busy({ memoryUsedMiB: null }), undefined, "no number is no sign of use");
});

Deno.test("uncorrected memory errors take a GPU out of use", () => {
  assert.match(busy({ eccUncorrected: 3 }) ?? "", /uncorrected memory errors/);
  assert.equal(busy({ eccUncorrected: null }), undefined);
});

Deno.test("a node without GPUs has its CPU slots", () => {
  const { free, busy, total } = slotsOf(NODE, [], new Map([["cpu:0", 1]]));
  assert.deepEqual([free.map((slot) => slot.uuid), busy, total], [
    ["cpu:1"],
    ["CPU slot 0 holds a run"],
    2,
  ]);
});

const shared = { kind: "run", job: "a", attempt: 2, rank: 0 } as const;

Deno.test("what is left of a GPU that runs share is free, whatever they do with their part", () => {
  const used = gpu(0, { ...usedBy(shared), memoryUsedMiB: 40_000, utilisationPct: 100 });
  const { free, busy } = slotsOf(NODE, [used], new Map([["GPU-0", 0.75]]));
  assert.deepEqual([free.map(({ left }) => left), busy], [[0.25], []]);
});

Deno.test("a GPU is full when its parts add up to one, in spite of rounding", () => {
  const tenths = Array.from({ length: 10 }, () => 0.1).reduce((sum, part) => sum + part);
  assert.notEqual(tenths, 1);
  const full = slotsOf(NODE, [gpu(0)], new Map([["GPU-0", tenths]]));
  assert.deepEqual([full.free, full.busy], [[], ["GPU 0 holds a run"]]);
  const [third] = slotsOf(NODE, [gpu(0)], new Map([["GPU-0", 1 / 3 + 1 / 3]])).free;
  assert.ok(third && hasLeft(third, 1 / 3) && !hasLeft(third, 0.334));
  assert.equal(slotsOf(NODE, [gpu(0)], new Map([["GPU-0", 1.5]])).free.length, 0, "and over it");
});

Deno.test("a shared GPU is free for nobody once somebody else uses it or it fails", () => {
  const part = new Map([["GPU-0", 0.5]]);
  const why = (changes: Partial<Gpu>) => slotsOf(NODE, [gpu(0, changes)], part).busy[0];
  const two = (owner: GpuOwner) => ({
    processes: [...usedBy(shared).processes, ...usedBy(owner).processes],
  });
  assert.match(why(two({ kind: "foreign" })) ?? "", /foreign process 7/);
  assert.match(why(two({ kind: "unseen" })) ?? "", /which hides/);
  assert.match(why({ eccUncorrected: 1 }) ?? "", /uncorrected memory errors/);
  assert.equal(why(two(shared)), undefined);
});

Deno.test("a run's process on a GPU that no run has booked keeps it busy", () => {
  const { free, busy } = slotsOf(NODE, [gpu(0, usedBy(shared))], new Map([["GPU-1", 0.5]]));
  assert.deepEqual([free, busy], [[], ["GPU 0 is still used by a/2"]]);
});

Deno.test("all slots are there with what they are, busy or not", () => {
  const gpus = [gpu(0, usedBy({ kind: "foreign" })), gpu(1), gpu(2, { model: "A100" })];
  const { all, free } = slotsOf(NODE, gpus, new Map([["GPU-1", 1], ["GPU-2", 0.5]]));
  assert.deepEqual(all.map(({ uuid, model, left }) => [uuid, model, left]), [
    ["GPU-0", "H100", 1],
    ["GPU-1", "H100", 1],
    ["GPU-2", "A100", 1],
  ]);
  assert.deepEqual(free.map(({ uuid }) => uuid), ["GPU-2"]);
});

Deno.test("CPU slots are shared like GPUs", () => {
  const { free, all } = slotsOf(NODE, [], new Map([["cpu:0", 0.5], ["cpu:1", 1]]));
  assert.deepEqual(free, [{ uuid: "cpu:0", model: "cpu", memoryMiB: null, left: 0.5 }]);
  assert.deepEqual(all.map(({ left }) => left), [1, 1]);
});
