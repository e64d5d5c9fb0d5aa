/**
 * A controller process under test: the real leadership, controller and loop behind a gate, started
 * again when it ends, as systemd would.
 *
 * @module
 */
import type { VirtualClock } from "../../providers/sim/clock.ts";
import type { SimRemote } from "../../providers/sim/repository.ts";
import type { SimWorld } from "../../providers/sim/world.ts";
import { Controller } from "../../reconciler/controller.ts";
import type { Log } from "../../reconciler/execute.ts";
import { Leadership } from "../../reconciler/leadership.ts";
import { Loop } from "../../reconciler/loop.ts";
import type { Fleet, StateRepository } from "../../reconciler/ports.ts";
import { lastWriter } from "../../reconciler/writer.ts";
import { GatedFleet, GatedRepository, Shown } from "./doors.ts";
import { Gate, ProcessClock } from "./gate.ts";
import type { Random } from "./random.ts";
import { CANARY, type ScenarioController } from "./scenario.ts";

/** Puts something wrong between a controller and the outside: so an oracle can be tried out. */
export interface Sabotage {
  readonly fleet?: (fleet: Fleet) => Fleet;
  readonly repository?: (repository: StateRepository) => StateRepository;
}

/** What a process lives in. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly world: SimWorld;
  readonly remote: SimRemote;
  readonly random: Random;
  readonly sabotage: Sabotage;
  /** Gives a name that nothing else has. */
  readonly newId: () => string;
  readonly log: (process: SimProcess, ...line: Parameters<Log>) => void;
  /** It changed something although its lease does not allow it. */
  readonly forbidden: (process: SimProcess, what: string) => void;
  readonly note: (text: string) => void;
  /** It has the lease now; `waited`: it stood by for it. */
  readonly claimed: (process: SimProcess, epoch: number, life: Life, waited: boolean) => void;
  /** It threw what it should not. */
  readonly broke: (process: SimProcess, error: Error) => void;
}

/** Poll interval until the cluster's own policy is known, as in the service. */
const FIRST_POLL_MS = 10_000;

/** One life of the process, from its start to its end. */
export interface Life {
  readonly gate: Gate;
  readonly shown: Shown;
  readonly repository: GatedRepository;
  readonly fleet: GatedFleet;
  readonly leadership: Leadership;
  readonly stop: AbortController;
  loop: Loop | undefined;
  controller: Controller | undefined;
}

/** A process that comes and goes. */
export class SimProcess {
  life: Life | undefined;
  skewMs: number;
  /** Nothing of the remote gets through to this process while it is above 0. */
  remoteAway = 0;
  #passes = 0;
  #mutations = 0;
  #restartMs: number | null;
  #lives = 0;

  constructor(
    readonly index: number,
    private readonly plan: ScenarioController,
    private readonly around: Surroundings,
  ) {
    this.skewMs = plan.skewMs ?? 0;
    this.#restartMs = plan.restartMs;
    around.clock.at(around.clock.now() + plan.startAtMs, () => this.start());
  }

  /** True while it leads, and is neither paused nor dead, and has made a plan. */
  get acting(): boolean {
    const { life } = this;
    return life !== undefined && !life.gate.paused && life.controller?.snapshot !== undefined &&
      life.leadership.mayAct();
  }

  /** The epoch of its claim; undefined: it has claimed nothing in this life. */
  get epoch(): number | undefined {
    return this.life?.controller && this.life.leadership.claim.epoch;
  }

  /** Starts it unless it runs. */
  start(): void {
    if (this.life) return;
    const { clock, world, remote, random, note } = this.around;
    const name = `c${this.index}.${++this.#lives}`;
    const gate = new Gate(clock, random, (what) => {
      note(`${name} crashes ${what}`);
      this.#end(life);
    });
    const own = new ProcessClock(clock, gate, () => this.skewMs);
    const shown = new Shown(clock.now());
    const forbidden = (what: string) => {
      if (!life.leadership.mayAct()) this.around.forbidden(this, what);
    };
    const repository = new GatedRepository(remote, own, gate, name, shown, forbidden);
    const fleet = new GatedFleet(world, gate, shown, forbidden, own);
    const log: Log = (...line) => this.around.log(this, ...line);
    const leadership = new Leadership({
      repository,
      clock: own,
      log,
      owner: name,
      newId: () => this.around.newId(),
      random: () => random.next(),
      lastWriter: () => lastWriter(repository),
      steady: () => clock.now(),
    });
    const stop = new AbortController();
    const life: Life = {
      ...{ gate, shown, repository, fleet, leadership, stop },
      loop: undefined,
      controller: undefined,
    };
    this.life = life;
    this.setRemote();
    note(`${name} starts`);
    this.#run(life, own, log).then((why) => {
      note(`${name} ends: ${why}`);
      this.#end(life);
    }, (error) => this.around.broke(this, error));
  }

  /** What all its lives have done. */
  total(): { readonly passes: number; readonly mutations: number } {
    const { passes = 0, mutations = 0 } = this.life?.loop?.stats ?? {};
    return { passes: this.#passes + passes, mutations: this.#mutations + mutations };
  }

  /** SIGKILL. */
  kill(): void {
    if (!this.life) return;
    this.around.note(`c${this.index} is killed`);
    this.#end(this.life);
  }

  /** SIGTERM: it gives up its lease and stops no job. */
  terminate(): void {
    this.life?.stop.abort();
  }

  /** From now on it is started again soon whenever it ends, and at once if it is away. */
  revive(): void {
    this.#restartMs ??= 5000;
    this.life?.gate.resume();
    if (this.life) this.life.gate.crash = undefined;
    else this.start();
  }

  /** Takes over whether the remote can be reached. */
  setRemote(): void {
    if (this.life) this.life.repository.unreachable = this.remoteAway > 0;
  }

  /** As the service does: claims or stands by, keeps the lease, loops; gives the reason of the end. */
  async #run(life: Life, own: ProcessClock, log: Log): Promise<string> {
    const { leadership, repository, fleet, stop } = life;
    const claimed = this.plan.standby
      ? await leadership.standBy(stop.signal)
      : await this.#claim(life, own);
    if (claimed === undefined) return "told to stop";
    this.around.claimed(this, claimed.epoch, life, this.plan.standby);
    const { sabotage } = this.around;
    const controller = new Controller({
      repository: sabotage.repository?.(repository) ?? repository,
      fleet: sabotage.fleet?.(fleet) ?? fleet,
      clock: own,
      log,
      right: leadership,
      secrets: { read: () => Promise.resolve({ value: CANARY }) },
    });
    const pollMs = () => controller.snapshot?.desired.cluster.policy.pollIntervalMs;
    const loop = new Loop(controller, own, log, () => pollMs() ?? FIRST_POLL_MS);
    life.controller = controller;
    life.loop = loop;
    fleet.onChange(() => loop.hint("nodes"));
    leadership.onChange(() => loop.hint("nodes"));
    const ended = new AbortController();
    const kept = leadership.keep(ended.signal);
    let why = "told to stop";
    try {
      await loop.run(stop.signal);
    } catch (error) {
      if ((error as Error).name !== "DeposedError") throw error;
      why = `deposed: ${(error as Error).message}`;
    }
    ended.abort();
    await kept;
    await leadership.release();
    return why;
  }

  async #claim({ leadership, stop }: Life, own: ProcessClock) {
    for (let waitMs = 1000; !stop.signal.aborted; waitMs = Math.min(waitMs * 2, 60_000)) {
      const claimed = await leadership.take();
      if (claimed.kind === "ok") return claimed.value;
      await own.sleep(waitMs, stop.signal);
    }
    return undefined;
  }

  #end(life: Life): void {
    if (life.gate.dead) return;
    life.gate.dead = true;
    life.gate.resume();
    void life.fleet.close();
    this.#count(life);
    if (this.life === life) this.life = undefined;
    const restartMs = this.#restartMs;
    if (restartMs === null) return;
    const { clock } = this.around;
    clock.at(clock.now() + restartMs, () => this.start());
  }

  #count({ loop }: Life): void {
    this.#passes += loop?.stats.passes ?? 0;
    this.#mutations += loop?.stats.mutations ?? 0;
  }
}
