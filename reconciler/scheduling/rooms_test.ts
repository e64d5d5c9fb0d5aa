import assert from "node:assert/strict";
import type { Cordon, NodeName, NodeSpec } from "../../cluster/node.ts";
import type { RunRecord } from "../../jobs/run.ts";
import type { Attempt } from "../../jobs/status.ts";
import {
  ago,
  attempt,
  cluster,
  ended,
  gpu,
  nodeSpec,
  NOW,
  reachable,
  run,
  status,
  unknown,
  world,
} from "../testing/build.ts";
import { bookingsOf, declaredRoom, roomsOf } from "./rooms.ts";
import { needs } from "./testing.ts";

const two = [gpu("n1", 0), gpu("n1", 1)];
const A0 = "GPU-n1-0";

/** What is booked on n1 when one job `a` has this attempt and this run. */
function booked(
  recorded: Partial<Attempt> | undefined,
  seen: Partial<RunRecord> | undefined,
  need = needs({ cpuCores: 4, ramGb: 16 }),
) {
  const { observed } = world({
    nodes: [
      reachable("n1", { gpus: two, runs: seen ? [run("a", 1, 0, ["n1"], seen)] : [] }),
    ],
  });
  const statuses = [
    status("a", { attempts: recorded ? [attempt(1, ["n1"], recorded)] : [] }),
  ];
  const found = bookingsOf(observed, statuses, () => need).get("n1" as NodeName);
  return found &&
    { parts: Object.fromEntries(found.parts), cpu: found.cpuCores, ram: found.ramGb };
}

const half = { placement: [{ node: "n1", gpus: [A0], share: 0.5 }] };

Deno.test("a run and its own record count once", () => {
  assert.deepEqual(booked({}, {}), { parts: { [A0]: 1 }, cpu: 4, ram: 16 });
  assert.deepEqual(booked(half, {}), { parts: { [A0]: 0.5 }, cpu: 4, ram: 16 });
});

Deno.test("a record without a run, and a run without a record, hold what they have", () => {
  assert.deepEqual(booked({}, undefined), { parts: { [A0]: 1 }, cpu: 4, ram: 16 });
  assert.deepEqual(booked(half, undefined), { parts: { [A0]: 0.5 }, cpu: 4, ram: 16 });
  assert.deepEqual(booked(undefined, {}), { parts: { [A0]: 1 }, cpu: 4, ram: 16 });
  assert.equal(booked(undefined, undefined), undefined);
});

Deno.test("what has ended holds nothing", () => {
  assert.equal(booked({ end: "failed", endedAt: ago(5) }, ended(1)), undefined);
});

Deno.test("processes that outlive their attempt hold its part", () => {
  const after = { ...half, end: "node-lost" as const, endedAt: ago(5) };
  assert.deepEqual(booked(after, {}), { parts: { [A0]: 0.5 }, cpu: 4, ram: 16 });
});

Deno.test("a run on another GPU than was recorded has both", () => {
  const found = booked(half, { gpus: ["GPU-n1-1"] });
  assert.deepEqual(found?.parts, { [A0]: 0.5, "GPU-n1-1": 1 });
});

Deno.test("a run on another node than was recorded counts beside the record", () => {
  const gpus = ["cpu:0"];
  const { observed } = world({
    nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"], { gpus })] }), reachable("n2")],
  });
  const recorded = attempt(1, ["n2"], { placement: [{ node: "n2", gpus, share: 0.5 }] });
  const found = bookingsOf(observed, [status("a", { attempts: [recorded] })], () => undefined);
  const parts = ["n1", "n2"].map((name) => [...found.get(name as NodeName)?.parts ?? []]);
  assert.deepEqual(parts, [[["cpu:0", 1]], [["cpu:0", 0.5]]]);
});

Deno.test("CPU and RAM count only where the job asks for them", () => {
  assert.deepEqual(booked({}, {}, needs()), { parts: { [A0]: 1 }, cpu: 0, ram: 0 });
});

Deno.test("while nobody knows what a launch asked for, no CPU and no RAM of its node is left", () => {
  const spec = nodeSpec("n1", { hardware: { cpuCores: 64, ramGb: 256 } });
  const { observed } = world({
    nodes: [reachable("n1", { gpus: two, runs: [run("a", 1, 0, ["n1"])] })],
  });
  const left = (needOf: Parameters<typeof bookingsOf>[2], attempts = [attempt(1, ["n1"])]) => {
    const bookings = bookingsOf(observed, [status("a", { attempts })], needOf);
    const [room] = roomsOf(cluster([spec]), observed, bookings, NOW);
    return [room?.cpuLeft, room?.ramLeftGb];
  };
  assert.deepEqual(left(() => undefined), [0, 0]);
  assert.deepEqual(left(() => ({})), [64, 256]);
  assert.deepEqual(left(() => ({ cpuCores: 48 })), [16, 256]);
  const asked: unknown[] = [];
  left((...launch) => (asked.push(launch), undefined), []);
  assert.deepEqual(asked, [["a", { attempt: 1, specDigest: "d1" }]], "what its record tells");
});

Deno.test("parts of one GPU add up over jobs", () => {
  const { observed } = world({ nodes: [reachable("n1", { gpus: two })] });
  const statuses = ["a", "b"].map((name) => status(name, { attempts: [attempt(1, ["n1"], half)] }));
  const bookings = bookingsOf(observed, statuses, () => undefined);
  assert.deepEqual([...(bookings.get("n1" as NodeName)?.parts ?? [])], [[A0, 1]]);
});

/** The room on n1, with GPUs 0 and 1. */
function only(changes: Partial<NodeSpec>, parts: Record<string, number> = {}, seen = two) {
  const { observed } = world({ nodes: [reachable("n1", { gpus: seen })] });
  const bookings = new Map([
    ["n1" as NodeName, { parts: new Map(Object.entries(parts)), cpuCores: 6, ramGb: 10 }],
  ]);
  const [room] = roomsOf(cluster([nodeSpec("n1", changes)]), observed, bookings, NOW);
  assert.ok(room);
  return {
    free: room.free.map(({ uuid, left }) => left === 1 ? uuid : `${uuid} × ${left}`),
    slots: [...room.slots.keys()],
    total: room.total,
    closed: room.closed,
    cordoned: room.cordoned,
    busy: room.busy,
    left: [room.cpuLeft, room.ramLeftGb],
  };
}

const open = {
  free: [A0, "GPU-n1-1"],
  slots: [A0, "GPU-n1-1"],
  total: 2,
  closed: undefined,
  cordoned: false,
  busy: [],
  // What the node itself tells, less what is booked.
  left: [2, 53],
};

Deno.test("a room has what is free, and all slots whether free or not", () => {
  assert.deepEqual(only({}), open);
  assert.deepEqual(only({}, { [A0]: 1 }), {
    ...open,
    free: ["GPU-n1-1"],
    busy: ["GPU 0 holds a run"],
  });
  assert.deepEqual(only({}, { [A0]: 0.25 }).free, [`${A0} × 0.75`, "GPU-n1-1"]);
});

Deno.test("what a node is declared to have of CPU and RAM goes before what it tells", () => {
  assert.deepEqual(only({ hardware: { cpuCores: 16, ramGb: 64 } }).left, [10, 54]);
});

const fan: Cordon = { reason: "fan" };

Deno.test("a cordoned node is closed", () => {
  assert.deepEqual(only({ cordoned: fan, hardware: { cpuCores: 16 } }), {
    ...open,
    free: [],
    slots: [],
    closed: "is cordoned (fan)",
    cordoned: true,
    left: [16, undefined],
  });
});

Deno.test("a cordoned GPU is taken out of a room that stays open", () => {
  const expected = {
    ...open,
    free: ["GPU-n1-1"],
    slots: ["GPU-n1-1"],
    cordoned: true,
    busy: ["GPU 0 is cordoned (fan)"],
  };
  assert.deepEqual(only({ cordoned: { ...fan, gpus: ["0"] } }), expected);
  assert.deepEqual(only({ cordoned: { ...fan, gpus: [A0] } }), expected);
  // One sentence a slot: what runs there is said, not the cordon too.
  assert.deepEqual(only({ cordoned: { ...fan, gpus: ["0"] } }, { [A0]: 1 }).busy, [
    "GPU 0 holds a run",
  ]);
});

Deno.test("a CPU slot can be cordoned like a GPU", () => {
  const found = only({ cpuSlots: 2, cordoned: { ...fan, gpus: ["1"] } }, {}, []);
  assert.deepEqual([found.free, found.busy], [["cpu:0"], ["CPU slot 1 is cordoned (fan)"]]);
});

Deno.test("a cordon that is over closes nothing", () => {
  assert.deepEqual(only({ cordoned: { ...fan, untilMs: NOW } }), open);
  const { closed } = only({ cordoned: { ...fan, untilMs: NOW + 1 } });
  assert.equal(closed, "is cordoned until 2026-01-01T12:00:00.001Z (fan)");
});

const unseen: [string, Partial<NodeSpec>, Parameters<typeof world>[0]["nodes"], string][] = [
  ["does not answer", {}, [unknown("n1")], "cannot be asked (no answer)"],
  ["was never asked", {}, [], "cannot be asked (not observed yet)"],
  ["has a broken driver", {}, [reachable("n1", { gpus: undefined })], "its GPUs are unknown"],
  ["does not answer and is cordoned", { cordoned: fan }, [unknown("n1")], "is cordoned (fan)"],
];
for (const [what, changes, nodes, expected] of unseen) {
  Deno.test(`a node that ${what} takes nothing and is not taken for empty`, () => {
    const declared = cluster([nodeSpec("n1", { hardware: { gpus: 4 }, ...changes })]);
    const [room] = roomsOf(declared, world({ nodes }).observed, new Map(), NOW);
    assert.equal(room?.closed, expected);
    assert.deepEqual([room.free, room.slots.size, room.total], [[], 0, 4]);
  });
}

Deno.test("rooms stand in the order of the cluster", () => {
  const { observed } = world({ nodes: ["n1", "n2", "n3"].map((name) => reachable(name)) });
  const rooms = roomsOf(cluster(["n3", "n1", "n2"]), observed, new Map(), NOW);
  assert.deepEqual(rooms.map(({ node }) => node.name as string), ["n3", "n1", "n2"]);
});

Deno.test("a declared node has a room without being seen", () => {
  const hardware = { gpus: 2, gpuModel: "A100", vramGb: 40, cpuCores: 8, ramGb: 64 };
  const room = declaredRoom(nodeSpec("n1", { hardware }));
  const slot = { model: "A100", memoryMiB: 40_960, left: 1 };
  assert.deepEqual(room.free, [{ uuid: "n1:0", ...slot }, { uuid: "n1:1", ...slot }]);
  assert.deepEqual([room.slots.size, room.total, room.cpuLeft, room.ramLeftGb], [2, 2, 8, 64]);
  const cpus = declaredRoom(nodeSpec("n2", { cpuSlots: 3 }));
  assert.deepEqual(cpus.free.map(({ uuid, model }) => `${uuid} ${model}`), [
    "n2:0 cpu",
    "n2:1 cpu",
    "n2:2 cpu",
  ]);
});
