/**
 * A lease branch in memory, and the ways to it of several controllers, with their faults.
 *
 * @module
 */
import type { VirtualClock } from "../../providers/sim/clock.ts";
import { Leadership } from "../leadership.ts";
import type { Lease, LeaseAt, Outcome } from "../ports.ts";

/** What goes wrong with the next write. */
export type WriteFault = "request-lost" | "reply-lost";

/** The branch. */
export class LeaseBranch {
  at: LeaseAt | undefined;
  writes = 0;

  /** Puts a lease there, whatever is there. */
  set(lease: Lease | undefined): void {
    this.at = lease && { lease, version: String(++this.writes) };
  }
}

/** One controller's way to the branch. */
export class LeaseDoor {
  unreachable = false;
  /** How long a call takes, half of it on the way there. */
  latencyMs = 0;
  readonly faults: WriteFault[] = [];
  /** While set, the process stands still (SIGSTOP). */
  paused: Promise<void> | undefined;

  constructor(private readonly branch: LeaseBranch, private readonly clock: VirtualClock) {}

  async readLease(): Promise<Outcome<LeaseAt | undefined>> {
    await this.#way();
    const answer: Outcome<LeaseAt | undefined> = this.unreachable
      ? { kind: "unknown", reason: "no answer" }
      : { kind: "ok", value: this.branch.at };
    await this.#way();
    return answer;
  }

  async writeLease(base: string | undefined, lease: Lease): Promise<Outcome<string>> {
    await this.#way();
    const fault = this.faults.shift();
    const answer = this.unreachable || fault === "request-lost"
      ? { kind: "unknown" as const, reason: "no answer" }
      : this.#swap(base, lease);
    await this.#way();
    return fault === "reply-lost" ? { kind: "unknown", reason: "no answer" } : answer;
  }

  #swap(base: string | undefined, lease: Lease): Outcome<string> {
    if (this.branch.at?.version !== base) return { kind: "retryable", reason: "it has moved" };
    this.branch.set(lease);
    return { kind: "ok", value: this.branch.at?.version ?? "" };
  }

  async #way(): Promise<void> {
    if (this.latencyMs > 0) await this.clock.sleep(this.latencyMs / 2);
    while (this.paused) await this.paused;
  }
}

/** A leadership over a door. Its clock stands still while the door is paused. */
export function leadershipOver(door: LeaseDoor, clock: VirtualClock, name: string): Leadership {
  let ids = 0;
  return new Leadership({
    repository: door,
    clock: {
      now: () => clock.now(),
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal);
        while (door.paused) await door.paused;
      },
    },
    log: () => {},
    owner: name,
    newId: () => `${name}-${++ids}`,
    random: () => 0.5,
  });
}
