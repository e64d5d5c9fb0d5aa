import assert from "node:assert/strict";
import { refuse } from "./refuse.ts";
import { holding, NOW, request, room, type RoomChanges } from "./testing.ts";
import type { Room } from "./types.ts";

const racks = (...each: (readonly [rack: string, changes?: RoomChanges])[]): Room[] =>
  each.map(([rack, changes], i) => room(`n${i + 1}`, { labels: { rack }, ...changes }));

const told = (need: Parameters<typeof request>[1], rooms: readonly Room[]) =>
  refuse(request("job", need), rooms, []);

Deno.test("nodes that are alike, but too few in each rack: mixedGpus would not help", () => {
  const given = racks(["a"], ["a"], ["b"]);
  const refusal = told({ need: { nodes: 3, within: "rack" } }, given);
  assert.equal(refusal.reason, "Unschedulable");
  assert.match(refusal.message, /3 such node\(s\), but no rack has more than 2 of them$/);
});

Deno.test("mixedGpus is advised where it helps, with `within` and without", () => {
  const small = { model: "A100", memoryMiB: 40_960 };
  const apart = racks(["a"], ["a", small], ["b"]);
  const help = /like GPUs and the same rack; `resources\.mixedGpus: true` lets it run/;
  assert.match(told({ need: { nodes: 2, within: "rack" } }, apart).message, help);
  assert.match(told({ need: { nodes: 3 } }, apart).message, /like GPUs; `resources\.mixedGpus/);
  const never = told({ need: { nodes: 3, within: "rack" } }, apart).message;
  assert.doesNotMatch(never, /mixedGpus/);
});

Deno.test("nodes that may hide something count as if they had it", () => {
  const away = { closed: "cannot be asked (timeout)" };
  const { reason } = told({ need: { nodes: 3, within: "rack" } }, racks(["a"], ["a"], ["a", away]));
  assert.equal(reason, "Resources");
  const { message } = told(
    { need: { nodes: 4, within: "rack" } },
    racks(["a"], ["a"], ["b"], ["b", away]),
  );
  assert.match(message, /no rack has more than 3 of them$/);
});

Deno.test("a cordon that ends by itself is told with its end", () => {
  const cordoned = { reason: "new driver", untilMs: NOW };
  const whole = { closed: "is cordoned (new driver)", cordoned: true };
  const { reason, message } = told({ need: { nodes: 2 } }, [
    room("n1"),
    room("n2", { ...whole, node: { cordoned } }),
    room("n3", { ...whole, node: { cordoned: { reason: "new fan" } } }),
  ]);
  assert.equal(reason, "Cordoned");
  assert.match(message, /\(n2 until 2026-01-01T12:00:00\.000Z, n3\)$/);
});

Deno.test("whoever has the GPUs is named, and what else is in the way is told beside", () => {
  const held = ["GPU 0 holds a run", "GPU 1 holds a run"];
  const rooms = [
    room("n1", { gpus: 2, free: 0, busy: held }),
    room("n2", { gpus: 2, free: 0, busy: ["GPU 0 holds a run", "GPU 1 is used by process 7"] }),
    room("n3", { gpus: 1, free: 0, busy: ["GPU 0 holds a run"] }),
  ];
  const holdings = [
    holding("d4", { n1: [0] }),
    holding("d1", { n1: [1] }),
    holding("d2", { n2: [0] }),
  ];
  const { detail } = refuse(request("job"), rooms, [], holdings);
  assert.match(detail, / n1: d1, d4 \(2 of 2 GPUs\); n2: d2 \(1 of 2 GPUs\), GPU 1 is used by/);
  assert.match(detail, /n3: GPU 0 holds a run$/, "nobody knows whose run that is");
});
