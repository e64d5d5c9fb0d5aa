/**
 * What users have used so far in virtual time: the same figures as the controller takes from its
 * history, kept up to date instead of summed anew.
 *
 * @module
 */
import type { Usage } from "../../reconciler/scheduling/types.ts";

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;

interface Account {
  /** GPUs held now. */
  gpus: number;
  /** GPU-hours with older ones counting less, at the time of the meter. */
  decayed: number;
  /** Times for which GPUs were held, until they are older than a week. */
  readonly recent: Stretch[];
}

interface Stretch {
  readonly startMs: number;
  /** Infinity while it lasts. */
  endMs: number;
  readonly gpus: number;
}

/** Use by user. */
export class UsageMeter {
  readonly #accounts = new Map<string, Account>();
  #nowMs = 0;

  /** `byWeek`: whether anybody's GPU-hours a week are limited, so that they must be known. */
  constructor(private readonly halfLifeMs: number, private readonly byWeek: boolean) {}

  /** A user has GPUs from `nowMs` on, which must not be earlier than any time given before. */
  start(user: string, gpus: number, nowMs: number): void {
    this.#advance(nowMs);
    let account = this.#accounts.get(user);
    if (!account) this.#accounts.set(user, account = { gpus: 0, decayed: 0, recent: [] });
    account.gpus += gpus;
    if (this.byWeek) account.recent.push({ startMs: nowMs, endMs: Infinity, gpus });
  }

  /** What `start` gave is given back. */
  stop(user: string, gpus: number, startMs: number, nowMs: number): void {
    this.#advance(nowMs);
    const account = this.#accounts.get(user);
    if (!account) throw new Error(`Cannot stop the use of ${user}: it never started`);
    account.gpus -= gpus;
    const stretch = account.recent.find((s) =>
      s.endMs === Infinity && s.gpus === gpus && s.startMs === startMs
    );
    if (stretch) stretch.endMs = nowMs;
  }

  /** All use up to now. */
  read(nowMs: number): Usage {
    this.#advance(nowMs);
    const decayed = new Map<string, number>();
    const week = new Map<string, number>();
    for (const [user, account] of this.#accounts) {
      decayed.set(user, account.decayed);
      if (this.byWeek) week.set(user, lastWeek(account.recent, nowMs));
    }
    return { decayed, week };
  }

  /**
   * Decay is the same for everybody: what was there shrinks by 2^(-t/H), and g GPUs held for t add
   * the integral of that, g × H / ln 2 × (1 - 2^(-t/H)).
   */
  #advance(nowMs: number): void {
    if (nowMs <= this.#nowMs) return;
    const kept = 2 ** (-(nowMs - this.#nowMs) / this.halfLifeMs);
    const hours = this.halfLifeMs / Math.LN2 * (1 - kept) / HOUR_MS;
    for (const account of this.#accounts.values()) {
      account.decayed = account.decayed * kept + account.gpus * hours;
    }
    this.#nowMs = nowMs;
  }
}

/** GPU-hours of the last seven days; forgets what is older. */
function lastWeek(recent: Stretch[], nowMs: number): number {
  const from = nowMs - WEEK_MS;
  let hours = 0;
  let kept = 0;
  for (const stretch of recent) {
    if (stretch.endMs <= from) continue;
    recent[kept++] = stretch;
    const { startMs, endMs, gpus } = stretch;
    hours += (Math.min(endMs, nowMs) - Math.max(startMs, from)) / HOUR_MS * gpus;
  }
  recent.length = kept;
  return hours;
}
