/**
 * The service: wires the repository, the fleet, the controller and the page together, and runs
 * them until told to stop. Stopping it stops no job; killing it is as good as stopping it.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { GitStateRepository } from "../providers/git/repository.ts";
import { systemClock } from "../providers/hosts/clock.ts";
import { HostFleet } from "../providers/hosts/fleet.ts";
import { Controller } from "../reconciler/controller.ts";
import type { Log } from "../reconciler/execute.ts";
import { Loop } from "../reconciler/loop.ts";
import type { Claim, Fleet, StateRepository } from "../reconciler/ports.ts";
import { app } from "../web/app.ts";
import { jsonLog } from "./log.ts";
import type { ListenAddress, ServiceOptions } from "./options.ts";

/** The doors to the outside, before the controller gets them. */
export interface Outside {
  readonly repository: StateRepository;
  readonly fleet: Fleet;
}

/** For those who run a service inside their own program: the demo, the tests. */
export interface ServiceHooks {
  /** Puts something (faults, counters) between the controller and the outside. */
  readonly wrap?: (outside: Outside) => Outside;
  /** Stops the service, besides SIGTERM and SIGINT. */
  readonly signal?: AbortSignal;
  readonly log?: Log;
  readonly onStarted?: (running: Outside & { controller: Controller; loop: Loop }) => void;
}

/** Exit code of a controller that a newer one has replaced. */
const DEPOSED = 3;

/** Poll interval until the cluster's own policy is known. */
const FIRST_POLL_MS = 10_000;

/** Runs until told to stop, or (`once`) until one pass and its consequences are recorded. */
export async function runService(
  options: ServiceOptions,
  hooks: ServiceHooks = {},
): Promise<number> {
  const log = hooks.log ?? jsonLog(options.logLevel);
  const lock = await lockFolder(options.stateDir);
  const { git, hosts } = open(options, log);
  const stop = new AbortController();
  const release = onSignals(() => stop.abort());
  hooks.signal?.addEventListener("abort", () => stop.abort(), { once: true });
  const doors = { repository: git, fleet: hosts };
  const outside = hooks.wrap?.(doors) ?? doors;
  try {
    const claimed = await claim(outside.repository, options.once, log, stop.signal);
    if (claimed === undefined) return options.once ? 1 : 0;
    const controller = new Controller({
      ...outside,
      log,
      clock: systemClock,
      claim: claimed,
      around: { env: namedEnvironment(), hostname: Deno.hostname() },
    });
    const loop = new Loop(
      controller,
      systemClock,
      log,
      () =>
        options.pollMs ?? controller.snapshot?.desired.cluster.policy.pollIntervalMs ??
          FIRST_POLL_MS,
    );
    hosts.onChange(() => loop.hint("nodes"));
    hooks.onStarted?.({ ...outside, controller, loop });
    log("info", "started", { repo: git.remote.display, branch: options.branch, ...claimed });
    return options.once
      ? await runOnce(loop)
      : await follow(controller, loop, options.listen, log, stop);
  } catch (error) {
    if ((error as Error).name !== "DeposedError") throw error;
    log("error", "a newer controller has taken over; this one ends and stops nothing", {
      reason: (error as Error).message,
    });
    return DEPOSED;
  } finally {
    release();
    await Promise.all([hosts.close(), git.close()]);
    lock.close();
  }
}

function open(options: ServiceOptions, log: Log) {
  const dir = resolve(options.stateDir);
  const ssh = options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig };
  const git = new GitStateRepository({
    remote: options.repo,
    branch: options.branch,
    mirrorDir: join(dir, "state.git"),
    codeDir: join(dir, "code"),
    ...ssh,
  });
  return { git, hosts: new HostFleet({ ...ssh, log }) };
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

/** The right to write. Without the repository there is nothing to do, so it waits. */
async function claim(
  repository: StateRepository,
  once: boolean,
  log: Log,
  signal: AbortSignal,
): Promise<Claim | undefined> {
  for (let waitMs = 1000; !signal.aborted; waitMs = Math.min(waitMs * 2, 60_000)) {
    const claimed = await repository.claimEpoch(`${Deno.hostname()}:${Deno.pid}`);
    if (claimed.kind === "ok") return claimed.value;
    log("error", "cannot claim the state repository", { reason: claimed.reason });
    if (once || claimed.kind === "terminal") return undefined;
    await systemClock.sleep(waitMs, signal);
  }
  return undefined;
}

/** The only variables that a cluster.yaml may name. */
function namedEnvironment(): Record<string, string> {
  const named = ["USER", "HOME"].map((name) => [name, Deno.env.get(name)] as const);
  return Object.fromEntries(named.flatMap(([k, v]) => v === undefined ? [] : [[k, v]]));
}

async function runOnce(loop: Loop): Promise<number> {
  let result = await loop.onePass(true);
  for (let more = 0; result && result.mutations > 0 && more < 3; more++) {
    result = await loop.onePass(false);
  }
  return result?.planned ? 0 : 1;
}

async function follow(
  controller: Controller,
  loop: Loop,
  listen: ListenAddress | undefined,
  log: Log,
  stop: AbortController,
): Promise<number> {
  const server = listen && serve(controller, loop, listen, log);
  try {
    await loop.run(stop.signal);
    log("info", "stopped; all jobs go on", { ...loop.stats });
    return 0;
  } finally {
    await server?.shutdown();
  }
}

function serve(controller: Controller, loop: Loop, listen: ListenAddress, log: Log) {
  const routes = app({
    snapshot: () => controller.snapshot,
    stats: () => loop.stats,
    hint: () => loop.hint("repository"),
  });
  const { hostname, port } = listen;
  const onListen = (at: Deno.NetAddr) =>
    log("info", "listening", { url: `http://${at.hostname}:${at.port}` });
  return Deno.serve({ hostname, port, onListen }, routes.fetch);
}
