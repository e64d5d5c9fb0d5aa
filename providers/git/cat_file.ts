/**
 * Objects of a mirror through two long-lived `git cat-file`: `--batch-check` tells type and size,
 * `--batch` gives contents. (One `--batch-command` would do both, from git 2.36 on; Ubuntu 22.04
 * has 2.34.) A process that dies is started again, once a request.
 *
 * @module
 */
import type { ObjectInfo } from "./backend.ts";
import { ByteReader } from "./byte_reader.ts";
import { GitError } from "./error.ts";
import type { Git } from "./git.ts";

const HEADER = /^([0-9a-f]{40}|[0-9a-f]{64}) (\w+) (\d+)$/;
const MAX_LINE = 64 * 1024;
const encoder = new TextEncoder();

/** Reads objects of one git folder. */
export class CatFile {
  readonly #check: BatchProcess;
  readonly #contents: BatchProcess;

  constructor(git: Git, gitDir: string, deadlineMs: number) {
    this.#check = new BatchProcess(git, gitDir, "--batch-check", deadlineMs);
    this.#contents = new BatchProcess(git, gitDir, "--batch", deadlineMs);
  }

  /** Looks up object names (`OID`, `COMMIT:path`, `COMMIT^{tree}`); undefined where there is none. */
  check(names: readonly string[]): Promise<(ObjectInfo | undefined)[]> {
    return this.#check.ask(
      names,
      async (reader, name) => parseHeader(await readLine(reader, name)),
    );
  }

  /**
   * Contents of blobs, those larger than `maxBytes` left out. Throws {@linkcode GitError} when an
   * id is not there or not a blob.
   */
  async read(oids: readonly string[], maxBytes: number): Promise<Map<string, Uint8Array>> {
    const unique = [...new Set(oids)];
    const infos = await this.check(unique);
    const wanted = unique.filter((oid, index) => {
      const info = infos[index];
      if (info?.type !== "blob") {
        throw new GitError(
          `Cannot read blob ${oid}: ${info?.type ?? "it is not in the mirror"}`,
          false,
        );
      }
      return info.size <= maxBytes;
    });
    const contents = await this.#contents.ask(wanted, async (reader, oid) => {
      const info = parseHeader(await readLine(reader, oid));
      if (info === undefined || info.oid !== oid) throw new Error(`unexpected answer for ${oid}`);
      const bytes = await reader.bytes(info.size);
      await reader.bytes(1);
      return bytes;
    });
    return new Map(wanted.map((oid, index) => [oid, contents[index] ?? new Uint8Array()]));
  }

  /** Ends both processes; the next request starts new ones. */
  async restart(): Promise<void> {
    await Promise.all([this.#check.restart(), this.#contents.restart()]);
  }

  /** Ends both processes for good. */
  async close(): Promise<void> {
    await Promise.all([this.#check.close(), this.#contents.close()]);
  }
}

function parseHeader(line: string): ObjectInfo | undefined {
  const match = HEADER.exec(line);
  if (match === null) return undefined;
  return { oid: match[1] ?? "", type: match[2] ?? "", size: Number(match[3]) };
}

/** A "missing" line repeats the name. */
function readLine(reader: ByteReader, name: string): Promise<string> {
  return reader.line(MAX_LINE + 4 * name.length);
}

interface Running {
  readonly child: Deno.ChildProcess;
  readonly reader: ByteReader;
  readonly writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
}

/** One `cat-file`, asked one batch at a time. */
class BatchProcess {
  #running: Running | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    private readonly git: Git,
    private readonly gitDir: string,
    private readonly mode: string,
    private readonly deadlineMs: number,
  ) {}

  ask<T>(
    names: readonly string[],
    answer: (reader: ByteReader, name: string) => Promise<T>,
  ): Promise<T[]> {
    for (const name of names) {
      if (/[\n\r\0]/.test(name)) {
        return Promise.reject(new GitError("object name holds a line break", false));
      }
    }
    if (names.length === 0) return Promise.resolve([]);
    const result = this.#turn.then(async () => {
      try {
        return await this.#once(names, answer);
      } catch (error) {
        if (this.#closed || error instanceof GitError) throw error;
        return await this.#once(names, answer).catch((again) => {
          throw new GitError(`git cat-file: ${messageOf(again)}`, false);
        });
      }
    });
    this.#turn = result.catch(() => {});
    return result;
  }

  restart(): Promise<void> {
    const ended = this.#turn.then(() => this.#end());
    this.#turn = ended;
    return ended;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#end();
    await this.#turn;
  }

  async #once<T>(
    names: readonly string[],
    answer: (reader: ByteReader, name: string) => Promise<T>,
  ): Promise<T[]> {
    if (this.#closed) throw new GitError("git cat-file: closed", false);
    const { reader, writer, child } = this.#running ??= this.#start();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      kill(child);
    }, this.deadlineMs);
    try {
      // Written while answers are read: git stops reading when its own output is not taken.
      const written = writer.write(encoder.encode(names.join("\n") + "\n"));
      written.catch(() => {});
      const answers: T[] = [];
      for (const name of names) answers.push(await answer(reader, name));
      await written;
      return answers;
    } catch (error) {
      await this.#end();
      if (late) {
        throw new GitError(`git cat-file: no answer within ${this.deadlineMs / 1000} s`, false);
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #start(): Running {
    const child = this.git.spawn(this.gitDir, ["cat-file", this.mode]);
    return { child, reader: new ByteReader(child.stdout), writer: child.stdin.getWriter() };
  }

  async #end(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    kill(running.child);
    await running.writer.abort().catch(() => {});
    await running.reader.cancel();
    await running.child.status;
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
