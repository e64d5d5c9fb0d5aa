/**
 * Gangs: the ranks of one attempt train only while all of them live. Progress is computed from
 * times, so that a long training costs a handful of events.
 *
 * @module
 */
import type { RunError } from "../../jobs/run.ts";
import type { Behaviour } from "./behaviour.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { VirtualClock } from "./clock.ts";
import type { SimRun } from "./run.ts";

/** What a gang asks of the machines that its ranks are on. */
export interface GangHost {
  /** Where ranks on this machine save. */
  storeFor(behaviour: Behaviour): CheckpointStore;
  agentEnded(run: SimRun, code: number, error: RunError | null): void;
}

/** One rank of a gang where it runs. */
interface Member {
  readonly machine: GangHost;
  readonly run: SimRun;
}

/** All ranks of one attempt of one job. */
export class SimGang {
  readonly #members = new Map<number, Member>();
  readonly #baseMs: number;
  #trainedMs = 0;
  #sinceMs: number | undefined;
  #savedStep: number;
  #broken = false;
  #cancel: (() => void) | undefined;

  constructor(
    private readonly clock: VirtualClock,
    private readonly size: number,
    private readonly behaviour: Behaviour,
    resumeStep: number | null,
  ) {
    this.#baseMs = (resumeStep ?? 0) * 1000;
    this.#savedStep = resumeStep ?? 0;
  }

  /** Training done so far, resumed steps included. */
  get progressMs(): number {
    const running = this.#sinceMs === undefined ? 0 : this.clock.now() - this.#sinceMs;
    return this.#baseMs + this.#trainedMs + running;
  }

  /** An agent has started; the last one starts the training. */
  join(machine: GangHost, run: SimRun): void {
    this.#members.set(run.id.rank, { machine, run });
    if (this.#broken) return this.#failLater(run.id.rank);
    if (this.#members.size < this.size) return;
    this.#sinceMs = this.clock.now();
    this.#plan();
  }

  /** An agent has ended or died; the others notice after a while, or never. */
  leave(rank: number): void {
    if (!this.#members.has(rank)) return;
    this.save();
    this.#pause();
    this.#members.delete(rank);
    this.#broken = true;
    for (const other of this.#members.keys()) this.#failLater(other);
  }

  /** True when no rank of it is there. */
  get empty(): boolean {
    return this.#members.size === 0;
  }

  /** True while every rank is there: only then can all save together. */
  get whole(): boolean {
    return !this.#broken && this.#members.size === this.size;
  }

  /** Writes the checkpoints that training has come to by now. */
  save(): void {
    const every = this.behaviour.checkpointEveryMs;
    if (every <= 0 || this.#sinceMs === undefined) return;
    const due = Math.floor(this.progressMs / every) * every;
    // Only the newest ones are ever listed.
    const first = Math.max(this.#savedStep * 1000 + every, due - 20 * every);
    for (let ms = first - (first % every); ms <= due; ms += every) {
      if (ms / 1000 > this.#savedStep) this.saveStep(Math.floor(ms / 1000));
    }
  }

  /** Writes one step on every machine of the gang. */
  saveStep(step: number, complete = true): void {
    if (complete) this.#savedStep = Math.max(this.#savedStep, step);
    for (const { machine, run } of this.#members.values()) {
      machine.storeFor(this.behaviour).save(
        run.spec.checkpointDir,
        step,
        this.clock.now(),
        complete,
      );
    }
  }

  /** What training is about to save when the machine dies under it. */
  tear(): void {
    if (this.#sinceMs === undefined || this.behaviour.checkpointEveryMs <= 0) return;
    this.save();
    this.saveStep(this.#savedStep + Math.ceil(this.behaviour.checkpointEveryMs / 1000), false);
  }

  #pause(): void {
    if (this.#sinceMs !== undefined) this.#trainedMs += this.clock.now() - this.#sinceMs;
    this.#sinceMs = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Foresees how this attempt ends if nothing comes between. */
  #plan(): void {
    const { durationMs, failAfterMs, failAttempts, failRank, failMessage } = this.behaviour;
    const first = this.#members.get(0);
    const leftMs = Math.max(durationMs - this.progressMs, 0);
    const fails = failAfterMs !== undefined && failAfterMs < leftMs &&
      (first?.run.id.attempt ?? 1) <= failAttempts;
    const now = this.clock.now();
    this.#cancel = fails
      ? this.clock.at(now + failAfterMs, () => this.#fail(failRank, failMessage))
      : this.clock.at(now + leftMs, () => this.#succeed());
  }

  #succeed(): void {
    this.save();
    this.#pause();
    const members = [...this.#members.values()];
    this.#members.clear();
    const { failAtEndRank, failAttempts } = this.behaviour;
    for (const { machine, run } of members) {
      const { rank, attempt } = run.id;
      machine.agentEnded(run, rank === failAtEndRank && attempt <= failAttempts ? 1 : 0, null);
    }
  }

  #fail(rank: number, message: string): void {
    const member = this.#members.get(rank) ?? [...this.#members.values()][0];
    if (!member) return;
    const timestampMs = this.clock.now();
    this.leave(member.run.id.rank);
    const error = { rank, message, timestampMs, source: "error-file" as const };
    member.machine.agentEnded(member.run, 1, error);
  }

  #failLater(rank: number): void {
    if (this.behaviour.onPeerDeath === "hang") return;
    this.clock.at(this.clock.now() + this.behaviour.peerDelayMs, () => {
      const member = this.#members.get(rank);
      if (!member) return;
      this.#members.delete(rank);
      const message = "Connection closed by remote peer";
      const timestampMs = this.clock.now();
      member.machine.agentEnded(member.run, 1, { rank, message, timestampMs, source: "log" });
    });
  }
}
