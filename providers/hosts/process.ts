/**
 * A child process with pipes on both sides, started through dax.
 *
 * dax's `timeout`, `signal` and result wait until every holder of the pipes is gone, grandchildren
 * included (an ssh ProxyCommand, say): nothing here waits for them without a bound.
 *
 * @module
 */
import $ from "@david/dax";
import type { Clock } from "../../reconciler/ports.ts";
import { within } from "./clock.ts";
import type { Command } from "./command.ts";

/** Both ends of a running process. */
export interface Pipes {
  /** Queues bytes for stdin; does nothing once it has been closed. */
  write(bytes: Uint8Array): void;
  /** Ends with the process. */
  readonly output: ReadableStream<Uint8Array>;
  /** The last 4 KiB of stderr. */
  stderr(): string;
  /** Exit code. Pending for as long as anything holds the pipes. */
  readonly exited: Promise<number>;
  /** Closes stdin, then terminates, then kills; within 0.9 s. */
  end(): Promise<void>;
}

const STDERR_BYTES = 4096;
/** dax copies a chunk before it writes it: smaller ones keep that buffer small. */
const WRITE_BYTES = 64 * 1024;

/** Starts a process. A program that is not there shows as exit code 127. */
export function startProcess(command: Command, clock: Clock): Pipes {
  let input: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stdin = new ReadableStream<Uint8Array>({
    start: (controller) => void (input = controller),
  });
  const child = builder(command).stdin(stdin).stdout("piped").stderr("piped").noThrow().spawn();
  const exited = child.then((result) => result.code, () => 127);
  const stderr = keepTail(child.stderr());
  const closeInput = () => {
    input?.close();
    input = undefined;
  };
  return {
    write: (bytes) => {
      for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
        input?.enqueue(bytes.subarray(at, at + WRITE_BYTES));
      }
    },
    output: child.stdout(),
    stderr,
    exited,
    end: async () => {
      closeInput();
      if (await within(clock, 500, exited) !== undefined) return;
      child.kill("SIGTERM");
      if (await within(clock, 200, exited) !== undefined) return;
      child.kill("SIGKILL");
      await within(clock, 200, exited);
    },
  };
}

function builder(command: Command) {
  const base = $`${[...command.argv]}`.clearEnv().env({ ...command.env });
  return command.cwd === undefined ? base : base.cwd(command.cwd);
}

function keepTail(stream: ReadableStream<Uint8Array>): () => string {
  const decoder = new TextDecoder();
  let tail = "";
  const read = async () => {
    for await (const chunk of stream) {
      tail = (tail + decoder.decode(chunk, { stream: true })).slice(-STDERR_BYTES);
    }
  };
  read().catch(() => {});
  return () => tail;
}
