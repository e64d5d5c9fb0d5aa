/**
 * Reads a child's pipe to a limit, and stops reading soon after the child has exited even when a
 * grandchild still holds the pipe open.
 *
 * @module
 */

/** How long a pipe must be quiet after the exit before it is given up. */
const QUIET_MS = 100;

/** Collects one pipe; starts reading at once. */
export class Collector {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #done: Promise<void>;
  #chunks: Uint8Array[] = [];
  #total = 0;
  #arrivals = 0;
  /** True when more than the limit arrived. */
  overflowed = false;

  /**
   * With `onOverflow`, bytes after `limit` are dropped and it is called once; without, the last
   * `limit` bytes are kept.
   */
  constructor(
    stream: ReadableStream<Uint8Array>,
    private readonly limit: number,
    private readonly onOverflow: (() => void) | undefined,
  ) {
    this.#reader = stream.getReader();
    this.#done = this.#pump();
  }

  /** Call once the child has exited: resolves at the end of the pipe, or when it falls quiet. */
  async finish(): Promise<void> {
    let ended = false;
    const done = this.#done.then(() => void (ended = true));
    while (!ended) {
      const before = this.#arrivals;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const quiet = new Promise<void>((resolve) => timer = setTimeout(resolve, QUIET_MS));
      await Promise.race([done, quiet]);
      clearTimeout(timer);
      if (!ended && this.#arrivals === before) await this.#reader.cancel().catch(() => {});
    }
    await done;
  }

  /** What was collected. */
  bytes(): Uint8Array {
    const only = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    if (only !== undefined) return only;
    const all = new Uint8Array(this.#total);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks = [all];
    return all;
  }

  async #pump(): Promise<void> {
    try {
      while (true) {
        const { done, value } = await this.#reader.read();
        if (done) return;
        this.#arrivals++;
        this.#take(value);
      }
    } catch {
      // A pipe that breaks has ended.
    }
  }

  #take(chunk: Uint8Array): void {
    if (this.overflowed && this.onOverflow !== undefined) return;
    this.#chunks.push(chunk);
    this.#total += chunk.length;
    if (this.#total <= this.limit) return;
    if (this.onOverflow !== undefined) {
      this.overflowed = true;
      this.#chunks = [];
      this.#total = 0;
      this.onOverflow();
    } else if (this.#total > 2 * this.limit) {
      const tail = this.bytes().slice(-this.limit);
      this.#chunks = [tail];
      this.#total = tail.length;
    }
  }
}
