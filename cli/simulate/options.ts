/**
 * What `ugro simulate` takes.
 *
 * @module
 */
import { InvalidArgumentError } from "commander";
import type { SchedulingPolicy } from "../../cluster/cluster.ts";
import { parseDuration } from "../../cluster/duration.ts";
import { MAX_ROWS } from "./trace.ts";

/** What `-o` takes. */
export const SIMULATE_OUTPUTS = ["table", "json"] as const;

/** What `--estimates` takes. */
export const ESTIMATES = ["rounded", "exact", "none"] as const;
/** How much the scheduler knows of lengths: what people write, the truth, or nothing. */
export type Estimates = typeof ESTIMATES[number];

/** Options as commander gives them. */
export interface SimulateOptions {
  readonly cluster: string;
  /** A CSV file; undefined: a trace is made. */
  readonly trace?: string;
  /** Jobs of the trace that is made. */
  readonly generate?: number;
  readonly load: number;
  readonly seed: number;
  readonly policy: readonly SchedulingPolicy[];
  readonly estimates: Estimates;
  readonly checkpointEvery: number;
  readonly output: typeof SIMULATE_OUTPUTS[number];
  readonly svg?: string;
  readonly save?: string;
}

const POLICIES: readonly SchedulingPolicy[] = [
  "fifo",
  "priority",
  "backfill",
  "fairshare",
  "default",
];

/** `fifo,default`. Throws where one is none, or stands twice. */
export function parsePolicies(text: string): SchedulingPolicy[] {
  const names = text.split(",").map((name) => name.trim());
  const known = POLICIES.filter((policy) => names.includes(policy));
  if (known.length !== names.length) {
    throw new InvalidArgumentError(`Write some of ${POLICIES.join(",")}, each once.`);
  }
  return names as SchedulingPolicy[];
}

/** A number of jobs. */
export function parseCount(text: string): number {
  return wholeNumber(text, 1, MAX_ROWS);
}

/** Any seed of 32 bits. */
export function parseSeed(text: string): number {
  return wholeNumber(text, 0, 2 ** 32 - 1);
}

function wholeNumber(text: string, min: number, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
}

/** A share of the cluster, such as 0.9. More than 1 is a queue that grows. */
export function parseLoad(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value >= 0.01 && value <= 10) return value;
  throw new InvalidArgumentError("Write a number from 0.01 to 10, such as 0.9.");
}

/** `30m`. */
export function parseEvery(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= 1000) return ms;
  throw new InvalidArgumentError("Write a time of at least 1s, such as 30m.");
}
