import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { NodeName } from "../../cluster/node.ts";
import { holding, HOUR, limited, needs, NOW, occupy, request, room } from "./testing.ts";
import { endOf, Timeline } from "./timeline.ts";
import type { Holding } from "./types.ts";

const N1 = "n1" as NodeName;
const GPUS = 4;

/** Jobs on n1, on GPUs that follow one another. */
const jobs = fc.array(
  fc.record({
    gpus: fc.integer({ min: 1, max: 2 }),
    hours: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
    ran: fc.integer({ min: 0, max: 7 }),
    cpuCores: fc.nat(3),
    leaving: fc.boolean(),
  }),
  { maxLength: 4 },
).map((drawn) => {
  let next = 0;
  return drawn.flatMap(({ gpus, hours, ran, cpuCores, leaving }, i): Holding[] => {
    const seats = Array.from({ length: gpus }, (_, k) => next + k);
    next += gpus;
    if (next > GPUS) return [];
    return [holding(`job-${i}`, { n1: seats }, {
      ...(hours === undefined ? {} : { length: limited(hours * HOUR) }),
      startedMs: NOW - ran * HOUR,
      leaving,
      need: { cpuCores },
    })];
  });
});

function worldOf(holdings: readonly Holding[]) {
  const rooms = [room("n1", { gpus: GPUS, cpuLeft: 12 })];
  occupy(rooms, holdings);
  return { at: rooms[0]!, timeline: new Timeline(holdings, NOW) };
}

Deno.test("property: a node first has enough when so many of its jobs have ended", () => {
  const need = fc.record({
    gpusPerNode: fc.integer({ min: 1, max: GPUS }),
    cpuCores: fc.nat(13),
  }).map(needs);
  fc.assert(fc.property(jobs, need, (holdings, need) => {
    const { at, timeline } = worldOf(holdings);
    const ends = holdings.map((one) => ({ one, end: endOf(one, NOW) }));
    const enough = (atMs: number) => {
      const gone = ends.filter(({ end }) => Math.max(end.atMs, NOW) <= atMs).map(({ one }) => one);
      const slots = gone.reduce((sum, { need }) => sum + need.gpusPerNode, at.free.length);
      const cores = gone.reduce((sum, { need }) => sum + (need.cpuCores ?? 0), at.cpuLeft ?? 0);
      return slots >= need.gpusPerNode && cores >= (need.cpuCores ?? 0);
    };
    const times = [NOW, ...ends.map(({ end }) => Math.max(end.atMs, NOW))].sort((a, b) => a - b);
    const found = timeline.earliest(at, [...at.slots.values()], need, false);
    assert.equal(found?.atMs, times.find(enough));
  }));
});

Deno.test("property: what nobody keeps is free for as long as anybody likes", () => {
  fc.assert(fc.property(jobs, (holdings) => {
    const { at, timeline } = worldOf(holdings);
    assert.equal(timeline.whole(at, Infinity, needs()), Infinity);
  }));
});

Deno.test("only a start of kept room makes the end of a job count", () => {
  const { at, timeline } = worldOf([
    holding("long", { n1: [0, 1] }, { length: limited(3 * HOUR) }),
  ]);
  const start = { atMs: NOW + 2 * HOUR, basis: "limit" as const };
  const suited = new Map([[N1, [...at.slots.values()]]]);
  timeline.keep(request("wide", { need: { gpusPerNode: 4 } }), {
    job: "wide",
    start,
    nodes: new Map([[N1, 4]]),
  }, suited);
  assert.equal(timeline.whole(at, start.atMs, needs()), Infinity);
  assert.equal(timeline.whole(at, start.atMs + 1, needs()), 0);
  assert.equal(timeline.lastStartBefore(start.atMs), -Infinity);
  assert.equal(timeline.lastStartBefore(start.atMs + 1), start.atMs);
});

Deno.test("what is placed on a node changes what may be taken there beside kept room", () => {
  const { at, timeline } = worldOf([holding("b", { n1: [0] }, { length: limited(3 * HOUR) })]);
  const start = { atMs: NOW + HOUR, basis: "limit" as const };
  const suited = new Map([[N1, [...at.slots.values()]]]);
  timeline.keep(request("two", { need: { gpusPerNode: 2 } }), {
    job: "two",
    start,
    nodes: new Map([[N1, 2]]),
  }, suited);
  assert.equal(timeline.whole(at, Infinity, needs()), 1);
  const placed = [{ node: "n1", gpus: ["n1:1"] }];
  at.free = at.free.filter(({ uuid }) => uuid !== "n1:1");
  timeline.stay(request("c"), placed, { atMs: NOW + 9 * HOUR, basis: "guess" });
  assert.equal(timeline.whole(at, Infinity, needs()), 0);
});
