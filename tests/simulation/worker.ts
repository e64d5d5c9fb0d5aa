/**
 * Simulates seeds in a thread of its own: takes a seed at a time, answers with what came of it.
 *
 * @module
 */
import { generate } from "./generate.ts";
import { type Result, simulate } from "./run.ts";

/** What a worker answers. */
export interface Answer {
  readonly seed: number;
  readonly result: Result;
}

/** The part of a worker's own scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<number>) => void) | null;
  postMessage(answer: Answer): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: seed }) => {
  const result = await simulate(generate(seed)).catch((error: Error) => {
    throw new Error(`seed ${seed} broke the simulation itself: ${error.message}`, { cause: error });
  });
  scope.postMessage({ seed, result });
};
