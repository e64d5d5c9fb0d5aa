/**
 * Lines and blocks from a byte stream, as `git cat-file --batch` sends them.
 *
 * @module
 */

const NEWLINE = 10;

/** Reads lines and exact byte counts. Throws when the stream ends before. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #buffer: Uint8Array = new Uint8Array();
  #at = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next line, without its line break. A line longer than `max` bytes throws. */
  async line(max: number): Promise<string> {
    let from = this.#at;
    while (true) {
      const end = this.#buffer.indexOf(NEWLINE, from);
      if (end >= 0) {
        const line = decoder.decode(this.#buffer.subarray(this.#at, end));
        this.#at = end + 1;
        return line;
      }
      const unread = this.#buffer.length - this.#at;
      if (unread > max) throw new Error("line too long");
      await this.#fill();
      from = this.#at + unread;
    }
  }

  /** The next `count` bytes, in a buffer of their own. */
  async bytes(count: number): Promise<Uint8Array> {
    const result = new Uint8Array(count);
    let have = 0;
    while (true) {
      const part = this.#buffer.subarray(this.#at, this.#at + count - have);
      result.set(part, have);
      have += part.length;
      this.#at += part.length;
      if (have === count) return result;
      await this.#fill();
    }
  }

  /** Drops the stream. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async #fill(): Promise<void> {
    const { done, value } = await this.#reader.read();
    if (done) throw new Error("the stream ended early");
    const rest = this.#buffer.subarray(this.#at);
    if (rest.length === 0) {
      this.#buffer = value;
    } else {
      const joined = new Uint8Array(rest.length + value.length);
      joined.set(rest);
      joined.set(value, rest.length);
      this.#buffer = joined;
    }
    this.#at = 0;
  }
}

const decoder = new TextDecoder();
