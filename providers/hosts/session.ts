/**
 * One long-lived conversation with the runner on one node: requests are matched to answers by id,
 * and a runner that stays silent is given up.
 *
 * @example
 * const session = new Session(startProcess(command, clock), { clock, silenceMs: 10_000 });
 * session.start(source);
 * const hello = await session.ask("hello", { workdir, epoch }, helloReply);
 * if (hello.kind === "ok") hello.value.bootId;
 *
 * @module
 */
import type { z } from "zod";
import type { Clock } from "../../reconciler/ports.ts";
import { after } from "./clock.ts";
import type { Ending } from "./explain.ts";
import { type Frame, LineReader, readFrame, writeFrame } from "./frames.ts";
import type { Pipes } from "./process.ts";
import { describeMismatch } from "./replies.ts";

/**
 * What came of a request.
 * - `refused`: the runner says that it did not do it
 * - `lost`: it may have been done; the answer is missing or cannot be read
 * - `unsent`: it never left
 */
export type Reply<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "refused"; readonly code: string; readonly message: string }
  | { readonly kind: "lost" | "unsent"; readonly reason: string };

/** How a session ended. */
export interface SessionEnd extends Ending {
  /** Set when it was ended from here, and why. */
  readonly because?: string;
}

export interface SessionOptions {
  readonly clock: Clock;
  /** With a request outstanding and no answer to any for this long, the session is ended. */
  readonly silenceMs: number;
  readonly onChanged?: (what: string) => void;
  /** A line that is no frame: a login script that prints, a bug. Called a few times at most. */
  readonly onNoise?: (reason: string) => void;
}

interface Pending {
  readonly patienceMs: number;
  readonly settle: (frame: Frame | undefined) => void;
}

const MAX_NOISE_REPORTS = 5;

export class Session {
  /** Resolves once, when the session is over. */
  readonly ended: Promise<SessionEnd>;
  readonly #pipes: Pipes;
  readonly #options: SessionOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #closing = Promise.withResolvers<void>();
  #nextId = 1;
  #noise = 0;
  #heardMs = 0;
  #disarm = () => {};
  #over = false;
  #because: string | undefined;

  constructor(pipes: Pipes, options: SessionOptions) {
    this.#pipes = pipes;
    this.#options = options;
    this.ended = this.#run();
  }

  /** Streams the runner's source to the bootstrap; comes before everything else. */
  start(source: string): void {
    const bytes = new TextEncoder().encode(source);
    this.#pipes.write(new TextEncoder().encode(`${bytes.length}\n`));
    this.#pipes.write(bytes);
  }

  /** Sends a request. Settles with the answer or the session's end; never rejects. */
  async ask<T>(
    op: string,
    fields: Readonly<Record<string, unknown>>,
    schema: z.ZodType<T>,
    patienceMs: number = this.#options.silenceMs,
  ): Promise<Reply<T>> {
    if (this.#over) return { kind: "unsent", reason: "the session has ended" };
    const id = this.#nextId++;
    let line: Uint8Array;
    try {
      line = writeFrame({ ...fields, id, op });
    } catch (error) {
      return { kind: "unsent", reason: `Cannot send ${op}: ${(error as Error).message}` };
    }
    const frame = await new Promise<Frame | undefined>((settle) => {
      if (this.#pending.size === 0) this.#heardMs = this.#options.clock.now();
      this.#pending.set(id, { patienceMs, settle });
      this.#pipes.write(line);
      this.#arm();
    });
    return readReply(op, frame, schema);
  }

  /** Ends the session (and the runner, but no run) within a second. */
  async close(because = "closed"): Promise<void> {
    if (!this.#over) this.#because ??= because;
    this.#finish();
    this.#closing.resolve();
    await this.ended;
  }

  async #run(): Promise<SessionEnd> {
    try {
      // After `close` the output may stay open: whatever holds it is not waited for.
      await Promise.race([this.#readAll(), this.#closing.promise]);
    } catch (error) {
      this.#because ??= (error as Error).message;
    }
    this.#finish();
    await this.#pipes.end();
    const code = this.#because === undefined ? await this.#pipes.exited : null;
    const end = { code, stderr: this.#pipes.stderr() };
    return this.#because === undefined ? end : { ...end, because: this.#because };
  }

  async #readAll(): Promise<void> {
    const lines = new LineReader();
    for await (const chunk of this.#pipes.output) {
      // The runner begins with an empty line, in case a login script left one unfinished.
      for (const line of lines.push(chunk)) if (line !== "") this.#receive(readFrame(line));
    }
  }

  #receive(frame: Frame): void {
    if (this.#over) return;
    if (frame.kind === "changed") return this.#options.onChanged?.(frame.what);
    if (frame.kind === "bad") this.#reportNoise(frame.reason);
    if (frame.id === null) return;
    const pending = this.#pending.get(frame.id);
    this.#pending.delete(frame.id);
    this.#heardMs = this.#options.clock.now();
    this.#arm();
    pending?.settle(frame);
  }

  #reportNoise(reason: string): void {
    if (this.#noise++ < MAX_NOISE_REPORTS) this.#options.onNoise?.(reason);
  }

  /** Waits for the next answer only as long as the most patient request would. */
  #arm(): void {
    this.#disarm();
    this.#disarm = () => {};
    if (this.#pending.size === 0) return;
    const { clock } = this.#options;
    const patienceMs = Math.max(...[...this.#pending.values()].map((one) => one.patienceMs));
    const leftMs = Math.max(0, this.#heardMs + patienceMs - clock.now());
    this.#disarm = after(clock, leftMs, () => {
      this.close(`no answer for ${Math.round(patienceMs / 1000)} s`);
    });
  }

  #finish(): void {
    this.#over = true;
    this.#disarm();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const one of pending) one.settle(undefined);
  }
}

function readReply<T>(op: string, frame: Frame | undefined, schema: z.ZodType<T>): Reply<T> {
  if (frame?.kind === "error") {
    return { kind: "refused", code: frame.code, message: frame.message };
  }
  if (frame?.kind !== "answer") {
    const reason = frame?.kind === "bad" ? frame.reason : "the session ended before the answer";
    return { kind: "lost", reason: `${op}: ${reason}` };
  }
  const parsed = schema.safeParse(frame.result);
  if (parsed.success) return { kind: "ok", value: parsed.data };
  const reason = `${op}: the answer makes no sense (${describeMismatch(parsed.error)})`;
  return { kind: "lost", reason };
}
