/**
 * How long one pass of the planner takes for a large cluster: 1,000 nodes of 8 GPUs, 2,000 running
 * and 10,000 waiting jobs, all in one `plan()`: every status is decided, the queue is served.
 *
 * @example
 * deno task bench plan
 *
 * @module
 */
import { plan } from "../reconciler/plan.ts";
import type { PlanInput } from "../reconciler/model.ts";
import { time, type Timed } from "./stopwatch.ts";
import { figures, type Row, timings } from "./table.ts";
import { BASE, build, GPUS, MANY, type Mix, SMALL } from "./world.ts";

const REPEATS = 51;
const WARM_UP = 5;
const MIB = 1024 * 1024;

const MIXES: readonly (Partial<Mix> & { readonly name: string })[] = [
  { name: "full, nothing changes" },
  { name: "full, 10,000 new jobs", known: false },
  { name: "half free, small jobs", shapes: SMALL, free: 4, known: false },
  { name: "half free, gangs", free: 4, known: false },
  { name: "half free, 50 users, 5 queues", free: 4, known: false, shared: true },
  { name: "full, 50 users, 5 queues, borrowed", shared: true, queuesInUse: 2 },
  { name: "full, preemption by priority", byPriority: true },
  { name: "one node in ten away", away: 100 },
  { name: "full, children of 100 sweeps", children: true, shapes: SMALL },
  { name: "full, lengths known", lengths: true },
  { name: "half free, lengths known", lengths: true, free: 4, known: false },
  { name: "full, 200 shapes", shapes: MANY },
];

/** Times of passes, after a few that are not counted, and the heap after each. */
function measure(input: PlanInput) {
  for (let i = 0; i < WARM_UP; i++) plan(input);
  const times: Timed<unknown>[] = [];
  const heapMiB: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    times.push(time(() => void plan(input)));
    heapMiB.push(Deno.memoryUsage().heapUsed / MIB);
  }
  return { times, heapMiB };
}

/** One row a mix, and what it takes of memory with the world itself. */
export function benchPlan(): Promise<Row[]> {
  const { nodes, running, pending } = BASE;
  console.log(`one pass: ${nodes} nodes x ${GPUS} GPUs, ${running} running, ${pending} waiting\n`);
  const rows: Row[] = [];
  const heap: number[] = [];
  for (const { name, ...mix } of MIXES) {
    const { times, heapMiB } = measure(build({ ...BASE, ...mix }));
    rows.push(timings(name, times));
    for (const each of heapMiB) heap.push(each);
  }
  rows.push(figures("heap in use, the world included", "MiB", heap));
  rows.push(figures("resident memory at the end", "MiB", [Deno.memoryUsage().rss / MIB]));
  return Promise.resolve(rows);
}
