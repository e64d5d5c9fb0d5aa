/**
 * Runs properties over thousands of random cases and counts them. The seed is fixed, so that CI is
 * the same every time; a failure prints seed and path, which fast-check takes back.
 *
 * - `UGRO_FUZZ_SEED=N`: other cases
 * - `UGRO_FUZZ_RUNS=N`: N times as many
 *
 * @example
 * fuzz("log lines", 2000, hostileText, (text) => assert.doesNotThrow(() => JSON.parse(line(text))));
 *
 * @module
 */
import assert from "node:assert/strict";
import { cpuUsage } from "node:process";
import fc from "fast-check";

const seed = Number(Deno.env.get("UGRO_FUZZ_SEED") ?? 20_260_101);
const times = Number(Deno.env.get("UGRO_FUZZ_RUNS") ?? 1);

/** The most that one case may compute, in time of the processor: other work does not count. */
const CASE_MS = 4000;

const total = { cases: 0, targets: 0, ms: 0 };

/** A test of many cases; `check` throws on a wrong one. */
export function fuzz<T>(
  target: string,
  runs: number,
  arbitrary: fc.Arbitrary<T>,
  check: (value: T) => void | Promise<void>,
): void {
  Deno.test(`fuzz: ${target}`, async () => {
    total.targets++;
    const began = performance.now();
    const property = fc.asyncProperty(arbitrary, async (value) => {
      total.cases++;
      const before = cpuUsage();
      await check(value);
      assertQuick(before);
    });
    await fc.assert(property, { seed, numRuns: Math.ceil(runs * times), endOnFailure: times > 1 });
    total.ms += performance.now() - began;
  });
}

/** A test of cases that were thought of, each with its name. */
export function corpus<T>(
  target: string,
  cases: Readonly<Record<string, T>>,
  check: (value: T, name: string) => void | Promise<void>,
): void {
  Deno.test(`fuzz: ${target}, by hand`, async () => {
    total.targets++;
    const began = performance.now();
    for (const [name, value] of Object.entries(cases)) {
      total.cases++;
      const before = cpuUsage();
      try {
        await check(value, name);
        assertQuick(before);
      } catch (cause) {
        throw new Error(`${name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
      }
    }
    total.ms += performance.now() - began;
  });
}

/** A test of many cases that go through one process, in order; `check` counts those that are done. */
export function batch<T>(
  target: string,
  runs: number,
  arbitrary: fc.Arbitrary<T>,
  check: (cases: readonly T[], count: () => void) => Promise<void>,
): void {
  Deno.test(`fuzz: ${target}`, async () => {
    total.targets++;
    const began = performance.now();
    const numRuns = Math.ceil(runs * times);
    await check(fc.sample(arbitrary, { seed, numRuns }), () => void total.cases++);
    total.ms += performance.now() - began;
  });
}

function assertQuick(before: ReturnType<typeof cpuUsage>): void {
  const { user, system } = cpuUsage(before);
  const ms = (user + system) / 1000;
  assert.ok(ms < CASE_MS, `one case took ${ms.toFixed(0)} ms; at most ${CASE_MS}`);
}

/** `fuzz: N cases in M targets, S s`. */
export function summary(): string {
  const { cases, targets, ms } = total;
  return `fuzz: ${cases} cases in ${targets} targets, ${(ms / 1000).toFixed(1)} s (seed ${seed})`;
}
