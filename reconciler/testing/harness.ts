/**
 * A controller and its loop on the simulated outside, to be killed and started again.
 *
 * @module
 */
import { VirtualClock } from "../../providers/sim/clock.ts";
import { SimFleet } from "../../providers/sim/fleet.ts";
import { SimRemote, SimRepository } from "../../providers/sim/repository.ts";
import { SimWorld } from "../../providers/sim/world.ts";
import type { JobStatus } from "../../jobs/status.ts";
import { Controller } from "../controller.ts";
import { parseStatus } from "../history.ts";
import { Leadership } from "../leadership.ts";
import { Loop } from "../loop.ts";
import type { Fleet, StateRepository } from "../ports.ts";
import { lastWriter } from "../writer.ts";

/** The doors of one controller, before somebody puts faults between. */
export interface SimDoors {
  readonly repository: StateRepository;
  readonly fleet: Fleet;
}

/** A controller that runs. */
export interface Running {
  readonly controller: Controller;
  readonly loop: Loop;
  readonly repository: SimRepository;
  /** Kills it: nothing that it does from now on has an effect. */
  kill(): Promise<void>;
  /** How its loop ended, once it has. */
  readonly ended: Promise<unknown>;
}

/** One simulated outside with controllers that come and go. */
export class Harness {
  readonly clock = new VirtualClock();
  readonly world = new SimWorld(this.clock);
  readonly remote = new SimRemote(() => this.clock.now());
  readonly log: { level: string; msg: string; fields: unknown }[] = [];
  readonly #running = new Set<Running>();
  #ids = 0;

  /** Machines `n1` to `nK`, listed in `cluster.yaml`, and job manifests by name. */
  constructor(nodes: number, jobs: Readonly<Record<string, string>> = {}, policy = "") {
    const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
    for (const name of names) this.world.add(name);
    const lines = names.map((name) => `  - {name: ${name}, host: 10.0.0.${name.slice(1)}}`);
    this.remote.push({
      "cluster.yaml": `nodes:\n${lines.join("\n")}\npolicy: {${policy}}\n`,
      ...Object.fromEntries(Object.entries(jobs).map(([n, text]) => [`jobs/${n}.yaml`, text])),
    });
  }

  /** A controller without a loop, for tests that make single passes. */
  async controller(wrap: (doors: SimDoors) => SimDoors = (doors) => doors) {
    const repository = new SimRepository(this.remote, { now: () => this.clock.now() });
    const fleet = new SimFleet(this.world);
    const doors = wrap({ repository, fleet });
    const leadership = this.leadership(doors.repository);
    const claim = await leadership.take();
    if (claim.kind !== "ok") throw new Error(`Cannot claim: ${claim.reason}`);
    const controller = new Controller({
      ...doors,
      clock: this.clock,
      log: (level, msg, fields) => this.log.push({ level, msg, fields }),
      right: leadership,
    });
    return { controller, repository, fleet, leadership };
  }

  /** A leadership that has claimed nothing yet. */
  leadership(repository: StateRepository): Leadership {
    return new Leadership({
      repository,
      clock: this.clock,
      log: (level, msg, fields) => this.log.push({ level, msg, fields }),
      lastWriter: () => lastWriter(repository),
      owner: "test",
      newId: () => `id-${++this.#ids}`,
      random: () => 0.5,
    });
  }

  /** Starts a controller with its loop. */
  async start(wrap?: (doors: SimDoors) => SimDoors): Promise<Running> {
    const { controller, repository, fleet, leadership } = await this.controller(wrap);
    const loop = new Loop(controller, this.clock, (level, msg, fields) => {
      this.log.push({ level, msg, fields });
    }, () => controller.snapshot?.desired.cluster.policy.pollIntervalMs ?? 10_000);
    fleet.onChange(() => loop.hint("nodes"));
    const stop = new AbortController();
    leadership.onChange(() => loop.hint("nodes"));
    void leadership.keep(stop.signal);
    const ended = loop.run(stop.signal).catch((error: unknown) => error);
    const running: Running = {
      controller,
      loop,
      repository,
      ended,
      kill: async () => {
        stop.abort();
        this.#running.delete(running);
        await fleet.close();
      },
    };
    this.#running.add(running);
    return running;
  }

  /** Ends everything, so that no timer holds a promise. */
  async close(): Promise<void> {
    for (const running of [...this.#running]) await running.kill();
    await this.clock.advance(60_000);
  }

  /** What the status branch says of a job. */
  status(name: string): JobStatus | undefined {
    const text = this.remote.statusFile(`jobs/${name}.yaml`);
    return text === undefined ? undefined : parseStatus(text);
  }

  /** Advances until the status branch says so of a job; throws after `limitMs`. */
  async until(name: string, phase: JobStatus["phase"], limitMs = 600_000): Promise<JobStatus> {
    await this.clock.runUntil(() => this.status(name)?.phase === phase, limitMs);
    const status = this.status(name);
    if (status?.phase !== phase) {
      throw new Error(`${name} is ${status?.phase} (${status?.message}), not ${phase}`);
    }
    return status;
  }

  /** How often each agent was started, by `JOB/ATTEMPT/RANK`. */
  starts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const machine of this.world.machines.values()) {
      for (const [key, run] of machine.runs) {
        counts.set(key, (counts.get(key) ?? 0) + run.agentStarts);
      }
    }
    return counts;
  }

  /** Attempts of a job that hold processes now. */
  liveAttempts(name: string): number[] {
    const live = this.world.liveRuns().filter((run) => run.id.job === name);
    return [...new Set(live.map((run) => run.id.attempt))];
  }
}
