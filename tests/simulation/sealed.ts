/**
 * Takes away what would make a run depend on anything but its scenario.
 *
 * @module
 */

import process from "node:process";

function forbid(name: string) {
  return (): never => {
    throw new Error(`Cannot use ${name} in a simulation: it makes runs differ`);
  };
}

/** Runs `act` while the real time and real random numbers cannot be had. */
export async function sealed<T>(act: () => Promise<T>): Promise<T> {
  const { random } = Math;
  const { now } = Date;
  const { randomUUID, getRandomValues } = crypto;
  const { setTimeout: later } = globalThis;
  const { env } = process;
  Math.random = forbid("Math.random");
  Date.now = forbid("Date.now");
  crypto.randomUUID = forbid("crypto.randomUUID");
  crypto.getRandomValues = forbid("crypto.getRandomValues");
  globalThis.setTimeout = forbid("setTimeout") as unknown as typeof setTimeout;
  // The YAML parser asks the environment at every token.
  process.env = {};
  try {
    return await act();
  } finally {
    Math.random = random;
    Date.now = now;
    crypto.randomUUID = randomUUID;
    crypto.getRandomValues = getRandomValues;
    globalThis.setTimeout = later;
    process.env = env;
  }
}
