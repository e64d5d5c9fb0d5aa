import assert from "node:assert/strict";
import type { Resources } from "../../jobs/job.ts";
import { gangs, kindsOn, optionsOn, take, unsuitable } from "./fit.ts";
import { holding, needs, occupy, room, type RoomChanges } from "./testing.ts";
import type { Room } from "./types.ts";

const GB12 = { model: "RTX 3060", memoryMiB: 12_288 };
const GB8 = { model: "RTX 3070", memoryMiB: 8192 };

/** A home cluster: one node with 12 GB, two with 8 GB. */
const home = () => [room("n1", GB12), room("n2", GB8), room("n3", GB8)];

const slotsOf = (at: Room, changes: Partial<Resources>, whole = Infinity) =>
  optionsOn(at, needs(changes), whole).map(({ kind, slots }) =>
    `${kind}: ${slots.map((slot) => slot.uuid).join(" ")}`
  );

const never: [string, RoomChanges, Partial<Resources>, string | undefined][] = [
  ["suits", {}, {}, undefined],
  ["is full but suits", { gpus: 8, free: 0 }, { gpusPerNode: 8 }, undefined],
  ["lacks a label", {}, { nodeSelector: { zone: "a" } }, "has no label zone: a"],
  ["lacks the label of the gang", {}, { within: "rack" }, "has no label rack"],
  ["is too small", { gpus: 2 }, { gpusPerNode: 4 }, "has 2 GPUs"],
  ["has another model", {}, { gpuModel: "A100" }, "has H100"],
  [
    "has the model by another spelling",
    { model: "NVIDIA RTX-4090" },
    { gpuModel: "rtx 4090" },
    undefined,
  ],
  ["has too little memory", GB12, { vramGb: 24 }, "has 12 GB of GPU memory"],
  ["has a little less than it says", { memoryMiB: 11_500 }, { vramGb: 12 }, undefined],
  ["does not tell its memory", { memoryMiB: null }, { vramGb: 1 }, "does not tell its GPU memory"],
  [
    "has too few that are large enough",
    { gpus: 2, unlike: { 0: { memoryMiB: 8192 } } },
    { gpusPerNode: 2, vramGb: 24 },
    "has 1 such GPU(s)",
  ],
  [
    "has unlike GPUs",
    { gpus: 2, unlike: { 0: GB8 } },
    { gpusPerNode: 2 },
    "has GPUs of different kinds (`mixedGpus: true` takes them)",
  ],
  [
    "has unlike GPUs for a job that takes them",
    { gpus: 2, unlike: { 0: GB8 } },
    { gpusPerNode: 2, mixedGpus: true },
    undefined,
  ],
  [
    "has too few cores",
    { node: { hardware: { cpuCores: 4 } } },
    { cpuCores: 8 },
    "has 4 CPU cores",
  ],
  ["has too little RAM", { node: { hardware: { ramGb: 4 } } }, { ramGb: 8 }, "has 4 GB of RAM"],
];
for (const [what, changes, need, expected] of never) {
  Deno.test(`unsuitable: a node that ${what}`, () => {
    assert.deepEqual(unsuitable(room("n1", changes), needs(need)), expected);
  });
}

Deno.test("unsuitable: what is declared stands in for slots that nobody has seen", () => {
  const unseen = (gpuModel: string, vramGb: number): Room => ({
    ...room("n1", { gpus: 0, node: { hardware: { gpuModel, vramGb } } }),
    total: undefined,
  });
  assert.deepEqual(unsuitable(unseen("H100", 80), needs({ gpuModel: "A100" })), "has H100");
  assert.deepEqual(
    unsuitable(unseen("H100", 80), needs({ vramGb: 90 })),
    "has 80 GB of GPU memory",
  );
  assert.deepEqual(unsuitable(unseen("H100", 80), needs({ vramGb: 80 })), undefined);
});

Deno.test("unsuitable: cordoned GPUs may suit once they are back", () => {
  const cordoned = { ...room("n1", { gpus: 7, cordoned: true }), total: 8 };
  assert.deepEqual(unsuitable(cordoned, needs({ gpusPerNode: 8 })), undefined);
  assert.deepEqual(
    unsuitable({ ...cordoned, cordoned: false }, needs({ gpusPerNode: 8 })),
    "has 7 such GPU(s)",
  );
});

Deno.test("kindsOn gives slots that are in use too, by kind, where there are enough", () => {
  const at = room("n1", { gpus: 5, free: 0, ...GB12, unlike: { 0: GB8, 3: GB8 } });
  const kinds = (need: Partial<Resources>) =>
    kindsOn(at, needs(need)).map(({ kind, slots }) => `${kind} × ${slots.length}`);
  assert.deepEqual(kinds({ gpusPerNode: 2 }), ["RTX 3070 8 GB × 2", "RTX 3060 12 GB × 3"]);
  assert.deepEqual(kinds({ gpusPerNode: 3 }), ["RTX 3060 12 GB × 3"]);
  assert.deepEqual(kinds({ gpusPerNode: 4 }), []);
  assert.deepEqual(kinds({ gpusPerNode: 4, mixedGpus: true }), ["any × 5"]);
  assert.deepEqual(kinds({ vramGb: 10 }), ["RTX 3060 12 GB × 3"]);
});

Deno.test("kindsOn gives nothing on a node that never suits or is closed", () => {
  assert.deepEqual(kindsOn(room("n1"), needs({ nodeSelector: { zone: "a" } })), []);
  assert.deepEqual(kindsOn(room("n1", { closed: "is cordoned (fan)" }), needs()), []);
  const small = room("n1", { node: { hardware: { cpuCores: 4 } } });
  assert.deepEqual(kindsOn(small, needs({ cpuCores: 8 })), []);
});

Deno.test("an option takes as many GPUs of one kind as a rank needs", () => {
  const at = room("n1", { gpus: 4, free: 3, unlike: { 1: GB8 } });
  assert.deepEqual(slotsOf(at, { gpusPerNode: 2 }), ["H100 80 GB: n1:2 n1:3"]);
  assert.deepEqual(slotsOf(at, { gpusPerNode: 3 }), []);
  assert.deepEqual(slotsOf(at, {}), ["RTX 3070 8 GB: n1:1", "H100 80 GB: n1:2"]);
});

Deno.test("with mixedGpus there is one more option, of the strongest", () => {
  const at = room("n1", { gpus: 3, unlike: { 0: GB8 } });
  assert.deepEqual(slotsOf(at, { mixedGpus: true, gpusPerNode: 2 }), [
    "H100 80 GB: n1:1 n1:2",
    "any: n1:1 n1:2",
  ]);
  assert.deepEqual(slotsOf(at, { mixedGpus: true, gpusPerNode: 3 }), ["any: n1:1 n1:2 n1:0"]);
});

Deno.test("slots that are kept for others are no option", () => {
  const at = room("n1", { gpus: 4 });
  assert.deepEqual(slotsOf(at, { gpusPerNode: 2 }, 1), []);
  assert.deepEqual(slotsOf(at, { gpusPerNode: 2 }, 2), ["H100 80 GB: n1:0 n1:1"]);
});

Deno.test("a closed node, and one whose CPU or RAM is used up, is no option", () => {
  assert.deepEqual(slotsOf(room("n1", { closed: "cannot be asked" }), {}), []);
  assert.deepEqual(slotsOf(room("n1"), { nodeSelector: { zone: "a" } }), []);
  assert.deepEqual(slotsOf(room("n1", { cpuLeft: 3 }), { cpuCores: 4 }), []);
  assert.deepEqual(slotsOf(room("n1", { ramLeftGb: 3 }), { ramGb: 4 }), []);
  assert.deepEqual(
    slotsOf(room("n1", { cpuLeft: 4, ramLeftGb: 4 }), { cpuCores: 4, ramGb: 4 }).length,
    1,
  );
  // Where nobody knows, it is no limit; and who asks for none does not mind that none is left.
  assert.deepEqual(slotsOf(room("n1"), { cpuCores: 4, ramGb: 4 }).length, 1);
  assert.deepEqual(slotsOf(room("n1", { cpuLeft: -1, ramLeftGb: -1 }), {}).length, 1);
});

Deno.test("a job that shares goes on the fullest GPU that still has its part", () => {
  const at = room("n1", {
    gpus: 4,
    unlike: { 1: { left: 0.5 }, 2: { left: 0.75 }, 3: { left: 0.2 } },
  });
  assert.deepEqual(slotsOf(at, { gpuShare: 0.4 }), ["H100 80 GB: n1:1"]);
  assert.deepEqual(slotsOf(at, { gpuShare: 0.6 }), ["H100 80 GB: n1:2"]);
  assert.deepEqual(slotsOf(at, { gpuShare: 0.9 }), ["H100 80 GB: n1:0"]);
});

Deno.test("a job that shares waits too where all is kept: the GPU would be whole again later", () => {
  const at = room("n1", { gpus: 2, unlike: { 1: { left: 0.5 } } });
  assert.deepEqual(slotsOf(at, { gpuShare: 0.2 }, 0), []);
  assert.deepEqual(slotsOf(at, { gpuShare: 0.2 }, 1), ["H100 80 GB: n1:1"]);
});

Deno.test("an option tells how many slots of the node nobody would use then", () => {
  const at = room("n1", { gpus: 4, unlike: { 1: { left: 0.5 } } });
  const left = (need: Partial<Resources>) =>
    optionsOn(at, needs(need), Infinity).map(({ wholeLeft }) => wholeLeft);
  assert.deepEqual(left({ gpusPerNode: 2 }), [1]);
  assert.deepEqual(left({ gpuShare: 0.5 }), [3], "on the shared one");
  assert.deepEqual(left({ gpuShare: 0.75 }), [2], "on one that nobody used");
});

Deno.test("a job that does not share never gets a GPU that others share", () => {
  assert.deepEqual(slotsOf(room("n1", { unlike: { 0: { left: 0.9 } } }), {}), []);
});

Deno.test("memory that is asked for is booked with the share, so that all fit together", () => {
  const at = room("n1", { memoryMiB: 24 * 1024 });
  const third = needs({ gpuShare: 0.1, vramGb: 8 });
  for (let i = 0; i < 3; i++) {
    const [option] = optionsOn(at, third, Infinity);
    assert.deepEqual(option && take(option, third), {
      node: at.node.name,
      gpus: ["n1:0"],
      share: 0.333333,
    });
  }
  assert.deepEqual(optionsOn(at, third, Infinity), []);
});

Deno.test("ten tenths are a whole GPU", () => {
  const at = room("n1");
  const tenth = needs({ gpuShare: 0.1 });
  for (let i = 0; i < 10; i++) take(optionsOn(at, tenth, Infinity)[0]!, tenth);
  assert.deepEqual(at.free, []);
});

Deno.test("a gang lies in nodes of one kind, unless it takes unlike ones", () => {
  const sets = (changes: Partial<Resources>) => {
    const need = needs(changes);
    return gangs(home().flatMap((at) => optionsOn(at, need, Infinity)), need)
      .map((set) => set.map(({ room }) => room.node.name).join(" "));
  };
  assert.deepEqual(sets({ nodes: 2 }), ["n2 n3"]);
  assert.deepEqual(sets({ nodes: 3 }), []);
  assert.deepEqual(sets({ nodes: 3, mixedGpus: true }), ["n1 n2 n3"]);
  assert.deepEqual(sets({ nodes: 1, vramGb: 10 }), ["n1"]);
});

Deno.test("a gang lies within one value of a label where the job says so", () => {
  const need = needs({ nodes: 2, within: "rack" });
  const racks = ["r1", "r2", "r1", undefined, undefined, "r3"];
  const options = racks.flatMap((rack, i) =>
    optionsOn(room(`n${i}`, { labels: rack ? { rack } : {} }), need, Infinity)
  );
  assert.deepEqual(
    gangs(options, need).map((set) => set.map(({ room }) => room.node.name as string)),
    [
      ["n0", "n2"],
    ],
  );
});

Deno.test("what is taken is gone, with its CPU and RAM, and never taken twice", () => {
  const at = room("n1", { gpus: 2, cpuLeft: 8, ramLeftGb: 64 });
  const before = at.free;
  const need = needs({ cpuCores: 6, ramGb: 60 });
  const [option] = optionsOn(at, need, Infinity);
  assert.deepEqual(take(option!, need), { node: at.node.name, gpus: ["n1:0"] });
  assert.deepEqual(at.free.map((slot) => slot.uuid), ["n1:1"]);
  assert.deepEqual([at.cpuLeft, at.ramLeftGb], [2, 4]);
  assert.deepEqual(before.length, 2, "copies of the room keep what they had");
  assert.throws(() => take(option!, need), {
    message: "Cannot take n1:0 of n1: not all of it is free",
  });
});

Deno.test("the test builder takes off the rooms what jobs hold", () => {
  const at = room("n1", { gpus: 3, cpuLeft: 8 });
  occupy([at], [holding("a", { n1: [0] }, { need: { cpuCores: 2 } })]);
  assert.deepEqual([at.free.length, at.cpuLeft], [2, 6]);
});
