/**
 * Runs a scenario: the real controllers against the simulated outside, every invariant checked on
 * the way.
 *
 * @module
 */
import { VirtualClock } from "../../providers/sim/clock.ts";
import type { MachineEvent } from "../../providers/sim/events.ts";
import { SimRemote } from "../../providers/sim/repository.ts";
import { runKey } from "../../providers/sim/run.ts";
import { SimWorld } from "../../providers/sim/world.ts";
import type { Context, Violation } from "./context.ts";
import { Driver } from "./driver.ts";
import { Ledger } from "./ledger.ts";
import { Oracle } from "./oracle.ts";
import { People, templateOf } from "./people.ts";
import { type Life, type Sabotage, SimProcess } from "./process.ts";
import { Random } from "./random.ts";
import { CANARY, type Scenario } from "./scenario.ts";
import { sealed } from "./sealed.ts";
import { settleBoundMs, unsettled } from "./settled.ts";
import { Trace } from "./trace.ts";
import { Truth } from "./truth.ts";

/** What a run was like. */
export interface Stats {
  readonly virtualMs: number;
  readonly steps: number;
  readonly passes: number;
  readonly commits: number;
  readonly launches: number;
  readonly mutations: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly digest: string;
}

/** What came of a run. */
export interface Result {
  readonly stats: Stats;
  readonly violation: Violation | undefined;
  readonly tail: readonly string[];
}

/** Polls of an unchanged world that are watched at the end. */
const QUIET_POLLS = 4;

export type { Sabotage };

/** Runs a scenario. The same scenario gives the same result. */
export function simulate(scenario: Scenario, sabotage: Sabotage = {}): Promise<Result> {
  return sealed(() => new Simulation(scenario, sabotage).run());
}

class Simulation {
  readonly #clock = new VirtualClock();
  readonly #startMs = this.#clock.now();
  readonly #world = new SimWorld(this.#clock);
  readonly #remote = new SimRemote(() => this.#clock.now());
  readonly #trace = new Trace();
  readonly #truth = new Truth();
  readonly #lives = new Map<number, Life>();
  readonly #processes: SimProcess[] = [];
  readonly #context: Context;
  readonly #oracle: Oracle;
  readonly #driver: Driver;
  #violation: Violation | undefined;
  #steps = 0;
  #mutations = 0;
  #ids = 0;
  #moves = { status: 0, lease: 0 };

  constructor(private readonly scenario: Scenario, private readonly sabotage: Sabotage) {
    const { nodes, seed, controllers } = scenario;
    for (const { name, gpus, skewMs, old } of nodes) {
      const model = old ? { gpuModel: "NVIDIA A100", gpuMemoryMiB: 40_960 } : {};
      this.#world.add(name, { gpus, ...model }).skewMs = skewMs ?? 0;
    }
    // Runs of a schedule behave as their template does.
    const { behaviourOf } = SimWorld.prototype;
    this.#world.behaviourOf = (job) => behaviourOf.call(this.#world, templateOf(job) ?? job);
    const people = new People(this.#remote, scenario, this.#startMs);
    const takenSinceMs = new Map<string, number>();
    const shared = {
      ...{ scenario, people, takenSinceMs },
      startMs: this.#startMs,
      clock: this.#clock,
      world: this.#world,
      remote: this.#remote,
      processes: this.#processes,
      tampered: { statusAtMs: -Infinity, leaseAtMs: -Infinity, rewoundAtMs: -Infinity },
    };
    this.#context = {
      ...shared,
      truth: this.#truth,
      ledger: new Ledger(this.#remote),
      lives: this.#lives,
      fail: (invariant, message) => this.#fail(invariant, message),
    };
    this.#oracle = new Oracle(this.#context);
    this.#world.witness = (node, event) => this.#witness(node, event);
    people.publish();
    const random = new Random(seed);
    for (const [index, plan] of controllers.entries()) {
      this.#processes.push(this.#process(index, plan, random));
    }
    this.#driver = new Driver({
      ...shared,
      note: (text) => {
        this.#oracle.deed();
        this.#note(text);
      },
    });
  }

  async run(): Promise<Result> {
    const { scenario } = this;
    await this.#until(() => false, scenario.calmAtMs + 1);
    let looked = "";
    const done = () => {
      const minute = Math.floor(this.#clock.now() / 60_000);
      const now = `${this.#truth.events} ${this.#context.ledger.commits} ${minute}`;
      if (now === looked) return false;
      looked = now;
      return unsettled(this.#context) === undefined;
    };
    if (!this.#violation && !await this.#until(done, settleBoundMs(scenario))) {
      const why = unsettled(this.#context);
      if (why) this.#fail("converges", why);
    }
    if (!this.#violation) await this.#watchQuiet();
    this.#note("the end");
    return { stats: this.#stats(), violation: this.#violation, tail: this.#trace.tail() };
  }

  /** Nothing changes any more: so nothing may be done any more. */
  async #watchQuiet(): Promise<void> {
    const pollMs = this.scenario.policy.pollS * 1000;
    // A deadline that is yet to come changes the world by itself.
    const times = this.scenario.jobs.map(({ doc }) => doc.deadlineS ?? 0);
    const lastMs = this.#context.startMs + 1000 * Math.max(0, ...times);
    const aheadMs = lastMs - this.#clock.now();
    if (aheadMs > 0) {
      await this.#until(() => false, aheadMs);
      const settled = () => unsettled(this.#context) === undefined;
      await this.#until(settled, settleBoundMs(this.scenario));
    }
    await this.#until(() => false, 2 * pollMs + 60_000);
    const { ledger } = this.#context;
    const [commits, mutations] = [ledger.commits, this.#mutations];
    await this.#until(() => false, QUIET_POLLS * pollMs);
    const why = unsettled(this.#context);
    if (why) this.#fail("converges", `settled, and then ${why}`);
    if (ledger.commits > commits || this.#mutations > mutations) {
      const text = `${ledger.commits - commits} commits and ${this.#mutations - mutations} ` +
        `mutations although nothing had changed`;
      this.#fail("unchanged-world", text);
    }
  }

  /** Advances until something is so, checking after every instant; false: the time was over. */
  async #until(done: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#clock.now() + limitMs;
    const reached = await this.#clock.runUntil(() => {
      this.#steps++;
      this.#noteMoves();
      this.#noteEpochs();
      this.#oracle.step();
      return this.#violation !== undefined || done();
    }, limitMs);
    if (!reached) await this.#clock.advance(endMs - this.#clock.now());
    return reached && this.#violation === undefined;
  }

  /** A leader raises its epoch when it finds that the lease was set back. */
  #noteEpochs(): void {
    for (const { epoch, life } of this.#processes) {
      if (epoch !== undefined && life && !this.#lives.has(epoch)) this.#lives.set(epoch, life);
    }
  }

  #noteMoves(): void {
    const { statusLog, leaseLog } = this.#remote;
    for (; this.#moves.status < statusLog.length; this.#moves.status++) {
      const { by, message } = statusLog[this.#moves.status] ?? {};
      this.#note(`status: ${by}: ${message?.split("\n")[0]}`);
    }
    for (; this.#moves.lease < leaseLog.length; this.#moves.lease++) {
      const { by, message = "" } = leaseLog[this.#moves.lease] ?? {};
      if (!message.includes("renewed")) this.#note(`lease: ${by}: ${message.split("\n")[0]}`);
    }
  }

  #process(index: number, plan: Scenario["controllers"][number], random: Random): SimProcess {
    return new SimProcess(index, plan, {
      clock: this.#clock,
      world: this.#world,
      remote: this.#remote,
      random,
      sabotage: this.sabotage,
      newId: () => `id-${++this.#ids}`,
      log: (process, level, msg, fields) => this.#log(process, level, msg, fields),
      forbidden: (process, what) => {
        this.#fail("one-writer", `c${process.index} does ${what} although its lease has run out`);
      },
      note: (text) => {
        this.#oracle.deed();
        this.#note(text);
      },
      claimed: (process, epoch, life, waited) => {
        this.#oracle.deed();
        this.#oracle.claimed(process.index, epoch, waited);
        this.#lives.set(epoch, life);
      },
      broke: (process, error) => {
        this.#fail("no-pass-fails", `c${process.index}: ${error.stack ?? error.message}`);
      },
    });
  }

  #witness(node: string, event: MachineEvent): void {
    if (event.kind === "asked") this.#mutations++;
    const about = "run" in event ? ` ${runKey(event.run.id)}` : ` ${event.epoch}`;
    const stop = event.kind === "stopping" ? ` (${event.run.stop?.reason})` : "";
    this.#note(`${node}: ${event.kind}${about}${stop}`);
    this.#oracle.witness(node, event);
  }

  #log(
    process: SimProcess,
    level: string,
    msg: string,
    fields?: Readonly<Record<string, unknown>>,
  ) {
    if (level === "debug") return;
    const text = JSON.stringify(fields ?? {});
    this.#note(`c${process.index} ${level}: ${msg} ${text}`);
    if (text.includes(CANARY)) this.#fail("no-secret", `a log line holds a secret: ${msg}`);
    // A mirror that was just lost ends a pass; the next one has it again.
    if (msg !== "pass failed" || text.includes("GitError: not a git repository")) return;
    this.#fail("no-pass-fails", text.replaceAll("\\n", "\n"));
  }

  #note(text: string): void {
    this.#trace.add(this.#clock.now() - this.#startMs, text);
  }

  #fail(invariant: Violation["invariant"], message: string): void {
    if (this.#violation) return;
    const atMs = this.#clock.now() - this.#startMs;
    this.#violation = { invariant, message, atMs, step: this.#steps };
    this.#note(`VIOLATION of ${invariant}: ${message}`);
  }

  #stats(): Stats {
    const done = this.#processes.map((process) => process.total());
    return {
      virtualMs: this.#clock.now() - this.#startMs,
      steps: this.#steps,
      passes: done.reduce((sum, { passes }) => sum + passes, 0),
      commits: this.#context.ledger.commits,
      launches: this.#truth.launches,
      mutations: this.#mutations,
      faults: Object.fromEntries(this.#driver.happened),
      digest: this.#trace.digest,
    };
  }
}
