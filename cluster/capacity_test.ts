import assert from "node:assert/strict";
import { slotsOf } from "./capacity.ts";
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
  const slots = slotsOf(NODE, [gpu(0, changes)], new Set());
  assert.equal(slots.free.length + slots.busy.length, slots.total);
  return slots.busy[0];
}

Deno.test("an idle GPU is free, with what a job may ask of it", () => {
  const { free, total } = slotsOf(NODE, [gpu(0), gpu(1)], new Set());
  assert.deepEqual([free[0], total], [{ uuid: "GPU-0", model: "H100", memoryMiB: 80_000 }, 2]);
});

Deno.test("a GPU that a run of ours has booked is busy, process or not", () => {
  const { free, busy } = slotsOf(NODE, [gpu(0), gpu(1)], new Set(["GPU-1"]));
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
  const { free, busy, total } = slotsOf(NODE, [], new Set(["cpu:0"]));
  assert.deepEqual([free.map((slot) => slot.uuid), busy, total], [
    ["cpu:1"],
    ["CPU slot 0 holds a run"],
    2,
  ]);
});
