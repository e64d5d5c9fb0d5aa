/**
 * A child process with pipes on both sides. `Deno.Command` finds the program itself; a library that
 * looks through PATH would need the right to read every folder in it.
 *
 * @module
 */
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
  /** Exit code, once all of stderr was read. Pending for as long as anything holds that pipe. */
  readonly exited: Promise<number>;
  /** Closes stdin, then terminates, then kills; within 0.9 s. */
  end(): Promise<void>;
}

const STDERR_BYTES = 4096;

/** What a program that could not be started leaves; the codes are those of a shell. */
const NOT_FOUND = 127;
const NOT_ALLOWED = 126;

/** Starts a process. A program that is not there shows as exit code 127. */
export function startProcess(command: Command, clock: Clock): Pipes {
  const child = spawn(command);
  if (!(child instanceof Deno.ChildProcess)) return child;
  const input = child.stdin.getWriter();
  let open = true;
  const closeInput = () => {
    if (open) input.close().catch(() => {});
    open = false;
  };
  const { tail, done } = keepTail(child.stderr);
  const exited = child.status.then(async ({ code }) => {
    await done;
    return code;
  });
  return {
    // A process that has ended takes nothing; its exit code says so.
    write: (bytes) => void (open && input.write(bytes).catch(() => {})),
    output: child.stdout,
    stderr: tail,
    exited,
    end: async () => {
      closeInput();
      if (await within(clock, 500, exited) !== undefined) return;
      kill(child, "SIGTERM");
      if (await within(clock, 200, exited) !== undefined) return;
      kill(child, "SIGKILL");
      await within(clock, 200, exited);
    },
  };
}

function spawn({ argv, env, cwd }: Command): Deno.ChildProcess | Pipes {
  const [program = "", ...args] = argv;
  try {
    return new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { ...env },
      ...(cwd === undefined ? {} : { cwd }),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    const what = missing ? "command not found" : (error as Error).message;
    return notStarted(missing ? NOT_FOUND : NOT_ALLOWED, `${program}: ${what}`);
  }
}

function notStarted(code: number, message: string): Pipes {
  return {
    write: () => {},
    output: ReadableStream.from([]),
    stderr: () => message,
    exited: Promise.resolve(code),
    end: () => Promise.resolve(),
  };
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended.
  }
}

function keepTail(stream: ReadableStream<Uint8Array>) {
  const decoder = new TextDecoder();
  let tail = "";
  const read = async () => {
    for await (const chunk of stream) {
      tail = (tail + decoder.decode(chunk, { stream: true })).slice(-STDERR_BYTES);
    }
  };
  return { tail: () => tail, done: read().catch(() => {}) };
}
