import assert from "node:assert/strict";
import type { Attempt } from "../jobs/status.ts";
import { lengthOf, memoryNote, peakGbOf } from "./lengths.ts";
import { ago, attempt, job, status } from "./testing/build.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** An attempt that took so many minutes and ended so many hours ago. */
function took(minutes: number, endedHoursAgo: number, changes: Partial<Attempt> = {}): Attempt {
  return attempt(100 - endedHoursAgo, ["n1"], {
    startedAt: ago(endedHoursAgo * HOUR + minutes * MINUTE),
    endedAt: ago(endedHoursAgo * HOUR),
    end: "succeeded",
    ...changes,
  });
}

const ran = (name: string, ...attempts: Attempt[]) => status(name, { attempts });
const RESUMED = { resumedFrom: { path: "/w/step-5", step: 5 } };

Deno.test("maxDuration is the length, whatever earlier runs took", () => {
  const limited = job("a", { maxDurationMs: 5000 });
  const expected = { ms: 5000, basis: "limit" } as const;
  assert.deepEqual(lengthOf(limited, ran("a", took(60, 1))), expected);
});

Deno.test("else it is a fifth more than the longest succeeded run, in whole minutes", () => {
  const length = lengthOf(job("a"), ran("a", took(7, 3), took(11, 2), took(9, 1)));
  assert.deepEqual(length, { ms: 14 * MINUTE, basis: "history" }); // 13.2
});

Deno.test("a job that nobody has seen to its end has no length", () => {
  assert.equal(lengthOf(job("a"), ran("a")), undefined);
  const others: Attempt[] = [
    took(60, 5, { end: "failed" }),
    took(60, 4, { end: "evicted" }),
    took(60, 3, { end: "node-lost" }),
    attempt(98, ["n1"], { end: "succeeded", endedAt: ago(1000) }), // never seen to start
    attempt(99, ["n1"], { startedAt: ago(HOUR) }),
  ];
  assert.equal(lengthOf(job("a"), ran("a", ...others)), undefined);
});

Deno.test("only the last five runs count", () => {
  const runs = [9, 8, 7, 6, 5].map((hours) => took(10, hours));
  assert.equal(lengthOf(job("a"), ran("a", took(600, 10), ...runs))?.ms, 12 * MINUTE);
  assert.equal(lengthOf(job("a"), ran("a", ...runs, took(600, 1)))?.ms, 720 * MINUTE);
});

Deno.test("a run in parts took all of its parts", () => {
  const parts = [took(100, 9, { end: "evicted" }), took(50, 5, RESUMED)];
  assert.equal(lengthOf(job("a"), ran("a", ...parts))?.ms, 180 * MINUTE);
  // What it did not go on from was for nothing.
  const anew = [took(100, 9, { end: "failed" }), took(50, 5)];
  assert.equal(lengthOf(job("a"), ran("a", ...anew))?.ms, 60 * MINUTE);
});

Deno.test("siblings tell the length of a job that has not run, and of no other", () => {
  const siblings = [ran("s-1", took(10, 2)), ran("s-2", took(20, 1)), ran("s-3")];
  assert.equal(lengthOf(job("s-3"), ran("s-3"), siblings)?.ms, 24 * MINUTE);
  assert.equal(lengthOf(job("s-1"), ran("s-1", took(10, 2)), siblings)?.ms, 12 * MINUTE);
});

Deno.test("the order of siblings does not matter", () => {
  const siblings = [12, 3, 8, 1, 5, 7].map((hours) => ran(`s-${hours}`, took(hours * 10, hours)));
  const expected = { ms: 96 * MINUTE, basis: "history" } as const; // that of 12 hours ago is sixth
  assert.deepEqual(lengthOf(job("s"), ran("s"), siblings), expected);
  assert.deepEqual(lengthOf(job("s"), ran("s"), siblings.toReversed()), expected);
});

Deno.test("the peak is the most that an attempt used, failed ones aside", () => {
  const used = ran("a", took(1, 3, { peakMiB: 2048 }), took(1, 2, { peakMiB: 21_504 }));
  assert.equal(peakGbOf(used), 21);
  assert.equal(peakGbOf(ran("a", took(1, 1, { peakMiB: 500, end: "failed" }))), undefined);
  assert.equal(peakGbOf(ran("a", took(1, 1))), undefined);
  assert.equal(peakGbOf(ran("b"), [ran("b"), used]), 21);
});

Deno.test("a note tells what will hardly fit, and nothing else", () => {
  const cases: [number | undefined, number | undefined, number | undefined, string | undefined][] =
    [
      [undefined, 21, 12, "used up to 21 GB of a GPU before; the GPUs chosen have 12 GB"],
      [
        112,
        undefined,
        79.65,
        "weights, gradients and optimizer need about 112 GB of each GPU; the GPUs chosen have 79.7 GB",
      ],
      [112, 21, 24, undefined], // it was seen to need less
      [10, undefined, 12, undefined],
      [undefined, 12, 12, undefined],
      [undefined, undefined, 12, undefined],
      [112, 112, undefined, undefined], // nobody knows how large the GPUs are
    ];
  for (const [estimate, peak, gpu, expected] of cases) {
    assert.equal(memoryNote(estimate, peak, gpu), expected);
  }
});

Deno.test("ten thousand jobs of one parent are gone through once", () => {
  const siblings = Array.from({ length: 10_000 }, (_, i) => ran(`s-${i}`, took(10, i % 7)));
  let visits = 0;
  const counted = new Proxy(siblings, {
    get: (target, key, receiver) => {
      if (key === "flatMap") visits++;
      return Reflect.get(target, key, receiver);
    },
  });
  for (const { name } of siblings) lengthOf(job(name), ran(name), counted);
  assert.equal(visits, 2); // lengths and peaks
});
