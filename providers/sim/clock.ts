/**
 * Virtual time: nothing happens until somebody advances it, and then everything happens in order.
 *
 * @example
 * const clock = new VirtualClock();
 * clock.at(clock.now() + 1000, () => machine.crash());
 * await clock.advance(5000);
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../../reconciler/ports.ts";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  fire: (() => void) | undefined;
}

/** 2026-01-01T00:00:00Z, when a virtual clock starts unless told otherwise. */
const START_MS = Date.UTC(2026, 0, 1);

/** A clock that stands still between calls of `advance`. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers: Timer[] = [];

  constructor(startMs = START_MS) {
    this.#now = startMs;
  }

  /** @inheritDoc */
  now(): number {
    return this.#now;
  }

  /** Calls back at a time (the present at the earliest); the answer takes it back. */
  at(atMs: number, fire: () => void): () => void {
    const timer: Timer = { atMs: Math.max(atMs, this.#now), order: this.#order++, fire };
    push(this.#timers, timer);
    return () => timer.fire = undefined;
  }

  /** @inheritDoc */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.at(this.#now + Math.max(ms, 0), end);
      signal?.addEventListener("abort", end, { once: true });
    });
  }

  /** Lets `ms` pass: every timer that is due fires, and what it started runs until it waits. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#now + ms;
    await this.runUntil(() => false, ms);
    this.#now = endMs;
  }

  /** Advances from instant to instant until `done`; false when `limitMs` went by before. */
  async runUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#now + limitMs;
    await settle();
    while (!done()) {
      const next = this.#nextMs();
      if (next === undefined || next > endMs) return false;
      this.#now = next;
      this.#fireInstant(next);
      await settle();
    }
    return true;
  }

  #nextMs(): number | undefined {
    while (this.#timers[0] && !this.#timers[0].fire) pop(this.#timers);
    return this.#timers[0]?.atMs;
  }

  /** Fires what is due at an instant; what it adds for the same instant waits for its own turn. */
  #fireInstant(atMs: number): void {
    const last = this.#order;
    for (let top = this.#timers[0]; top && top.atMs <= atMs; top = this.#timers[0]) {
      if (top.order >= last) break;
      pop(this.#timers);
      top.fire?.();
      top.fire = undefined;
    }
  }
}

/** Lets every promise that can go on do so. Nothing in a simulation waits for the real outside. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function before(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function push(heap: Timer[], timer: Timer): void {
  let i = heap.length;
  heap.push(timer);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    const above = heap[parent] as Timer;
    if (!before(timer, above)) break;
    heap[i] = above;
    i = parent;
  }
  heap[i] = timer;
}

function pop(heap: Timer[]): void {
  const moved = heap.pop();
  if (!moved || heap.length === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    const right = heap[child + 1];
    if (right && before(right, heap[child] as Timer)) child++;
    const below = heap[child];
    if (!below || !before(below, moved)) break;
    heap[i] = below;
    i = child;
  }
  heap[i] = moved;
}
