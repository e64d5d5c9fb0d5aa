import assert from "node:assert/strict";
import { room } from "../../reconciler/scheduling/testing.ts";
import { quantile } from "./figures.ts";
import { generate } from "./generate.ts";
import { normalQuantile } from "./random.ts";
import { formatTrace, parseTrace } from "./trace.ts";

const rooms = Array.from({ length: 16 }, (_, i) => room(`n${i}`, { gpus: 8 }));

Deno.test("durations have the median and mean of Philly at any seed, and end at 30 days", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const rows = generate({ count: 10_000, load: 0.9, seed }, rooms, []);
    const sorted = rows.map((row) => row.durationSeconds).sort((a, b) => a - b);
    const mean = sorted.reduce((a, b) => a + b) / sorted.length;
    assert.ok(Math.abs(mean / 18_006 - 1) < 0.02, `seed ${seed}: mean ${mean}`);
    const median = quantile(sorted, 0.5);
    assert.ok(Math.abs(median / 874 - 1) < 0.01, `seed ${seed}: median ${median}`);
    assert.ok(sorted.at(-1)! <= 30 * 86_400 && sorted[0]! >= 1);
  }
});

Deno.test("most jobs take one GPU, few are wide, none takes more than half of the cluster", () => {
  const wide = generate({ count: 10_000, load: 0.9, seed: 1 }, rooms, []);
  const having = (gpus: number) => wide.filter((row) => row.gpus === gpus).length;
  assert.deepEqual([1, 2, 4, 8, 16, 32, 64].map(having), [7400, 1000, 800, 600, 120, 50, 30]);
  const small = generate({ count: 1000, load: 0.9, seed: 1 }, rooms.slice(0, 2), []);
  assert.equal(Math.max(...small.map((row) => row.gpus)), 8);
});

Deno.test("the GPU time asked for is the load, to the second", () => {
  for (const load of [0.5, 0.9, 1.2]) {
    const rows = generate({ count: 2000, load, seed: 7 }, rooms, []);
    const asked = rows.reduce((sum, { durationSeconds, gpus }) => sum + durationSeconds * gpus, 0);
    const spanSeconds = rows.at(-1)!.submitSeconds;
    assert.ok(Math.abs(asked / (128 * load) - spanSeconds) <= 0.5, `load ${load}`);
  }
});

Deno.test("arrivals are a Poisson process: gaps spread as wide as their mean", () => {
  const rows = generate({ count: 10_000, load: 0.9, seed: 3 }, rooms, []);
  const gaps = rows.slice(1).map((row, i) => row.submitSeconds - rows[i]!.submitSeconds);
  assert.ok(gaps.every((gap) => gap >= 0));
  const mean = gaps.reduce((a, b) => a + b) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  assert.ok(Math.abs(Math.sqrt(variance) / mean - 1) < 0.05);
});

Deno.test("a seed gives the same trace again, another seed another one", () => {
  const make = (seed: number) => generate({ count: 300, load: 0.9, seed }, rooms, []);
  assert.deepEqual(make(1), make(1));
  assert.notDeepEqual(make(1), make(2));
});

Deno.test("a trace that is saved is read back as it was", () => {
  const rows = generate({ count: 300, load: 0.9, seed: 1 }, rooms, []);
  const read = parseTrace("t.csv", formatTrace(rows));
  assert.deepEqual(read, {
    ok: true,
    value: rows.map((row, i) => ({ ...row, line: i + 2 })),
    warnings: [],
  });
});

Deno.test("jobs are those of the cluster's users, the first of them the busiest", () => {
  const users = ["ada", "bob"].map((name) => ({ name, groups: [], share: 1 }));
  const rows = generate({ count: 3000, load: 0.9, seed: 1 }, rooms, users);
  const adas = rows.filter((row) => row.user === "ada").length;
  assert.ok(Math.abs(adas / 3000 - 2 / 3) < 0.03);
  assert.ok(rows.every(({ user }) => user === "ada" || user === "bob"));
});

Deno.test("the normal quantile is right to nine digits", () => {
  const known = [[0.5, 0], [0.975, 1.959963985], [0.001, -3.090232306], [0.9999, 3.719016485]];
  for (const [p = 0, z = 0] of known) {
    assert.ok(Math.abs(normalQuantile(p) - z) < 5e-9 * Math.max(1, Math.abs(z)), `${p}`);
  }
});
