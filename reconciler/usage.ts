/**
 * What users have used so far, from the attempts that the status branch remembers.
 *
 * @example
 * const usage = usageOf(history.jobs.values(), now, cluster.scheduling.halfLifeMs);
 * usage.decayed.get("ada"); // 12.5 GPU-hours, older ones counting less
 *
 * @module
 */
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { heldGpus } from "./scheduling/ledger.ts";
import type { Usage } from "./scheduling/types.ts";

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;

/** GPU-hours are summed in billionths, which are whole numbers: no sum depends on its order. */
const NANO = 1e9;

/** GPUs that were in use from one time to another. */
interface Span {
  readonly gpus: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** What a status says of its attempts, read once for each status: a changed one is a new object. */
interface Spans {
  readonly ended: readonly Span[];
  /** Without an end yet; `endMs` is Infinity. */
  readonly live: readonly Span[];
  /** When the first of the ended ones began; Infinity when there is none. */
  readonly firstStartMs: number;
  /** When the last of the ended ones ended; -Infinity when there is none. */
  readonly lastEndMs: number;
  /** GPU time of the ended ones. */
  readonly endedMs: number;
  /** Decayed GPU-hours of the ended ones as they counted at `lastEndMs`. */
  sum: { readonly halfLifeMs: number; readonly hours: number } | undefined;
}

const known = new WeakMap<JobStatus, Spans>();

/**
 * GPU-hours by owner ("" for the jobs that name nobody), from the start of each attempt, or its
 * record where it has none, to its end, or now. An hour that lies a half-life back counts half:
 * what is added up is the exact integral of 2^(-(now - t) / halfLife) over the time in use.
 *
 * Decay multiplies: when time goes on by d, the whole of a sum is multiplied by 2^(-d / halfLife),
 * whatever it is a sum of. So the ended attempts of a status are added up once, as they counted when
 * the last of them ended, and each pass multiplies that one number. Only attempts that go on, and
 * those that ended within the week, are looked at again.
 */
export function usageOf(
  statuses: Iterable<JobStatus>,
  now: number,
  halfLifeMs: number,
): Usage {
  const sums = new Map<string, { decayed: number; week: number }>();
  for (const status of statuses) {
    if (status.attempts.length === 0) continue;
    const spans = spansOf(status);
    const decayed = Math.round(decayedHours(spans, now, halfLifeMs) * NANO);
    const week = Math.round(weekHours(spans, now) * NANO);
    if (decayed === 0 && week === 0) continue;
    const sum = sums.get(status.owner ?? "");
    if (!sum) sums.set(status.owner ?? "", { decayed, week });
    else {
      sum.decayed += decayed;
      sum.week += week;
    }
  }
  const decayed = new Map([...sums].map(([owner, sum]) => [owner, sum.decayed / NANO]));
  const week = new Map([...sums].map(([owner, sum]) => [owner, sum.week / NANO]));
  return { decayed, week };
}

function decayedHours(spans: Spans, now: number, halfLifeMs: number): number {
  const { ended, live, lastEndMs } = spans;
  let hours = 0;
  if (ended.length > 0) {
    if (spans.sum?.halfLifeMs !== halfLifeMs) {
      const sum = ended.reduce((all, span) => all + integral(span, lastEndMs, halfLifeMs), 0);
      spans.sum = { halfLifeMs, hours: sum };
    }
    // A clock that was set back makes nothing count more than once.
    hours = spans.sum.hours * 2 ** (-Math.max(0, now - lastEndMs) / halfLifeMs);
  }
  for (const span of live) hours += integral(span, now, halfLifeMs);
  return hours;
}

/** GPU-hours of a span with their weight at `at`, which is not before its end. */
function integral({ gpus, startMs, endMs }: Span, at: number, halfLifeMs: number): number {
  const end = Math.min(endMs, at);
  if (end <= startMs) return 0;
  const weight = 2 ** (-(at - end) / halfLifeMs) - 2 ** (-(at - startMs) / halfLifeMs);
  return gpus * weight * (halfLifeMs / Math.LN2) / HOUR_MS;
}

function weekHours(spans: Spans, now: number): number {
  const { ended, live, firstStartMs, lastEndMs, endedMs } = spans;
  const from = now - WEEK_MS;
  let ms = 0;
  // All of them, nearly always.
  if (firstStartMs >= from && lastEndMs <= now) ms = endedMs;
  else if (lastEndMs > from) {
    for (const span of ended) ms += span.gpus * overlapMs(span, from, now);
  }
  for (const span of live) ms += span.gpus * overlapMs(span, from, now);
  return ms / HOUR_MS;
}

function overlapMs({ startMs, endMs }: Span, from: number, to: number): number {
  return Math.max(0, Math.min(endMs, to) - Math.max(startMs, from));
}

function spansOf(status: JobStatus): Spans {
  const found = known.get(status);
  if (found) return found;
  // Also false for times that cannot be read: they spoil nobody's sum.
  const all = status.attempts.map(spanOf).filter((span) => span.endMs - span.startMs > 0);
  const ended = all.filter((span) => span.endMs < Infinity);
  const live = all.filter((span) => span.endMs === Infinity);
  const spans: Spans = {
    ended,
    live,
    firstStartMs: ended.reduce((first, span) => Math.min(first, span.startMs), Infinity),
    lastEndMs: ended.reduce((last, span) => Math.max(last, span.endMs), -Infinity),
    endedMs: ended.reduce((sum, { gpus, startMs, endMs }) => sum + gpus * (endMs - startMs), 0),
    sum: undefined,
  };
  known.set(status, spans);
  return spans;
}

function spanOf(attempt: Attempt): Span {
  return {
    gpus: heldGpus(attempt),
    startMs: Date.parse(attempt.startedAt ?? attempt.recordedAt),
    endMs: attempt.endedAt === undefined ? Infinity : Date.parse(attempt.endedAt),
  };
}
