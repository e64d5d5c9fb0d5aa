import assert from "node:assert/strict";
import type { Resources } from "../../jobs/job.ts";
import { choose } from "./choose.ts";
import { optionsOn } from "./fit.ts";
import { needs, room, type RoomChanges } from "./testing.ts";
import type { Room } from "./types.ts";

const GB12 = { model: "RTX 3060", memoryMiB: 12_288 };
const GB8 = { model: "RTX 3070", memoryMiB: 8192 };

interface Asked {
  readonly need?: Partial<Resources>;
  readonly preferred?: Readonly<Record<string, number>>;
  readonly topology?: readonly string[];
}

function chosen(rooms: readonly Room[], { need: changes, preferred = {}, topology = [] }: Asked) {
  const need = needs(changes);
  const options = rooms.flatMap((at) => optionsOn(at, need, Infinity));
  const favours = new Map(Object.entries(preferred));
  const choice = choose(options, need, need.nodes, favours, topology);
  if (!choice) return undefined;
  const nodes = choice.chosen.map((option) => option.room.node.name).join(" ");
  return { nodes, because: choice.because };
}

/** Rooms called n1, n2, … that differ in these. */
const rooms = (...changes: RoomChanges[]) => changes.map((each, i) => room(`n${i + 1}`, each));

const racks = (names: readonly string[], changes: RoomChanges = {}) =>
  rooms(...names.map((rack) => ({ gpus: 8, labels: rack ? { rack } : {}, ...changes })));

const wishes: [string, readonly Room[], Asked, string | undefined][] = [
  ["the first of equals", rooms({}, {}), {}, "n1"],
  ["nothing where nothing fits", rooms({ free: 0 }), {}, undefined],
  ["nothing for half a gang", rooms({}, {}), { need: { nodes: 3 } }, undefined],
  [
    "the node that it prefers, although another is fuller",
    rooms({ gpus: 8, free: 1 }, { gpus: 8 }, { gpus: 8 }),
    { preferred: { n2: 1, n3: 3 } },
    "n3",
  ],
  [
    "the node that it prefers, although it has more memory than needed",
    rooms(GB8, GB12),
    { preferred: { n2: 1 } },
    "n2",
  ],
  [
    "the rack with the node that it prefers",
    racks(["r1", "r1", "r2", "r2"]),
    { need: { nodes: 2 }, preferred: { n4: 1 }, topology: ["rack"] },
    "n4 n3",
  ],
  [
    "all nodes that it prefers, although they are in two racks",
    racks(["r1", "r1", "r2", "r2"]),
    { need: { nodes: 2 }, preferred: { n1: 3, n4: 3 }, topology: ["rack"] },
    "n1 n4",
  ],
  [
    "one rack rather than two",
    racks(["r1", "r2", "r2", "r1"]),
    { need: { nodes: 2, gpusPerNode: 8 }, topology: ["rack"] },
    "n1 n4",
  ],
  [
    "one rack, although its GPUs have more memory than needed",
    rooms(
      { ...GB8, labels: { rack: "r1" } },
      { ...GB12, labels: { rack: "r2" } },
      { ...GB8, labels: { rack: "r3" } },
      { ...GB12, labels: { rack: "r2" } },
    ),
    { need: { nodes: 2 }, topology: ["rack"] },
    "n2 n4",
  ],
  [
    "the tightest rack that holds it",
    racks(["r1", "r1", "r1", "r2", "r2"]),
    { need: { nodes: 2, gpusPerNode: 8 }, topology: ["rack"] },
    "n4 n5",
  ],
  [
    "one zone where no rack holds it",
    rooms(
      { labels: { zone: "a", rack: "r1" } },
      { labels: { zone: "b", rack: "r1" } },
      { labels: { zone: "b", rack: "r2" } },
    ),
    { need: { nodes: 2 }, topology: ["zone", "rack"] },
    "n2 n3",
  ],
  [
    "any nodes where no domain holds it; those of one rack are neighbours",
    racks(["r1", "r2", "r1"]),
    { need: { nodes: 3 }, topology: ["rack"] },
    "n1 n3 n2",
  ],
  [
    "no domain of nodes without the label",
    racks(["", "", "r1", "r1"]),
    { need: { nodes: 2 }, topology: ["rack"] },
    "n3 n4",
  ],
  ["like GPUs", rooms(GB12, GB8, GB8), { need: { nodes: 2 } }, "n2 n3"],
  [
    "like GPUs, although it takes unlike ones",
    rooms(GB12, GB8, GB8),
    { need: { nodes: 2, mixedGpus: true } },
    "n2 n3",
  ],
  ["the smallest memory that does", rooms({}, GB12, GB8), { need: { vramGb: 10 } }, "n2"],
  [
    "the smallest memory, although a larger GPU is on a fuller node",
    rooms({ ...GB12, gpus: 2, free: 1 }, { ...GB8, gpus: 8 }),
    {},
    "n2",
  ],
  [
    "the fullest node that fits",
    rooms({ gpus: 8 }, { gpus: 8, free: 3 }, { gpus: 8, free: 2 }, { gpus: 8, free: 1 }),
    { need: { gpusPerNode: 2 } },
    "n3",
  ],
  [
    "nodes that it has for itself",
    rooms({ gpus: 16, free: 8 }, { gpus: 8 }, { gpus: 16 }, { gpus: 8 }),
    { need: { nodes: 2, gpusPerNode: 8 } },
    "n2 n4",
  ],
  [
    "a GPU that others share rather than one that nobody uses",
    rooms({}, { gpus: 4, unlike: { 3: { left: 0.5 } } }, { unlike: { 0: { left: 0.9 } } }),
    { need: { gpuShare: 0.5 } },
    "n2",
  ],
];
for (const [what, given, asked, expected] of wishes) {
  Deno.test(`chosen is ${what}`, () => assert.equal(chosen(given, asked)?.nodes, expected));
}

Deno.test("a home cluster of 12, 8 and 8 GB runs one gang, the strongest first", () => {
  const given = rooms(GB8, GB12, { ...GB8, model: "RTX 3060 Ti" });
  assert.deepEqual(chosen(given, { need: { nodes: 3, mixedGpus: true } }), {
    nodes: "n2 n1 n3",
    because: "3 node(s) had 1 suitable free GPU(s); taken: all of them; " +
      "RTX 3060 Ti (8 GB) on n3 is the weakest and sets the pace",
  });
  assert.equal(chosen(given, { need: { nodes: 3 } }), undefined);
});

Deno.test("of unlike GPUs the strongest are chosen, as the weakest sets the pace", () => {
  const given = rooms(GB8, GB12, {});
  assert.equal(chosen(given, { need: { nodes: 2, mixedGpus: true } })?.nodes, "n3 n2");
});

Deno.test("rank 0 of an unlike gang is on the strongest, even if it prefers another node", () => {
  const asked = { need: { nodes: 2, mixedGpus: true as const }, preferred: { n1: 3 } };
  assert.equal(chosen(rooms(GB8, GB12, GB12), { ...asked })?.nodes, "n2 n1");
});

const reasons: [string, readonly Room[], Asked, string][] = [
  [
    "the fullest node",
    rooms({ gpus: 8 }, { gpus: 8, free: 2 }, { free: 0 }),
    {},
    "2 node(s) had 1 suitable free GPU(s); taken: the fullest that fit",
  ],
  ["no choice", rooms({}), {}, "1 node(s) had 1 suitable free GPU(s); taken: all of them"],
  [
    "a rack and a checkpoint",
    racks(["r1", "r2", "r2"]),
    { need: { nodes: 2 }, topology: ["rack"], preferred: { n3: 2 } },
    "3 node(s) had 1 suitable free GPU(s); taken: where it ran or saved last, then same rack r2",
  ],
  [
    "a label that the job itself asked for",
    racks(["r1", "r2", "r2"]),
    { need: { nodes: 2, within: "rack" } },
    "3 node(s) had 1 suitable free GPU(s); taken: same rack r2",
  ],
  [
    "the smallest memory",
    rooms({}, GB12),
    { need: { vramGb: 10 } },
    "2 node(s) had 1 suitable free GPU(s); taken: smallest memory that does (RTX 3060 12 GB)",
  ],
  [
    "a shared GPU",
    rooms({ unlike: { 0: { left: 0.5 } } }, {}),
    { need: { gpuShare: 0.5 } },
    "2 node(s) had 0.5 of a suitable GPU free; taken: the fullest shared GPU",
  ],
];
for (const [what, given, asked, expected] of reasons) {
  Deno.test(`the reason names ${what}`, () =>
    assert.equal(chosen(given, asked)?.because, expected));
}
