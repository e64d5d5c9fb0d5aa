/**
 * Runs the system's git: a deadline on every call, bounded output, a scrubbed environment.
 *
 * @example
 * ```ts
 * const git = new Git();
 * const { stdout } = await git.mustRun({ gitDir, args: ["for-each-ref"] });
 * ```
 *
 * @module
 */
import { DEFAULT_SSH, FORCED_CONFIG, gitEnvironment, sshCommandFor } from "./environment.ts";
import { Collector } from "./collector.ts";
import { GitError } from "./error.ts";
import { reasonOf } from "./redact.ts";

/** One call of git. */
export interface GitCall {
  readonly args: readonly string[];
  readonly gitDir?: string;
  /** More `-c name=value` settings. */
  readonly config?: readonly string[];
  /** `GIT_ALLOW_PROTOCOL`: transports allowed, for example `https:ssh`. Without it: none. */
  readonly protocols?: string;
  readonly stdin?: Uint8Array<ArrayBuffer>;
  readonly deadlineMs?: number;
  /** Most bytes of stdout; git is killed at one more. */
  readonly maxOutput?: number;
}

/** How a call ended. `code` is git's exit status; only `exited` has one of its own choosing. */
export interface GitResult {
  readonly ending: "exited" | "timeout" | "too-large" | "closed";
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

/** Settings of {@linkcode Git}. */
export interface GitOptions {
  /** The caller's environment; the process's own by default. */
  readonly env?: Readonly<Record<string, string>>;
  /** An ssh configuration file (`ssh -F`) instead of the user's. */
  readonly sshConfig?: string;
  /** For calls that set none. Default: 30 s. */
  readonly deadlineMs?: number;
}

const MAX_OUTPUT = 64 * 1024 * 1024;
const MAX_STDERR = 64 * 1024;
/** From SIGTERM (on which git removes its lock files) to SIGKILL. */
const TERM_MS = 500;

/** Starts gits, and ends all of them on {@linkcode Git.close}. */
export class Git {
  readonly #env: Record<string, string>;
  readonly #deadlineMs: number;
  readonly #running = new Map<Promise<GitResult>, () => void>();
  #sshAdopted: Promise<void> | undefined;
  #closed = false;

  constructor(options: GitOptions = {}) {
    const caller = options.env ?? Deno.env.toObject();
    this.#env = gitEnvironment(caller, sshCommandFor(caller, options.sshConfig));
    this.#deadlineMs = options.deadlineMs ?? 30_000;
  }

  /** Starts a long-lived local git with piped stdin and stdout; the caller ends it. */
  spawn(gitDir: string, args: readonly string[]): Deno.ChildProcess {
    if (this.#closed) throw new GitError("git: closed", false);
    return spawned(this.#command({ gitDir, args }, "null", true));
  }

  /** Runs git; never throws because of how it ended. */
  async run(call: GitCall): Promise<GitResult> {
    if (call.protocols?.includes("ssh")) await (this.#sshAdopted ??= this.#adoptUserSsh());
    return await this.#start(call);
  }

  /** Runs git and throws {@linkcode GitError} unless it exits 0. `what` begins the message. */
  async mustRun(call: GitCall, what?: string): Promise<GitResult> {
    const result = await this.run(call);
    if (result.ending === "exited" && result.code === 0) return result;
    throw failure(result, what ?? `git ${call.args[0]}`, call.deadlineMs ?? this.#deadlineMs);
  }

  /** Ends all calls in flight and refuses new ones. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#running.values()) end();
    await Promise.all(this.#running.keys());
  }

  // Async, so that a git that cannot be started rejects.
  async #start(call: GitCall): Promise<GitResult> {
    if (this.#closed) {
      return { ending: "closed", code: -1, stdout: new Uint8Array(), stderr: "" };
    }
    const child = spawned(this.#command(call, "piped", call.stdin !== undefined));
    let end = (_: GitResult["ending"]) => {};
    const cut = new Promise<GitResult["ending"]>((resolve) => end = resolve);
    const result = supervise(child, call, call.deadlineMs ?? this.#deadlineMs, cut, end)
      .finally(() => this.#running.delete(result));
    this.#running.set(result, () => end("closed"));
    return await result;
  }

  /**
   * Lets `core.sshCommand` of the user's configuration win over our `ssh -o BatchMode=yes`, as it
   * would with a git of their own.
   */
  async #adoptUserSsh(): Promise<void> {
    if (this.#env.GIT_SSH_COMMAND !== DEFAULT_SSH) return;
    const { code, stdout } = await this.#start({ args: ["config", "--get", "core.sshCommand"] });
    if (code === 0 && stdout.length > 1) delete this.#env.GIT_SSH_COMMAND;
  }

  #command(call: GitCall, stderr: "piped" | "null", stdin: boolean): Deno.Command {
    const config = [...FORCED_CONFIG, ...call.config ?? []].flatMap((entry) => ["-c", entry]);
    const where = call.gitDir === undefined ? [] : [`--git-dir=${call.gitDir}`];
    return new Deno.Command("git", {
      args: [...config, ...where, ...call.args],
      // The folder that the caller stands in must not matter, and may vanish.
      cwd: "/",
      clearEnv: true,
      env: { ...this.#env, GIT_ALLOW_PROTOCOL: call.protocols ?? "" },
      stdin: stdin ? "piped" : "null",
      stdout: "piped",
      stderr,
      // A session of its own, so that ssh and other helpers end with it, and Ctrl-C does not
      // break a push off in the middle.
      detached: true,
    });
  }
}

function spawned(command: Deno.Command): Deno.ChildProcess {
  try {
    return command.spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new GitError("git is not to be found: install git 2.30 or later", false);
  }
}

/** The error that a failed call makes. */
export function failure(result: GitResult, what: string, deadlineMs: number): GitError {
  switch (result.ending) {
    case "timeout":
      return new GitError(
        `${what}: no answer within ${deadlineMs / 1000} s (check the network and the remote)`,
        true,
        result.stderr,
      );
    case "too-large":
      return new GitError(`${what}: more output than expected`, false, result.stderr);
    case "closed":
      return new GitError(`${what}: stopped because UGRO is closing`, true, result.stderr);
    case "exited":
      return new GitError(`${what}: ${reasonOf(result.stderr)}`, false, result.stderr);
  }
}

async function supervise(
  child: Deno.ChildProcess,
  call: GitCall,
  deadlineMs: number,
  cut: Promise<GitResult["ending"]>,
  end: (ending: GitResult["ending"]) => void,
): Promise<GitResult> {
  const timer = setTimeout(() => end("timeout"), deadlineMs);
  const stdout = new Collector(
    child.stdout,
    call.maxOutput ?? MAX_OUTPUT,
    () => end("too-large"),
  );
  const stderr = new Collector(child.stderr, MAX_STDERR, undefined);
  const fed = call.stdin === undefined ? undefined : feed(child.stdin, call.stdin);
  const ending = await Promise.race([child.status.then(() => "exited" as const), cut]);
  clearTimeout(timer);
  if (ending !== "exited") await endTree(child);
  const status = await child.status;
  // A grandchild (an ssh master, a hook's background job) may hold the pipes: do not wait for it.
  await Promise.all([stdout.finish(), stderr.finish(), fed]);
  const late = stdout.overflowed && ending === "exited" ? "too-large" : ending;
  return {
    ending: late,
    code: status.code,
    stdout: late === "too-large" ? new Uint8Array() : stdout.bytes(),
    stderr: new TextDecoder().decode(stderr.bytes()),
  };
}

/** A git that ends early has said why on stderr; the broken pipe says nothing more. */
async function feed(
  stdin: WritableStream<Uint8Array<ArrayBuffer>>,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(bytes);
    await writer.close();
  } catch {
    await writer.abort().catch(() => {});
  }
}

/** Ends git and its helpers: SIGTERM, a moment, SIGKILL. */
async function endTree(child: Deno.ChildProcess): Promise<void> {
  signalTree(child, "SIGTERM");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const waited = new Promise<void>((resolve) => timer = setTimeout(resolve, TERM_MS));
  await Promise.race([child.status, waited]);
  clearTimeout(timer);
  signalTree(child, "SIGKILL");
}

function signalTree(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    Deno.kill(-child.pid, signal);
  } catch {
    // Under --allow-run=git a group may not be signalled; git passes SIGTERM on to its helpers.
    try {
      child.kill(signal);
    } catch {
      // It has ended.
    }
  }
}
