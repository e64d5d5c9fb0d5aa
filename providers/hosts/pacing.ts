/**
 * Keeps reconnecting gentle: sshd drops bursts of new connections (MaxStartups) and, from OpenSSH
 * 9.8, locks out addresses that fail again and again.
 *
 * @module
 */

/** Lets at most `limit` actions run at once; the others wait their turn. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(action: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** Delay before try `failures + 1`: doubling from 1 s to 30 s, of which a random half is taken off. */
export function backoffMs(failures: number, random: number): number {
  const fullMs = Math.min(30_000, 1000 * 2 ** Math.min(failures - 1, 10));
  return Math.round(fullMs * (1 - random / 2));
}
