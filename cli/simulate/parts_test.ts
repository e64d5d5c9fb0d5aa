import assert from "node:assert/strict";
import { needs, room } from "../../reconciler/scheduling/testing.ts";
import { Agenda } from "./agenda.ts";
import { Entitlements } from "./entitled.ts";
import { jain, quantile } from "./figures.ts";
import { UsageMeter } from "./meter.ts";
import { Demand } from "./usable.ts";

const HOUR = 3_600_000;

Deno.test("an agenda gives the earliest first, equals in the order in which they came", () => {
  const agenda = new Agenda<string>();
  const times = [5, 3, 9, 3, 7, 1, 5, 8, 2, 3];
  times.forEach((time, i) => agenda.add(time, `${time}${"abcdefghij"[i]}`));
  assert.equal(agenda.nextMs, 1);
  const given: string[] = [];
  for (let next = agenda.due(7); next; next = agenda.due(7)) given.push(next);
  assert.deepEqual(given, ["1f", "2i", "3b", "3d", "3j", "5a", "5g", "7e"]);
  assert.equal(agenda.nextMs, 8);
});

Deno.test("use counts half after a half-life, and what is held counts up to now", () => {
  const meter = new UsageMeter(2 * HOUR, true);
  meter.start("ada", 4, 0);
  meter.stop("ada", 4, 0, HOUR);
  meter.start("bob", 1, HOUR);
  const { decayed, week } = meter.read(3 * HOUR);
  const hours = (from: number, to: number) => 2 / Math.LN2 * (2 ** (-to / 2) - 2 ** (-from / 2));
  assert.ok(Math.abs((decayed.get("ada") ?? 0) - 4 * hours(3, 2)) < 1e-9);
  assert.ok(Math.abs((decayed.get("bob") ?? 0) - hours(2, 0)) < 1e-9);
  assert.deepEqual([...week], [["ada", 4], ["bob", 2]]);
});

Deno.test("a week later nothing counts for the week", () => {
  const meter = new UsageMeter(HOUR, true);
  meter.start("ada", 2, 0);
  meter.stop("ada", 2, 0, 2 * HOUR);
  assert.equal(meter.read(169 * HOUR).week.get("ada"), 2);
  assert.equal(meter.read(170 * HOUR).week.get("ada"), 0);
});

Deno.test("users are entitled to equal parts, and to what others leave", () => {
  const entitled = new Entitlements(10, [{ name: "cyd", groups: [], share: 3 }]);
  entitled.want("ada", 2, 0);
  entitled.want("bob", 20, 0);
  entitled.want("ada", 0, 10); // 2 and 8
  entitled.want("cyd", 20, 10);
  entitled.want("bob", -20, 20); // 2, 2 and 6
  entitled.want("cyd", -20, 30); // 2, 0 and 8
  assert.deepEqual([...entitled.gpuMs], [["ada", 60], ["bob", 100], ["cyd", 140]]);
});

Deno.test("a free GPU is usable when a job that waits fits there", () => {
  const rooms = [room("a", { gpus: 4 }), room("b", { gpus: 4 }), room("c", { gpus: 4 })];
  const demand = new Demand(rooms);
  assert.ok(demand.isStuck);
  const pair = needs({ nodes: 2, gpusPerNode: 3 });
  demand.count(pair, 1);
  assert.equal(demand.unusable(), 0);
  // One node is full, one has two left: only one has three.
  rooms[0]!.free = [];
  rooms[1]!.free = rooms[1]!.free.slice(2);
  assert.ok(demand.isStuck);
  assert.equal(demand.unusable(), 6);
  const large = needs({ gpusPerNode: 4 });
  demand.count(large, 1);
  assert.ok(!demand.isStuck);
  assert.equal(demand.unusable(), 2);
  demand.count(large, -1);
  assert.ok(demand.isStuck);
});

Deno.test("a gang needs GPUs of one kind", () => {
  const rooms = [room("a", { gpus: 2 }), room("b", { gpus: 2, model: "A100" })];
  const demand = new Demand(rooms);
  demand.count(needs({ nodes: 2, gpusPerNode: 1 }), 1);
  assert.ok(demand.isStuck);
});

Deno.test("Jain's index and quantiles", () => {
  assert.equal(jain([2, 2, 2]), 1);
  assert.equal(jain([1, 0, 0, 0]), 0.25);
  assert.equal(jain([]), 1);
  assert.equal(quantile([1, 2, 3, 10], 0.5), 2.5);
  assert.equal(quantile([0, 100], 0.99), 99);
  assert.equal(quantile([], 0.5), 0);
});
