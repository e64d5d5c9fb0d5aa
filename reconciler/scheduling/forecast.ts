/**
 * When waiting jobs are expected to start that have no reservation: as if all GPUs were alike and
 * jobs were served in order. Cheap, and rather too late than too early.
 *
 * @module
 */
import { gpusOf, heldGpus } from "./ledger.ts";
import { endOf, weaker } from "./timeline.ts";
import type { Expected, Holding, Request, Room } from "./types.ts";

/** Jobs beyond this place in the queue get no forecast. */
const MAX_FORECASTS = 1000;

/** A job of unknown length is taken to run this long. */
const GUESS_MS = 3_600_000;

/**
 * For each request in order; undefined where nobody can say. What can be told without guessing at
 * the end of a job is told so: it does not move with the time.
 */
export function forecast(
  requests: readonly Request[],
  holdings: readonly Holding[],
  rooms: readonly Room[],
  now: number,
): (Expected | undefined)[] {
  const first = requests.slice(0, MAX_FORECASTS);
  const endings = holdings.map((holding) => ({
    end: endOf(holding, now),
    gpus: heldGpus(holding),
  }));
  let free = 0;
  for (const room of rooms) for (const slot of room.free) free += slot.left;
  const known = inTurn(first, endings.filter(({ end }) => end.basis !== "guess"), free, true);
  if (known.every((start) => start !== undefined)) return known;
  const guessed = inTurn(first, endings, free, false);
  return first.map((_, i) => {
    const guess = guessed[i];
    return known[i] ?? (guess && { ...guess, basis: "guess" });
  });
}

/** When each starts if nobody passes; `sure`: who has no known length never ends. */
function inTurn(
  requests: readonly Request[],
  endings: readonly Ending[],
  freeNow: number,
  sure: boolean,
): (Expected | undefined)[] {
  const ends = new Ends(endings);
  // Nobody who waits starts before somebody ends; nobody knows why one waits if nobody runs.
  const first = ends.next();
  if (first.length === 0) return requests.map(() => undefined);
  let start = latest(first);
  let free = freeNow;
  for (const { gpus } of first) free += gpus;
  return requests.map(({ need, length }) => {
    const wanted = gpusOf(need);
    while (free < wanted && !ends.empty) {
      const next = ends.next();
      start = latest([{ end: start }, ...next]);
      for (const { gpus } of next) free += gpus;
    }
    if (free < wanted) return undefined;
    free -= wanted;
    if (!length && sure) return start;
    const basis = weaker(start.basis, length?.basis ?? "guess");
    ends.add({ end: { atMs: start.atMs + (length?.ms ?? GUESS_MS), basis }, gpus: wanted });
    return start;
  });
}

/** The latest of some ends, on the weakest ground of them. */
function latest(endings: readonly Pick<Ending, "end">[]): Expected {
  return endings.map(({ end }) => end).reduce((a, b) => ({
    atMs: Math.max(a.atMs, b.atMs),
    basis: weaker(a.basis, b.basis),
  }));
}

interface Ending {
  readonly end: Expected;
  readonly gpus: number;
}

/** A binary heap: the earliest end first. */
class Ends {
  readonly #heap: Ending[];

  constructor(endings: readonly Ending[]) {
    // A sorted array is a heap.
    this.#heap = endings.toSorted((a, b) => a.end.atMs - b.end.atMs);
  }

  get empty(): boolean {
    return this.#heap.length === 0;
  }

  add(ending: Ending): void {
    const heap = this.#heap;
    let at = heap.push(ending) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (timeAt(heap, above) <= timeAt(heap, at)) break;
      swap(heap, at, above);
      at = above;
    }
  }

  /** Takes out the earliest, all that end at that moment. */
  next(): Ending[] {
    const atMs = timeAt(this.#heap, 0);
    const endings: Ending[] = [];
    while (!this.empty && timeAt(this.#heap, 0) === atMs) endings.push(this.#pop());
    return endings;
  }

  #pop(): Ending {
    const heap = this.#heap;
    const first = heap[0] as Ending;
    const last = heap.pop() as Ending;
    if (heap.length > 0) {
      heap[0] = last;
      for (let at = 0;;) {
        const left = 2 * at + 1;
        const least = timeAt(heap, left + 1) < timeAt(heap, left) ? left + 1 : left;
        if (timeAt(heap, at) <= timeAt(heap, least)) break;
        swap(heap, at, least);
        at = least;
      }
    }
    return first;
  }
}

function timeAt(heap: readonly Ending[], at: number): number {
  return heap[at]?.end.atMs ?? Infinity;
}

function swap(heap: Ending[], a: number, b: number): void {
  const [one, other] = [heap[a], heap[b]];
  if (!one || !other) return;
  heap[a] = other;
  heap[b] = one;
}
