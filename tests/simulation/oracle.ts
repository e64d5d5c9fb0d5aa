/**
 * The oracle: checks every invariant against the truth, at each event and after each instant.
 *
 * @module
 */
import type { MachineEvent } from "../../providers/sim/events.ts";
import { type Context, leaderOf } from "./context.ts";
import { Duties } from "./duties.ts";
import { checkRun } from "./run_rules.ts";
import { checkCommit, newMemory } from "./status_rules.ts";

/** Watches a run. */
export class Oracle {
  /** Things that people, faults and processes did. */
  #deeds = 0;
  /** When anything last happened. */
  #lastMs = 0;
  readonly #duties = new Duties();
  readonly #memory = newMemory();
  readonly #epochs = new Map<string, number>();
  #claimedAtMs = -Infinity;

  constructor(private readonly context: Context) {}

  /** Somebody has done something, or a process came or went. */
  deed(): void {
    this.#deeds++;
    this.#lastMs = this.context.clock.now();
  }

  /** Something has happened on a machine. */
  witness(node: string, event: MachineEvent): void {
    const { context } = this;
    this.#readStatus();
    if (event.kind !== "asked") this.#lastMs = context.clock.now();
    const placed = context.truth.note(node, event, context.clock.now());
    if (event.kind === "epoch") this.#epochs.set(node, event.epoch);
    if (event.kind === "asked" && !event.refused) this.#checkEpoch(node, event.epoch);
    checkRun(context, node, event, placed);
  }

  /** An instant is over. */
  step(): void {
    this.#readStatus();
    this.#duties.look(this.context);
  }

  /** A controller has just claimed the lease; after `waited` nobody else may act any more. */
  claimed(by: number, epoch: number, waited: boolean): void {
    const { processes, clock, tampered, lives } = this.context;
    if (tampered.leaseAtMs <= this.#claimedAtMs) {
      const highest = Math.max(0, ...lives.keys());
      const text = `c${by} claimed epoch ${epoch} after epoch ${highest}`;
      if (epoch <= highest) this.context.fail("epochs-grow", text);
    }
    this.#claimedAtMs = clock.now();
    if (!waited || clock.now() - tampered.leaseAtMs < 120_000) return;
    const other = processes.find((p) => p.index !== by && p.acting);
    if (other) {
      this.context.fail("one-writer", `c${by} took the lease while c${other.index} may act`);
    }
  }

  #readStatus(): void {
    const { ledger, truth, clock } = this.context;
    if (!ledger.behind) return;
    for (const move of ledger.catchUp(clock.now())) {
      const events = truth.events + this.#deeds;
      checkCommit(this.context, this.#memory, move, events, clock.now() - this.#lastMs);
    }
  }

  #checkEpoch(node: string, epoch: number): void {
    const highest = this.#epochs.get(node) ?? 0;
    if (epoch >= highest) return;
    const text = `${node} took an order of epoch ${epoch} after it had seen ${highest}`;
    this.context.fail("one-writer", text);
  }

  /** For messages: who leads now. */
  get leader(): string {
    return `c${leaderOf(this.context)?.index ?? "-"}`;
  }
}
