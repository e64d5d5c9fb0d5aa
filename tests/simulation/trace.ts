/**
 * The trace of a run: its last lines for people, and a digest of all of them for comparison.
 *
 * @module
 */

/** Lines that are kept. */
const KEPT = 500;

/** Takes lines, keeps the last ones and a digest of all. */
export class Trace {
  readonly #kept: string[] = [];
  #next = 0;
  #hash = 0x811c9dc5;
  #other = 0x1000193;

  /** Adds a line. */
  add(atMs: number, text: string): void {
    const line = `${(atMs / 1000).toFixed(3).padStart(10)} ${text}`;
    this.#kept[this.#next++ % KEPT] = line;
    let hash = this.#hash;
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
    this.#hash = hash;
    this.#other = Math.imul(this.#other ^ hash, 0x85ebca6b);
  }

  /** How many lines there were. */
  get length(): number {
    return this.#next;
  }

  /** Equal for equal traces. */
  get digest(): string {
    const hex = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
    return `${this.#next}-${hex(this.#hash)}${hex(this.#other)}`;
  }

  /** The last lines, oldest first. */
  tail(): string[] {
    const first = this.#next % KEPT;
    return this.#next <= KEPT
      ? this.#kept.slice()
      : [...this.#kept.slice(first), ...this.#kept.slice(0, first)];
  }
}
