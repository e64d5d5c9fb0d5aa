/**
 * Adds up what came of many seeds, and says it.
 *
 * @module
 */
import type { Result } from "./run.ts";

const DAY_MS = 86_400_000;

/** One seed that violated something. */
export interface Failure {
  readonly seed: number;
  readonly result: Result;
}

/** Sums over seeds. */
export class Tally {
  readonly failures: Failure[] = [];
  readonly #faults = new Map<string, number>();
  #seeds = 0;
  #virtualMs = 0;
  #passes = 0;
  #commits = 0;
  #launches = 0;

  /** Takes over one result. */
  add(seed: number, result: Result): void {
    const { stats, violation } = result;
    this.#seeds++;
    this.#virtualMs += stats.virtualMs;
    this.#passes += stats.passes;
    this.#commits += stats.commits;
    this.#launches += stats.launches;
    for (const [kind, count] of Object.entries(stats.faults)) {
      this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + count);
    }
    if (violation) this.failures.push({ seed, result });
  }

  get seeds(): number {
    return this.#seeds;
  }

  /** One line while it goes on. */
  progress(seconds: number): string {
    return `${this.#seeds} seeds, ${this.failures.length} failures, ${this.#speed(seconds)}`;
  }

  /** The end, in a few lines. */
  summary(seconds: number): string {
    const faults = [...this.#faults].sort(([, a], [, b]) => b - a);
    const total = faults.reduce((sum, [, count]) => sum + count, 0);
    return [
      `${this.#seeds} seeds in ${seconds.toFixed(1)} s: ${this.failures.length} failures`,
      `${(this.#virtualMs / DAY_MS).toFixed(1)} virtual days, ${this.#speed(seconds)}`,
      `${this.#passes} passes, ${this.#commits} commits, ${this.#launches} launches`,
      `${total} faults: ${faults.map(([kind, count]) => `${kind} ${count}`).join(", ")}`,
    ].join("\n");
  }

  #speed(seconds: number): string {
    const days = this.#virtualMs / DAY_MS / Math.max(seconds, 0.001);
    return `${days.toFixed(2)} virtual days a second`;
  }
}

/** `seed N, step S, invariant I: message`, and how to see it again. */
export function describeFailure({ seed, result }: Failure): string {
  const { violation } = result;
  if (!violation) return `seed ${seed}: fine`;
  const { step, invariant, message, atMs } = violation;
  return `seed ${seed}, step ${step}, invariant ${invariant}: ${message} ` +
    `(at ${(atMs / 1000).toFixed(1)} s)\n  again: deno task simulate --seed ${seed}`;
}
