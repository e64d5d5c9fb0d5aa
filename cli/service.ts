/**
 * The service: opens the repository and the page, then leads, or stands by until it may. Stopping
 * it stops no job; killing it is as good as stopping it.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { GitStateRepository } from "../providers/git/repository.ts";
import type { Log } from "../reconciler/execute.ts";
import { app } from "../web/app.ts";
import { jsonLog } from "./log.ts";
import type { ListenAddress, ServiceOptions } from "./options.ts";
import { DEPOSED, type Running, runTerm, type TermHooks } from "./term.ts";

/** For those who run a service inside their own program: the demo, the tests. */
export interface ServiceHooks extends TermHooks {
  /** Stops the service, besides SIGTERM and SIGINT. */
  readonly signal?: AbortSignal;
  readonly log?: Log;
}

/** Names of this machine that only it can use. */
const LOOPBACK: readonly string[] = ["127.0.0.1", "localhost", "[::1]", "::1"];

/** Runs until told to stop, or (`once`) until one pass and its consequences are recorded. */
export async function runService(
  options: ServiceOptions,
  hooks: ServiceHooks = {},
): Promise<number> {
  const log = hooks.log ?? jsonLog(options.logLevel);
  const lock = await lockFolder(options.stateDir);
  const git = openRepository(options);
  const stop = new AbortController();
  const release = onSignals(() => stop.abort());
  hooks.signal?.addEventListener("abort", () => stop.abort(), { once: true });
  let running: Running | undefined;
  const server = options.listen && serve(() => running, options.listen, log);
  try {
    for (;;) {
      const code = await runTerm({ options, log, git, signal: stop.signal }, {
        ...hooks,
        onStarted: (started) => {
          running = started;
          hooks.onStarted?.(started);
        },
      });
      running = undefined;
      if (code !== DEPOSED || !options.standby || stop.signal.aborted) return code;
    }
  } finally {
    release();
    await Promise.all([server?.shutdown(), git.close()]);
    lock.close();
  }
}

function openRepository(options: ServiceOptions): GitStateRepository {
  const dir = resolve(options.stateDir);
  return new GitStateRepository({
    remote: options.repo,
    branch: options.branch,
    mirrorDir: join(dir, "state.git"),
    codeDir: join(dir, "code"),
    ...(options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig }),
  });
}

/** One service a state folder: two would write the same mirror. */
async function lockFolder(stateDir: string): Promise<Deno.FsFile> {
  await Deno.mkdir(stateDir, { recursive: true, mode: 0o700 });
  const file = await Deno.open(join(stateDir, "lock"), { create: true, write: true });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new Error(
    `Cannot use ${stateDir}: another UGRO runs with this state folder (stop it, or give ` +
      "this one another with --state-dir)",
  );
}

function onSignals(stop: () => void): () => void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, stop);
  return () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.removeSignalListener(signal, stop);
  };
}

/** The page is there while standing by, too. */
function serve(running: () => Running | undefined, { hostname, port }: ListenAddress, log: Log) {
  const routes = app({
    snapshot: () => running()?.controller.snapshot,
    stats: () => running()?.loop.stats,
    hint: () => running()?.loop.hint("repository"),
    ...(LOOPBACK.includes(hostname) ? { hosts: LOOPBACK } : {}),
  });
  const onListen = (at: Deno.NetAddr) =>
    log("info", "listening", { url: `http://${at.hostname}:${at.port}` });
  return Deno.serve({ hostname, port, onListen }, routes.fetch);
}
