/**
 * The services of a run of chaos: two on one repository, one leads and one stands by. One that ends
 * is started again, as an init system would do.
 *
 * @module
 */
import { type Harness, pause, type Stats } from "../harness.ts";
import { killQuietly } from "../processes.ts";
import type { Service } from "../service.ts";

/** Exit code of a service that another one has replaced. */
const DEPOSED = 3;

/** A fault hits the leader as often as this, else the one that stands by. */
const LEADER_SHARE = 0.75;

/** How long nobody may lead. A standby that the leader had not noticed yet waits for 60 s. */
const LEADER_MS = 100_000;

interface Slot {
  readonly name: string;
  service: Service;
  /** True while a fault has it down or paused, or a new one is being started. */
  busy: boolean;
}

/** Two services; start them with `Services.start`. */
export class Services {
  readonly #harness: Harness;
  readonly #say: (text: string) => void;
  readonly #slots: Slot[] = [];
  #stopped = false;
  #watching: Promise<void> = Promise.resolve();
  /** Every service that was ever started. */
  readonly all: Service[] = [];
  /** What was wrong with them. */
  readonly problems: string[] = [];
  /** From a fault of the leader until somebody led, each time that the lease changed hands. */
  readonly changesMs: number[] = [];

  private constructor(harness: Harness, say: (text: string) => void) {
    this.#harness = harness;
    this.#say = say;
  }

  /** Starts one that leads and one that stands by. */
  static async start(harness: Harness, say: (text: string) => void): Promise<Services> {
    const services = new Services(harness, say);
    for (const [name, standby] of [["a", false], ["b", true]] as const) {
      const service = await harness.startAnother(name, standby);
      services.all.push(service);
      services.#slots.push({ name, service, busy: false });
    }
    services.#watching = services.#watch();
    return services;
  }

  /** Ends the watch; whoever runs goes on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#watching;
  }

  /** Tells all that listen of a push; a hint that is lost costs time and nothing else. */
  hint(): void {
    for (const { service, busy } of this.#slots) {
      if (busy || !service.alive) continue;
      const url = `${service.url}/hooks/git`;
      fetch(url, { method: "POST", signal: AbortSignal.timeout(1_000) })
        .then((response) => response.body?.cancel()).catch(() => {});
    }
  }

  /** What the leader has done. */
  async stats(): Promise<Stats> {
    const leader = await this.#leader();
    if (leader === undefined) throw new Error("Cannot ask the leader: nobody leads");
    return await this.#harness.stats(leader.service);
  }

  /** The last words of both. */
  tail(): string {
    return this.#slots.map(({ name, service }) => `── ${name}\n${service.tail(40)}`).join("\n");
  }

  /** kill -9, and a new one after `forMs`, as a leader at once or as a standby. */
  async kill(pick: number, forMs: number): Promise<void> {
    const chosen = await this.#choose(pick);
    const standby = (pick * 8) % 1 < 0.5;
    await this.#away(chosen, async ({ slot, what }) => {
      const as = standby ? "as a standby" : "to lead at once";
      this.#say(`kill -9 the ${what} ${slot.name}; again after ${seconds(forMs)} ${as}`);
      await slot.service.kill9();
      await pause(forMs);
      await this.#start(slot, standby);
    });
  }

  /** SIGSTOP, and SIGCONT after `forMs`. */
  async pause(pick: number, forMs: number): Promise<void> {
    await this.#away(await this.#choose(pick), async ({ slot, what }) => {
      this.#say(`pause the ${what} ${slot.name} for ${seconds(forMs)}`);
      killQuietly(slot.service.pid, "SIGSTOP");
      await pause(forMs);
      killQuietly(slot.service.pid, "SIGCONT");
    });
  }

  /** Does something to a service; if it led, measures how long nobody does. */
  async #away(
    chosen: { slot: Slot; what: string },
    action: (chosen: { slot: Slot; what: string }) => Promise<void>,
  ): Promise<void> {
    const { slot, what } = chosen;
    while (slot.busy) await pause(100);
    const before = await this.#epoch();
    const beganMs = Date.now();
    const led = what === "leader" ? this.#newLeader(before, beganMs) : Promise.resolve();
    slot.busy = true;
    await action(chosen);
    slot.busy = false;
    await led;
  }

  /** Resolves once a higher epoch was claimed, or the one before can go on. */
  async #newLeader(before: number, beganMs: number): Promise<void> {
    while (!this.#stopped) {
      await pause(200);
      if (await this.#epoch() > before) {
        this.changesMs.push(Date.now() - beganMs);
        return;
      }
      const leader = await this.#leader();
      if (leader && leader.service.alive && !leader.busy) return;
      if (Date.now() - beganMs > LEADER_MS) {
        this.problems.push(`nobody led for ${seconds(LEADER_MS)}\n${this.tail()}`);
        return;
      }
    }
  }

  async #choose(pick: number): Promise<{ slot: Slot; what: string }> {
    const leader = await this.#leader() ?? this.#slots[0] as Slot;
    const other = this.#slots.find((slot) => slot !== leader) as Slot;
    return pick < LEADER_SHARE
      ? { slot: leader, what: "leader" }
      : { slot: other, what: "standby" };
  }

  async #leader(): Promise<Slot | undefined> {
    const lease = await this.#lease();
    return this.#slots.find(({ service }) => lease?.owner.endsWith(`:${service.pid}`));
  }

  async #epoch(): Promise<number> {
    return (await this.#lease())?.epoch ?? 0;
  }

  /** Nothing is to be seen while the repository is away. */
  #lease() {
    return this.#harness.lease().catch(() => undefined);
  }

  async #start(slot: Slot, standby: boolean): Promise<void> {
    slot.service = await this.#harness.startAnother(slot.name, standby);
    this.all.push(slot.service);
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      await pause(300);
      for (const slot of this.#slots) {
        if (slot.busy || slot.service.alive) continue;
        const { code } = await slot.service.ended();
        this.#say(`the service ${slot.name} ended with code ${code}; it is started again`);
        if (code !== DEPOSED) {
          this.problems.push(`a service ended with code ${code}:\n${slot.service.tail(20)}`);
        }
        slot.busy = true;
        await this.#start(slot, true).catch((error: Error) => this.problems.push(error.message));
        slot.busy = false;
      }
    }
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
