/**
 * What each user was entitled to: the max-min fair part of the cluster, moment by moment. Nobody is
 * entitled to more than she asks for; what she leaves is divided among those who want more, in
 * proportion to their shares.
 *
 * @module
 */
import type { User } from "../../cluster/cluster.ts";

interface Wish {
  /** GPUs that her jobs hold or wait for. */
  gpus: number;
  readonly share: number;
  gpuMs: number;
}

/** Entitlements by user, added up over time. */
export class Entitlements {
  readonly #wishes = new Map<string, Wish>();
  readonly #shares: ReadonlyMap<string, number>;
  #nowMs = 0;

  constructor(private readonly capacity: number, users: readonly User[]) {
    this.#shares = new Map(users.map(({ name, share }) => [name, share]));
  }

  /** From `nowMs` on, which must not be earlier than before, a user wants so many GPUs more. */
  want(user: string, gpus: number, nowMs: number): void {
    this.#advance(nowMs);
    const wish = this.#wishes.get(user) ?? this.#open(user);
    wish.gpus += gpus;
  }

  /** GPU time that each user was entitled to until the last change. */
  get gpuMs(): ReadonlyMap<string, number> {
    return new Map([...this.#wishes].map(([user, { gpuMs }]) => [user, gpuMs]));
  }

  #open(user: string): Wish {
    const wish = { gpus: 0, share: this.#shares.get(user) ?? 1, gpuMs: 0 };
    this.#wishes.set(user, wish);
    return wish;
  }

  #advance(nowMs: number): void {
    const ms = nowMs - this.#nowMs;
    if (ms <= 0) return;
    this.#nowMs = nowMs;
    const wishes = [...this.#wishes.values()].filter(({ gpus }) => gpus > 0);
    let left = this.capacity;
    let shares = 0;
    let wanted = 0;
    for (const wish of wishes) {
      shares += wish.share;
      wanted += wish.gpus;
    }
    // Who wants least for her share first: what she leaves is the others'.
    if (wanted > left) wishes.sort((a, b) => a.gpus / a.share - b.gpus / b.share);
    for (const wish of wishes) {
      const part = wanted > this.capacity
        ? Math.min(wish.gpus, left * wish.share / shares)
        : wish.gpus;
      wish.gpuMs += part * ms;
      left -= part;
      shares -= wish.share;
    }
  }
}
