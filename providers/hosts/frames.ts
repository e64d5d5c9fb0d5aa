/**
 * JSON lines between the controller and a runner (`docs/runner.md`). What comes in is untrusted:
 * a frame that is none is a value that says why, never a throw.
 *
 * @example
 * const lines = new LineReader();
 * for (const line of lines.push(bytes)) readFrame(line); // { kind: "answer", id: 7, … }
 *
 * @module
 */
import { z } from "zod";
import { cleanLine } from "./text.ts";

/** Longest line in either direction, in bytes. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** What a runner can send. */
export type Frame =
  | { readonly kind: "answer"; readonly id: number; readonly result: unknown }
  | { readonly kind: "error"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly kind: "changed"; readonly what: string }
  | { readonly kind: "bad"; readonly id: number | null; readonly reason: string };

/** Cuts a byte stream into lines; throws a RangeError on a line that is longer than allowed. */
export class LineReader {
  readonly #decoder = new TextDecoder();
  readonly #maxBytes: number;
  /** The beginning of a line. One buffer: a million chunks of one byte must not cost a gigabyte. */
  #begun = new Uint8Array();
  #bytes = 0;

  constructor(maxBytes: number = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Takes the next bytes and gives the lines that they complete, without their ends. */
  *push(chunk: Uint8Array): Generator<string> {
    let rest = chunk;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      yield this.#line(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 0) this.#keep(rest);
  }

  #line(end: Uint8Array): string {
    if (this.#bytes === 0) {
      this.#check(end.length);
      return this.#decoder.decode(end);
    }
    this.#keep(end);
    const line = this.#decoder.decode(this.#begun.subarray(0, this.#bytes));
    this.#begun = new Uint8Array();
    this.#bytes = 0;
    return line;
  }

  #keep(part: Uint8Array): void {
    const bytes = this.#bytes + part.length;
    this.#check(bytes);
    if (bytes > this.#begun.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * this.#begun.length));
      larger.set(this.#begun.subarray(0, this.#bytes));
      this.#begun = larger;
    }
    this.#begun.set(part, this.#bytes);
    this.#bytes = bytes;
  }

  #check(bytes: number): void {
    if (bytes <= this.#maxBytes) return;
    throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
  }
}

const idSchema = z.int().nonnegative();
const errorSchema = z.object({
  id: idSchema,
  ok: z.literal(false),
  error: z.object({ code: z.string().max(64), message: z.string() }),
});
const answerSchema = z.object({ id: idSchema, ok: z.literal(true), result: z.unknown() });
const eventSchema = z.object({ event: z.literal("changed"), what: z.string() });
const frameSchema = z.union([answerSchema, errorSchema, eventSchema]);

/** Reads one line from a runner. */
export function readFrame(line: string): Frame {
  const json = parseJson(line);
  if (json === undefined) return bad(null, `not JSON: ${cleanLine(line, 120)}`);
  const parsed = frameSchema.safeParse(json);
  if (!parsed.success) return bad(idOf(json), `not a frame: ${cleanLine(line, 120)}`);
  const frame = parsed.data;
  if ("event" in frame) return { kind: "changed", what: cleanLine(frame.what, 200) };
  if (frame.ok) return { kind: "answer", id: frame.id, result: frame.result };
  const { code, message } = frame.error;
  return { kind: "error", id: frame.id, code: cleanLine(code), message: cleanLine(message) };
}

/** Writes one request as a line; throws a RangeError when it would be longer than allowed. */
export function writeFrame(request: Readonly<Record<string, unknown>>): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(request) + "\n");
  if (bytes.length <= MAX_LINE_BYTES) return bytes;
  throw new RangeError(`request of ${bytes.length} bytes is longer than a line may be`);
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function idOf(json: unknown): number | null {
  const parsed = z.object({ id: idSchema }).safeParse(json);
  return parsed.success ? parsed.data.id : null;
}

function bad(id: number | null, reason: string): Frame {
  return { kind: "bad", id, reason };
}
