/**
 * One term of a controller: from the claim of the lease, or standing by for it, until it is told to
 * stop or another controller takes over.
 *
 * @module
 */
import { join, resolve } from "node:path";
import type { GitStateRepository } from "../providers/git/repository.ts";
import { systemClock } from "../providers/hosts/clock.ts";
import { HostFleet } from "../providers/hosts/fleet.ts";
import { redactingFleet } from "../providers/secrets/fleet.ts";
import { ControllerSecrets } from "../providers/secrets/store.ts";
import { Controller } from "../reconciler/controller.ts";
import type { Log } from "../reconciler/execute.ts";
import { Leadership } from "../reconciler/leadership.ts";
import { Loop } from "../reconciler/loop.ts";
import type { Claim, Fleet, SecretStore, StateRepository } from "../reconciler/ports.ts";
import { lastWriter } from "../reconciler/writer.ts";
import type { ServiceOptions } from "./options.ts";

/** The doors to the outside, before the controller gets them. */
export interface Outside {
  readonly repository: StateRepository;
  readonly fleet: Fleet;
}

/** A controller that leads. */
export interface Running extends Outside {
  readonly controller: Controller;
  readonly loop: Loop;
}

/** What may be put into a term. */
export interface TermHooks {
  /** Puts something (faults, counters) between the controller and the outside. */
  readonly wrap?: (outside: Outside) => Outside;
  readonly onStarted?: (running: Running) => void;
}

/** What a term works with. */
export interface TermInput {
  readonly options: ServiceOptions;
  readonly log: Log;
  readonly git: GitStateRepository;
  readonly signal: AbortSignal;
}

/** Exit code of a controller that another one has replaced. */
export const DEPOSED = 3;

/** Poll interval until the cluster's own policy is known. */
const FIRST_POLL_MS = 10_000;

/** Longest wait for the push that gives the lease up. */
const RELEASE_MS = 5000;

/** Leads until told to stop; gives the exit code. */
export async function runTerm(input: TermInput, hooks: TermHooks): Promise<number> {
  const { options, log, git, signal } = input;
  const ssh = options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig };
  const hosts = new HostFleet({ ...ssh, log });
  const secrets = secretsOf(input);
  const doors = { repository: git, fleet: redactingFleet(hosts, (text) => secrets.redact(text)) };
  const outside = hooks.wrap?.(doors) ?? doors;
  const leadership = new Leadership({
    repository: outside.repository,
    clock: systemClock,
    steady: () => performance.now(),
    log,
    lastWriter: () => lastWriter(outside.repository),
    owner: `${Deno.hostname()}:${Deno.pid}`,
    newId: () => crypto.randomUUID(),
    random: Math.random,
  });
  const ended = new AbortController();
  let kept: Promise<void> | undefined;
  try {
    const claimed = await obtain(leadership, input);
    if (claimed === undefined) return signal.aborted ? 0 : 1;
    kept = leadership.keep(ended.signal);
    const { controller, loop } = makeLoop({ ...outside, secrets }, leadership, input);
    hosts.onChange(() => loop.hint("nodes"));
    leadership.onChange(() => loop.hint("nodes"));
    hooks.onStarted?.({ ...outside, controller, loop });
    log("info", "started", { repo: git.remote.display, branch: options.branch, ...claimed });
    if (options.once) return await runOnce(loop);
    await loop.run(signal);
    log("info", "stopped; all jobs go on", { ...loop.stats });
    return 0;
  } catch (error) {
    if ((error as Error).name !== "DeposedError") throw error;
    log("error", "another controller has taken over; this one stops nothing and starts nothing", {
      reason: (error as Error).message,
    });
    return DEPOSED;
  } finally {
    ended.abort();
    await kept;
    await Promise.race([leadership.release(), systemClock.sleep(RELEASE_MS)]);
    await hosts.close();
  }
}

/** The right to write; undefined: told to stop, or there is no use in waiting. */
function obtain(leadership: Leadership, input: TermInput): Promise<Claim | undefined> {
  return input.options.standby ? leadership.standBy(input.signal) : claim(leadership, input);
}

/** Claims at once. Without the repository there is nothing to do, so it waits for that. */
async function claim(leadership: Leadership, input: TermInput): Promise<Claim | undefined> {
  const { options, log, signal } = input;
  for (let waitMs = 1000; !signal.aborted; waitMs = Math.min(waitMs * 2, 60_000)) {
    const claimed = await leadership.take();
    if (claimed.kind === "ok") return claimed.value;
    log("error", "cannot claim the state repository", { reason: claimed.reason });
    if (options.once || claimed.kind === "terminal") return undefined;
    await systemClock.sleep(waitMs, signal);
  }
  return undefined;
}

/** Where the values of secrets are: docs/secrets.md. */
function secretsOf({ options, git }: TermInput): ControllerSecrets {
  const dir = resolve(options.stateDir);
  return new ControllerSecrets({
    folder: join(dir, "secrets"),
    identity: resolve(Deno.env.get("UGRO_AGE_IDENTITY") || join(dir, "age-identity.txt")),
    readBlobs: (oids, maxBytes) => git.readBlobs(oids, maxBytes),
  });
}

function makeLoop(
  outside: Outside & { readonly secrets: SecretStore },
  right: Leadership,
  { options, log }: TermInput,
) {
  const controller = new Controller({
    ...outside,
    log,
    right,
    clock: systemClock,
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
  return { controller, loop };
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
