/**
 * Looking at live processes through /proc, and running programs to their end.
 *
 * @example
 * const { code, stdout } = await run(["git", "status"]);
 * liveProcesses((p) => p.environ.get("UGRO_JOB") === "demo");
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** One live process as the outside (root pid namespace) sees it. */
export interface LiveProcess {
  /** Pid outside; what `Deno.kill` takes. */
  readonly pid: number;
  /** Pid inside the innermost namespace; what the host itself calls it. */
  readonly innerPid: number;
  readonly parent: number;
  /** The kernel's name of it, at most 15 characters. */
  readonly command: string;
  readonly argv: readonly string[];
  readonly environ: ReadonlyMap<string, string>;
  /** Identity of its namespaces, such as `pid:[4026532281]`. */
  readonly pidNamespace: string;
  readonly netNamespace: string;
}

/** What a program that ended printed. */
export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of `run`. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly clearEnv?: boolean;
  readonly cwd?: string;
  readonly stdin?: string;
  /** Kill it after this long. Default: 60,000. */
  readonly timeoutMs?: number;
}

const decoder = new TextDecoder();

/** Runs a program to its end; a non-zero exit is a result, not an exception. */
export async function run(
  argv: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<RunResult> {
  const [program, ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    env: { ...options.env },
    clearEnv: options.clearEnv ?? false,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  }).spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.stdin));
    await writer.close();
  }
  const timer = setTimeout(() => killQuietly(child.pid), options.timeoutMs ?? 60_000);
  try {
    const output = await child.output();
    return {
      code: output.code,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program and gives its stdout; throws with its stderr when it fails. */
export async function must(
  argv: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<string> {
  const result = await run(argv, options);
  if (result.code !== 0) {
    throw new Error(
      `Cannot run ${argv.join(" ")}: exit code ${result.code}\n${result.stderr}${result.stdout}`,
    );
  }
  return result.stdout;
}

/** SIGKILL (or another signal) to a process that may be gone already. */
export function killQuietly(pid: number, signal: Deno.Signal = "SIGKILL"): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** All live processes that pass `filter`. Zombies and kernel threads are left out. */
export function liveProcesses(filter: (process: LiveProcess) => boolean): LiveProcess[] {
  const script = fileURLToPath(new URL("./processes.py", import.meta.url));
  const { stdout, success } = new Deno.Command("/usr/bin/env", {
    args: ["python3", "-I", "-S", script],
    env: { PATH: `/usr/bin:${Deno.env.get("PATH") ?? ""}` },
    stderr: "inherit",
  }).outputSync();
  if (!success) throw new Error("Cannot list processes: processes.py failed");
  const all = JSON.parse(decoder.decode(stdout)) as (LiveProcess & { environ: string[] })[];
  return all.map((raw) => ({ ...raw, environ: environment(raw.environ) })).filter(filter);
}

function environment(items: readonly string[]): Map<string, string> {
  return new Map(items.map((item) => {
    const at = item.indexOf("=");
    return [item.slice(0, at), item.slice(at + 1)];
  }));
}

/** Polls until `probe` gives something, or throws `Cannot WHAT: …` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined | Promise<T | undefined>,
  details: () => string | Promise<string> = () => "",
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  while (true) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) {
      throw new Error(`Cannot ${what}: not within ${timeoutMs} ms\n${await details()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
