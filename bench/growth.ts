/**
 * How the time of one pass grows with the nodes, with the jobs, and with both: a power law is
 * fitted to the time on a CPU. Exponent 1: twice as much takes twice as long.
 *
 * @example
 * deno task bench growth
 *
 * @module
 */
import type { PlanInput } from "../reconciler/model.ts";
import { plan } from "../reconciler/plan.ts";
import { median, time, type Timed } from "./stopwatch.ts";
import { type Row, timings } from "./table.ts";
import { BASE, build, GPUS, MANY, type Mix } from "./world.ts";

const REPEATS = 15;
const WARM_UP = 4;
const DOUBLINGS = [1, 2, 4, 8, 16];

/** The smallest world of a series; the largest has 16 times as much. */
const LEAST_NODES = 125;
const LEAST_JOBS = 1500;
const FIXED_NODES = 1000;
const FIXED_JOBS = 12_000;

/** What grows: `running` are two on each node, or one where the jobs alone grow. */
const SERIES: readonly { readonly name: string; readonly sizes: readonly Size[] }[] = [
  {
    name: `nodes (${FIXED_JOBS} jobs)`,
    sizes: DOUBLINGS.map((k) => sized(LEAST_NODES * k, FIXED_JOBS, 2)),
  },
  {
    name: `jobs (${FIXED_NODES} nodes)`,
    sizes: DOUBLINGS.map((k) => sized(FIXED_NODES, LEAST_JOBS * k, 1)),
  },
  {
    name: "both",
    sizes: DOUBLINGS.map((k) => sized(LEAST_NODES * k, LEAST_JOBS * k, 2)),
  },
];

const MIXES: readonly (Partial<Mix> & { readonly name: string })[] = [
  { name: "full, nothing changes" },
  { name: "half free, gangs", free: 4, known: false },
  { name: "half free, 50 users, 5 queues", free: 4, known: false, shared: true },
  { name: "full, preemption by priority", byPriority: true },
  { name: "full, lengths known", lengths: true },
  { name: "full, 200 shapes", shapes: MANY },
];

interface Size {
  readonly nodes: number;
  readonly running: number;
  readonly pending: number;
}

function sized(nodes: number, jobs: number, runningPerNode: number): Size {
  const running = nodes * runningPerNode;
  return { nodes, running, pending: jobs - running };
}

/** Prints the exponents; the rows are the medians that they were fitted to. */
export function benchGrowth(): Promise<Row[]> {
  const rows: Row[] = [];
  const exponents: { readonly name: string; readonly values: number[] }[] = [];
  for (const { name, ...mix } of MIXES) {
    const values: number[] = [];
    for (const series of SERIES) {
      const times = measure(series.sizes.map((size) => build({ ...BASE, ...mix, ...size })));
      series.sizes.forEach(({ nodes, running, pending }, i) => {
        const what = `${name}: ${nodes} nodes x ${GPUS}, ${running + pending} jobs`;
        rows.push(timings(what, times[i] ?? []));
      });
      values.push(exponent(times.map((each) => median(each.map(({ cpuMs }) => cpuMs)))));
    }
    exponents.push({ name, values });
  }
  print(exponents);
  return Promise.resolve(rows);
}

/** Times of each world, measured turn about: what else the machine does falls on all alike. */
function measure(worlds: readonly PlanInput[]): Timed<unknown>[][] {
  const times = worlds.map((): Timed<unknown>[] => []);
  for (let round = -WARM_UP; round < REPEATS; round++) {
    worlds.forEach((input, i) => {
      const timed = time(() => void plan(input));
      if (round >= 0) times[i]?.push(timed);
    });
  }
  return times;
}

/** Slope of the line of least squares through the logarithms; the sizes double. */
function exponent(values: readonly number[]): number {
  const mean = (numbers: readonly number[]) =>
    numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const x = DOUBLINGS.map(Math.log2);
  const y = values.map(Math.log2);
  const [middle, level] = [mean(x), mean(y)];
  const slopes = x.map((at, i) => (at - middle) * ((y[i] ?? NaN) - level));
  return mean(slopes) / mean(x.map((at) => (at - middle) ** 2));
}

function print(exponents: readonly { readonly name: string; readonly values: number[] }[]): void {
  const width = Math.max(...exponents.map(({ name }) => name.length));
  const heads = SERIES.map(({ name }) => name.padStart(20)).join("");
  console.log(`fitted exponent of the median time on a CPU over\n\n${"".padEnd(width)}${heads}`);
  for (const { name, values } of exponents) {
    const cells = values.map((value) => value.toFixed(2).padStart(20)).join("");
    console.log(`${name.padEnd(width)}${cells}`);
  }
  console.log();
}
