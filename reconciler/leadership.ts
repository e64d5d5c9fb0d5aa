/**
 * A controller's right to write: claims the lease, waits for it, keeps it, gives it up, and says at
 * every moment whether this controller may act.
 *
 * @example
 * const leadership = new Leadership({ repository, clock, log, owner, newId, random });
 * const claim = await leadership.standBy(signal);
 * const keeping = leadership.keep(signal);
 * if (leadership.mayAct()) await fleet.stop(…);
 *
 * @module
 */
import { fastest, type Reading, slowest } from "./elapsed.ts";
import type { Log } from "./execute.ts";
import {
  ALONE_HELD_MS,
  ALONE_LOOK_MS,
  claimOver,
  compare,
  FORGET_MS,
  HELD_MS,
  LOOK_MS,
  mayTake,
  raisedEpoch,
  RENEW_MS,
  renewed,
  SEEN_MS,
  signOfLife,
} from "./lease.ts";
import type { Claim, Clock, Lease, LeaseAt, Outcome, StateRepository } from "./ports.ts";

/** What a leadership needs. */
export interface LeadershipOptions {
  readonly repository: Pick<StateRepository, "readLease" | "writeLease">;
  readonly clock: Clock;
  /** A second clock that nobody can set. */
  readonly steady?: Reading;
  readonly log: Log;
  /** What the status branch says of the claim that wrote it last. */
  readonly lastWriter?: () => Promise<Outcome<Claim | undefined>>;
  /** Whose it is, for people: `HOST:PID`. */
  readonly owner: string;
  /** Gives a name that nothing else has. */
  readonly newId: () => string;
  /** From 0 to 1; spreads those who claim at once. */
  readonly random: () => number;
}

/** What a controller must know of its right to write. */
export interface Right {
  readonly claim: Claim;
  /** Set once another controller has taken over: says which. */
  readonly deposed: string | undefined;
  /** False: nothing may be changed anywhere now. */
  mayAct(): boolean;
  /** Nodes have seen this epoch although the lease is ours: goes on with a higher one. */
  outgrow(epoch: number): void;
  /** Now, on the clock of `note`. */
  now(): number;
  /** Takes what a fetch that began at `askedAtMs` showed of the lease. */
  note(shown: LeaseAt | undefined, askedAtMs: number): void;
}

const CLAIM_TRIES = 10;
/** Pause before a watched lease, or another one, is tried again after a failure. */
const AGAIN_MS = { watched: 500, alone: RENEW_MS };

/** One controller's part in the lease. */
export class Leadership implements Right {
  readonly #options: LeadershipOptions;
  readonly #name: string;
  /** Time as it passed at most, for holding the lease; at least, for waiting for it. */
  readonly #atMost: Reading;
  readonly #atLeast: Reading;
  /** What we wrote last, or tried to. */
  #mine: Lease | undefined;
  #version: string | undefined;
  /** When our last write was known to be done; looks that began before may show less. */
  #wroteAtMs = -Infinity;
  #standby: Lease["standby"];
  /** What was last heard of a standby, and since when it says just that. */
  #heard = { what: "", sinceMs: 0 };
  /** True once a lease that says `watched` may have been written by us. */
  #strict = false;
  #undone = false;
  #raiseTo = 0;
  /** When the last renewal that succeeded began, and the last look. */
  #renewedAtMs = -Infinity;
  #askedAtMs = -Infinity;
  #said = "";
  /** How often we have said that we stand by; no word is like an earlier one. */
  #seen = 0;
  #heldUntilMs = -Infinity;
  #expired = false;
  #deposed: string | undefined;
  #wake = new AbortController();
  #changed: () => void = () => {};

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#name = options.newId();
    const clocks = [() => options.clock.now(), ...options.steady ? [options.steady] : []];
    this.#atMost = fastest(clocks);
    this.#atLeast = slowest(clocks);
  }

  /** @inheritDoc */
  now(): number {
    return this.#atMost();
  }

  /** @inheritDoc Throws before a claim. */
  get claim(): Claim {
    if (!this.#mine) throw new Error("Cannot lead: no lease has been claimed");
    const { epoch, repository } = this.#mine;
    return { epoch, repository };
  }

  /** @inheritDoc */
  get deposed(): string | undefined {
    return this.#deposed;
  }

  /** @inheritDoc */
  mayAct(): boolean {
    const held = this.#deposed === undefined && this.now() < this.#heldUntilMs;
    if (!held && !this.#expired && this.#deposed === undefined) {
      this.#expired = true;
      this.#options.log("warn", "the lease has run out; nothing is changed until it is renewed");
    }
    return held;
  }

  /** Calls back when the right is lost for good, or is there again after it had run out. */
  onChange(callback: () => void): void {
    this.#changed = callback;
  }

  /** Claims the lease now, whoever holds it. */
  async take(): Promise<Outcome<Claim>> {
    let why = "";
    for (let attempt = 0; attempt < CLAIM_TRIES; attempt++) {
      if (attempt > 0) await this.#pause(Math.min(2000, 50 * 2 ** attempt));
      const shown = await this.#options.repository.readLease();
      if (shown.kind === "terminal") return shown;
      if (shown.kind !== "ok") {
        why = shown.reason;
        continue;
      }
      const taken = await this.#takeOver(shown.value, shown.value?.lease);
      if (taken.kind !== "retryable") return taken;
      why = taken.reason;
    }
    return { kind: "retryable", reason: `no lease in ${CLAIM_TRIES} tries: ${why}` };
  }

  /** Waits until the lease may be taken, then takes it; undefined when told to stop before. */
  async standBy(signal: AbortSignal): Promise<Claim | undefined> {
    const { clock, log } = this.#options;
    let last: { sign: string; sinceMs: number; lease: Lease | undefined } | undefined;
    let saidAtMs = -Infinity;
    while (!signal.aborted) {
      const shown = await this.#options.repository.readLease();
      const nowMs = this.#atLeast();
      if (shown.kind !== "ok") {
        // What cannot be seen may have changed: patience starts anew.
        this.#complain(shown.reason);
        last = last && { ...last, sinceMs: nowMs };
      } else {
        const sign = signOfLife(shown.value);
        const lease = shown.value?.lease ?? last?.lease;
        if (sign !== last?.sign) last = { sign, sinceMs: nowMs, lease };
        if (mayTake(shown.value?.lease, nowMs - last.sinceMs)) {
          const taken = await this.#takeOver(shown.value, lease);
          if (taken.kind === "ok") return taken.value;
          log("info", "did not get the lease", { reason: taken.reason });
        } else if (shown.value && this.#mustSpeak(shown.value.lease, nowMs - saidAtMs)) {
          saidAtMs = await this.#standIn(shown.value) ? this.#atLeast() : -Infinity;
          // Its holder can know of us only from now on.
          if (!shown.value.lease.standby) last = { ...last, sinceMs: this.#atLeast() };
        }
      }
      await clock.sleep(LOOK_MS, signal);
    }
    await this.#standDown();
    return undefined;
  }

  /** Keeps what was claimed until told to stop or deposed. */
  async keep(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const stop = () => this.#wake.abort();
    signal.addEventListener("abort", stop, { once: true });
    while (!signal.aborted && this.#deposed === undefined) {
      this.#wake = new AbortController();
      const waitMs = this.#nextAtMs() - this.now();
      if (waitMs > 0) {
        await clock.sleep(waitMs, this.#wake.signal);
        continue;
      }
      const done = this.#mustRenew() ? await this.#renew() : await this.#look();
      if (done) this.#said = "";
      else await clock.sleep(this.#strict ? AGAIN_MS.watched : AGAIN_MS.alone, signal);
    }
    signal.removeEventListener("abort", stop);
  }

  /** @inheritDoc */
  outgrow(epoch: number): void {
    const raised = raisedEpoch(this.claim.epoch, epoch);
    if (raised === this.claim.epoch) return;
    this.#raiseTo = raised;
    this.#undone = true;
    this.#wake.abort();
  }

  #mustRenew(): boolean {
    return this.#undone || this.#strict || this.#standby !== undefined;
  }

  /** When the lease is to be renewed, or looked at, next. */
  #nextAtMs(): number {
    if (this.#undone || (this.#standby !== undefined && !this.#strict)) return -Infinity;
    return this.#strict ? this.#renewedAtMs + RENEW_MS : this.#askedAtMs + ALONE_LOOK_MS;
  }

  /** Gives the lease up, so that a standby need not wait. One try: it runs out by itself, too. */
  async release(): Promise<void> {
    if (!this.#mine || this.#deposed !== undefined) return;
    this.#heldUntilMs = -Infinity;
    const lease = { ...this.#mine, beat: this.#mine.beat + 1, released: true };
    await this.#options.repository.writeLease(this.#version, lease);
  }

  /** @inheritDoc */
  note(shown: LeaseAt | undefined, askedAtMs: number): void {
    const mine = this.#mine;
    if (!mine || this.#deposed !== undefined) return;
    const finding = compare(mine, shown?.lease);
    if (finding === "lost") {
      const { epoch = 0, owner = "" } = shown?.lease ?? {};
      this.#deposed = `${owner} has claimed the repository with epoch ${epoch}`;
      this.#wake.abort();
      this.#changed();
      return;
    }
    // A look that began before our last write was done may show what was before it.
    if (askedAtMs < this.#wroteAtMs) return;
    this.#askedAtMs = Math.max(this.#askedAtMs, askedAtMs);
    this.#version = shown?.version;
    if (finding === "undone") {
      this.#undone = true;
      this.#wake.abort();
      return;
    }
    // A write whose answer was lost may have been done after all.
    this.#mine = { ...mine, beat: Math.max(mine.beat, shown?.lease.beat ?? 0) };
    this.#hear(shown?.lease.standby);
    if (this.#strict) return;
    if (this.#standby === undefined) this.#hold(askedAtMs + ALONE_HELD_MS);
    else {
      this.#heldUntilMs = Math.min(this.#heldUntilMs, askedAtMs + HELD_MS);
      this.#wake.abort();
    }
  }

  /** Notes who stands by; one that has been silent for long is forgotten. */
  #hear(standby: Lease["standby"]): void {
    const nowMs = this.#atLeast();
    const what = standby ? `${standby.name} ${standby.seen}` : "";
    if (what !== this.#heard.what) this.#heard = { what, sinceMs: nowMs };
    this.#standby = nowMs - this.#heard.sinceMs < FORGET_MS ? standby : undefined;
  }

  #hold(untilMs: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, untilMs);
    if (this.#expired && this.now() < untilMs) {
      this.#expired = false;
      this.#changed();
    }
  }

  async #look(): Promise<boolean> {
    const askedAtMs = this.now();
    const shown = await this.#options.repository.readLease();
    if (shown.kind !== "ok") {
      this.#complain(shown.reason);
      return false;
    }
    this.note(shown.value, askedAtMs);
    return true;
  }

  /** Writes the lease again, as the one that stands. False: it is not known to be written. */
  async #renew(): Promise<boolean> {
    const written = await this.#renewOnce();
    if (written.kind === "ok") return true;
    const { kind, reason } = written;
    this.#options.log("debug", "cannot renew the lease", { outcome: kind, reason });
    const seen = await this.#look();
    // A standby that said a word came in between: no time is to be lost.
    if (!seen || kind !== "retryable" || this.#deposed !== undefined) return false;
    return (await this.#renewOnce()).kind === "ok";
  }

  async #renewOnce(): Promise<Outcome<string>> {
    this.#hear(this.#standby);
    const mine = this.#mine as Lease;
    const next = renewed({ ...mine, epoch: Math.max(mine.epoch, this.#raiseTo) }, this.#standby);
    const startedMs = this.now();
    if (next.watched) this.#strict = true;
    const written = await this.#options.repository.writeLease(this.#version, next);
    if (written.kind !== "ok") return written;
    this.#wrote(next, written.value);
    this.#strict = next.watched;
    this.#renewedAtMs = this.#askedAtMs = startedMs;
    this.#hold(startedMs + (next.watched ? HELD_MS : ALONE_HELD_MS));
    return written;
  }

  /** Once for each reason: an outage lasts. */
  #complain(reason: string): void {
    if (reason === this.#said) return;
    this.#said = reason;
    this.#options.log("warn", "cannot see the lease", { reason });
  }

  #wrote(lease: Lease, version: string): void {
    this.#mine = lease;
    this.#version = version;
    this.#wroteAtMs = this.now();
    this.#undone = false;
    // Who is not in it any more has to speak again, and is heard then.
    if (!lease.standby) this.#heard = { what: "", sinceMs: this.#atLeast() };
  }

  /** Claims over what the branch shows; `held` is the last lease that was there. */
  async #takeOver(shown: LeaseAt | undefined, held: Lease | undefined): Promise<Outcome<Claim>> {
    const { clock, repository, owner, newId, log } = this.#options;
    const startedMs = this.now();
    const claimedAt = new Date(clock.now()).toISOString();
    const before = await this.#options.lastWriter?.() ?? { kind: "ok", value: undefined };
    if (before.kind !== "ok") return { kind: "retryable", reason: before.reason };
    const by = { claim: this.#name, owner, claimedAt };
    const lease = claimOver(held, before.value, by, newId);
    let written = await repository.writeLease(shown?.version, lease);
    if (written.kind === "unknown") {
      const after = await repository.readLease();
      if (after.kind === "ok" && after.value?.lease.claim === this.#name) {
        written = { kind: "ok", value: after.value.version };
      } else if (after.kind === "ok") written = { kind: "retryable", reason: written.reason };
    }
    if (written.kind !== "ok") return written;
    this.#wrote(lease, written.value);
    this.#hear(lease.standby);
    this.#strict = lease.watched;
    this.#expired = false;
    this.#renewedAtMs = this.#askedAtMs = startedMs;
    this.#heldUntilMs = startedMs + (lease.watched ? HELD_MS : ALONE_HELD_MS);
    log("info", "claimed", { epoch: lease.epoch, from: held?.owner ?? "nobody" });
    return { kind: "ok", value: this.claim };
  }

  /** True when the lease does not say that somebody stands by, or we are due to say it again. */
  #mustSpeak({ standby }: Lease, saidAgoMs: number): boolean {
    return standby === undefined || (standby.name === this.#name && saidAgoMs >= SEEN_MS);
  }

  /** Says in the lease that we stand by. */
  async #standIn(at: LeaseAt): Promise<boolean> {
    const { owner, repository, log } = this.#options;
    const seen = ++this.#seen;
    const standby = { name: this.#name, owner, seen };
    const written = await repository.writeLease(at.version, { ...at.lease, standby });
    if (written.kind === "ok" && !at.lease.standby) {
      log("info", "standing by", { leader: at.lease.owner, epoch: at.lease.epoch });
    }
    return written.kind === "ok";
  }

  /** Takes that back. One try: a standby that is silent is forgotten, too. */
  async #standDown(): Promise<void> {
    const { repository } = this.#options;
    const shown = await repository.readLease();
    if (shown.kind !== "ok" || shown.value?.lease.standby?.name !== this.#name) return;
    const { standby: _, ...lease } = shown.value.lease;
    await repository.writeLease(shown.value.version, lease);
  }

  #pause(ms: number): Promise<void> {
    return this.#options.clock.sleep(this.#options.random() * ms);
  }
}
