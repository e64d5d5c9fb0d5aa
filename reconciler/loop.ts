/**
 * The loop: makes passes when something may have changed, and otherwise at the pace of the poll.
 *
 * @module
 */
import type { Controller, PassResult } from "./controller.ts";
import type { Log } from "./execute.ts";
import type { Clock } from "./ports.ts";

/** Why a pass is made. `repository` fetches first; `nodes` looks at the machines only. */
export type Hint = "repository" | "nodes";

/** What the loop has done since it started. */
export interface Stats {
  passes: number;
  mutations: number;
  commits: number;
  errors: number;
  lastPassMs: number;
}

/** Pause before another pass after one that failed or whose launches failed. */
const RETRY_MS = 1000;

/** How many intervals lie between two polls at most. */
const MAX_BACKOFF = 8;

/** Events that arrive this close together are looked at in one pass. */
const GATHER_MS = 15;

/** Runs a controller until told to stop. */
export class Loop {
  readonly stats: Stats = { passes: 0, mutations: 0, commits: 0, errors: 0, lastPassMs: 0 };
  #hints = new Set<Hint>();
  #wake = new AbortController();
  #failedFetches = 0;
  #hurried = 0;

  constructor(
    private readonly controller: Controller,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly pollIntervalMs: (() => number) | number,
  ) {}

  /** Something may have changed. Never blocks; many hints make one pass. */
  hint(what: Hint): void {
    this.#hints.add(what);
    this.#wake.abort();
  }

  /** Passes until `signal` is aborted. Throws only what no later pass can mend (`DeposedError`). */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#wake.abort();
    signal.addEventListener("abort", stop, { once: true });
    let pollAtMs = 0;
    while (!signal.aborted) {
      // A clock that was set back does not put the next look off for as long.
      pollAtMs = Math.min(pollAtMs, this.clock.now() + this.#baseMs() * MAX_BACKOFF);
      const refresh = this.#hints.has("repository") || this.clock.now() >= pollAtMs;
      this.#hints.clear();
      this.#wake = new AbortController();
      const result = await this.onePass(refresh);
      if (refresh) pollAtMs = this.clock.now() + this.#pollMs(result);
      const wakeAtMs = this.#nextPassAt(result, pollAtMs);
      await this.#sleepUntil(wakeAtMs, signal);
    }
    signal.removeEventListener("abort", stop);
  }

  /** One pass, counted; an unexpected error is logged and counted, not thrown. */
  async onePass(refresh: boolean): Promise<PassResult | undefined> {
    const startedMs = this.clock.now();
    try {
      const result = await this.controller.pass(refresh);
      this.stats.passes++;
      this.stats.mutations += result.mutations;
      if (result.committed) this.stats.commits++;
      this.stats.lastPassMs = this.clock.now() - startedMs;
      return result;
    } catch (error) {
      if ((error as Error).name === "DeposedError") throw error;
      this.stats.errors++;
      this.log("error", "pass failed", { error: (error as Error).stack ?? String(error) });
      return undefined;
    }
  }

  /** Polls back off (up to `MAX_BACKOFF` times the interval) while nothing is known of the repository. */
  #pollMs(result: PassResult | undefined): number {
    this.#failedFetches = result?.planned ? 0 : this.#failedFetches + 1;
    return this.#baseMs() * Math.min(2 ** this.#failedFetches, MAX_BACKOFF);
  }

  #baseMs(): number {
    return typeof this.pollIntervalMs === "number" ? this.pollIntervalMs : this.pollIntervalMs();
  }

  #nextPassAt(result: PassResult | undefined, pollAtMs: number): number {
    const now = this.clock.now();
    if (!result) return Math.min(pollAtMs, now + RETRY_MS);
    const times = [pollAtMs];
    if (result.wakeAtMs !== undefined) times.push(result.wakeAtMs);
    if (result.failures > 0 && result.planned) times.push(now + RETRY_MS);
    else if (result.mutations > 0) times.push(now);
    return this.#unhurried(Math.min(...times), now);
  }

  /** Passes that follow each other at once slow down, so that nothing can keep the loop spinning. */
  #unhurried(atMs: number, now: number): number {
    this.#hurried = atMs <= now ? this.#hurried + 1 : 0;
    const pauseMs = this.#hurried < 3 ? 0 : Math.min(GATHER_MS * 2 ** this.#hurried, RETRY_MS);
    return Math.max(atMs, now + pauseMs);
  }

  async #sleepUntil(atMs: number, signal: AbortSignal): Promise<void> {
    if (this.#hints.size === 0 && !signal.aborted) {
      const ms = Math.max(atMs - this.clock.now(), 0);
      if (ms > 0) await this.clock.sleep(ms, this.#wake.signal);
    }
    if (!signal.aborted && this.#hints.size > 0) await this.clock.sleep(GATHER_MS);
  }
}
