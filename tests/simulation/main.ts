/**
 * Simulates many seeds and tells what came of them; or one seed, with the end of its trace.
 *
 * @example
 * deno task simulate --seeds 2000
 * deno task simulate --seed 17
 * deno task simulate --seed 17 --shrink
 *
 * @module
 */
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { generate, isLarge } from "./generate.ts";
import { storeRegression } from "./regressions.ts";
import { simulate } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { describeFailure, Tally } from "./tally.ts";
import type { Answer } from "./worker.ts";

const HELP = `usage: deno task simulate [options]
  --seeds N        how many seeds (default 200)
  --from N         the first seed (default 1)
  --seed N         one seed: replays it and shows the end of its trace
  --file PATH      one stored scenario instead
  --lines N        lines of the trace (default 80)
  --shrink         makes a failing seed's scenario small and stores it as a regression
  --jobs N         threads (default: one a core)
  --time-limit S   starts no further seed after so many seconds
  --large          large scenarios only`;

/** Time between two lines of progress. */
const PROGRESS_MS = 15_000;
/** Time for making one scenario small. */
const SHRINK_MS = 120_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "200" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      file: { type: "string" },
      lines: { type: "string", default: "80" },
      shrink: { type: "boolean", default: false },
      jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
      "time-limit": { type: "string" },
      large: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.file !== undefined) {
    const scenario = parse(await Deno.readTextFile(values.file)) as Scenario;
    return await replay(scenario, whole(values.lines));
  }
  if (values.seed !== undefined) {
    const seed = whole(values.seed);
    return values.shrink
      ? await shrinkAndStore(seed)
      : await replay(generate(seed), whole(values.lines));
  }
  const limitMs = values["time-limit"] ? whole(values["time-limit"]) * 1000 : Infinity;
  const first = whole(values.from);
  const seeds = Array.from({ length: whole(values.seeds) }, (_, i) => first + i)
    .filter((seed) => !values.large || isLarge(seed));
  const failed = await many(seeds, whole(values.jobs), limitMs);
  if (values.shrink) { for (const seed of failed) await shrinkAndStore(seed); }
  return failed.length > 0 ? 1 : 0;
}

function whole(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new Error(`Cannot simulate: ${JSON.stringify(text)} is not a whole number\n${HELP}`);
}

async function replay(scenario: Scenario, lines: number): Promise<number> {
  const result = await simulate(scenario);
  for (const line of result.tail.slice(-lines)) console.log(line);
  console.log(result.stats);
  if (!result.violation) return 0;
  console.log(describeFailure({ seed: scenario.seed, result }));
  return 1;
}

async function shrinkAndStore(seed: number): Promise<number> {
  const startMs = performance.now();
  const small = await shrink(generate(seed), () => performance.now() - startMs < SHRINK_MS);
  if (!small) {
    console.log(`seed ${seed} is fine`);
    return 0;
  }
  const path = await storeRegression(small);
  console.log(`seed ${seed}: stored as ${path}`);
  return 1;
}

/** Simulates seeds on some threads; gives those that failed. */
async function many(seeds: readonly number[], threads: number, limitMs: number) {
  const tally = new Tally();
  const startMs = performance.now();
  const seconds = () => (performance.now() - startMs) / 1000;
  let next = 0;
  let saidMs = startMs;
  const take = () => performance.now() - startMs < limitMs ? seeds[next++] : undefined;
  const note = ({ seed, result }: Answer) => {
    tally.add(seed, result);
    if (result.violation) console.log(describeFailure({ seed, result }));
    if (performance.now() - saidMs < PROGRESS_MS) return;
    saidMs = performance.now();
    console.log(tally.progress(seconds()));
  };
  await Promise.all(Array.from({ length: Math.max(1, threads) }, () => work(take, note)));
  console.log(tally.summary(seconds()));
  return tally.failures.map(({ seed }) => seed);
}

/** One thread that simulates what `take` gives until there is no more. */
function work(take: () => number | undefined, note: (answer: Answer) => void): Promise<void> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    const go = () => {
      const seed = take();
      if (seed !== undefined) return worker.postMessage(seed);
      worker.terminate();
      resolve();
    };
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      note(data);
      go();
    };
    worker.onerror = (event) => reject(new Error(`a simulation thread broke: ${event.message}`));
    go();
  });
}

if (import.meta.main) Deno.exitCode = await main();
