/**
 * The gate between a controller process and everything outside it: here it is slowed down, paused,
 * and killed, before or after each of its effects.
 *
 * @module
 */
import type { VirtualClock } from "../../providers/sim/clock.ts";
import type { Clock } from "../../reconciler/ports.ts";
import type { Random } from "./random.ts";

/** A promise that nothing follows: what waits for it is dead. */
const NEVER: Promise<never> = new Promise(() => {});

/** A crash that is due at an effect. */
export interface DueCrash {
  left: number;
  readonly when: "before" | "after";
}

/** Shortest and longest time that an operation takes to get through. */
const LATENCY_MS: Readonly<Record<string, readonly [number, number]>> = {
  "ls-remote": [20, 300],
  "ls-remote:lease": [20, 300],
  fetch: [20, 200],
  "push:status": [50, 500],
  "push:lease": [50, 500],
  "look:status": [20, 200],
  "look:lease": [20, 200],
  observe: [2, 20],
  launch: [1, 40],
  stop: [1, 40],
  clean: [1, 40],
  putCode: [1, 100],
};

/** Operations that change something; reads of what was fetched before do not come here. */
const EFFECTS: ReadonlySet<string> = new Set([
  ...["push:status", "push:lease", "commit", "fetch"],
  ...["launch", "stop", "clean", "putCode"],
]);

/** One life of one controller process, as its operations meet the outside. */
export class Gate {
  dead = false;
  crash: DueCrash | undefined;
  /** Called with the node and the GPUs of the next launch, before it is sent. */
  beforeLaunch: ((node: string, gpus: readonly string[]) => void) | undefined;
  #resume: { readonly promise: Promise<void>; readonly go: () => void } | undefined;

  constructor(
    private readonly clock: VirtualClock,
    private readonly random: Random,
    private readonly onCrash: (what: string) => void,
  ) {}

  get paused(): boolean {
    return this.#resume !== undefined;
  }

  /** SIGSTOP. */
  pause(): void {
    if (this.#resume) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resume = { promise, go: resolve };
  }

  /** SIGCONT. */
  resume(): void {
    this.#resume?.go();
    this.#resume = undefined;
  }

  /** Goes on as soon as the process may; never, once it is dead. */
  async pass(): Promise<void> {
    while (this.#resume && !this.dead) await this.#resume.promise;
    if (this.dead) await NEVER;
  }

  /** Around each operation: it takes its time, and the process may die before or after it. */
  readonly around = async (op: string, phase: "before" | "after"): Promise<void> => {
    await this.pass();
    const crash = EFFECTS.has(op) ? this.crash : undefined;
    if (crash && crash.left === 0 && crash.when === phase) {
      this.crash = undefined;
      this.onCrash(`${phase} ${op}`);
    } else if (crash && phase === "after") crash.left--;
    if (this.dead) await NEVER;
    const [min, max] = LATENCY_MS[op] ?? [0, 0];
    if (max === 0 || (phase === "after" && !this.random.chance(0.2))) return;
    await this.clock.sleep(this.random.int(min, max));
    await this.pass();
  };
}

/** The process's own clock: it may be wrong, and its sleeps end late while it is paused. */
export class ProcessClock implements Clock {
  constructor(
    private readonly clock: VirtualClock,
    private readonly gate: Gate,
    private readonly skewMs: () => number,
  ) {}

  /** @inheritDoc */
  now(): number {
    return this.clock.now() + this.skewMs();
  }

  /** @inheritDoc */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.clock.sleep(ms, signal);
    await this.gate.pass();
  }
}
