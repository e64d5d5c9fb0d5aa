/**
 * What a run of chaos does and when, as data that a seed determines: the jobs that people push and
 * what they do with them later, and the faults.
 *
 * @example
 * schedule(7, 1, ["h1", "h2", "h3"]).events[0]; // { atMs: 1200, kind: "submit", job: { … } }
 *
 * @module
 */
import { arrivals, type ChaosJob, type PeopleEvent } from "./arrivals.ts";
import { Random } from "./random.ts";

/** Processes that a fault may hit; `session`: sshd's process for the controller. */
export type Target = "runner" | "session" | "supervisor" | "agent" | "rank";

/** One fault. Those with `forMs` are mended after that time. `pick` chooses among what is there. */
export type Fault =
  & { readonly atMs: number }
  & (
    | { readonly kind: "crash" | "fill-disk" | "fail-gpus"; readonly host: string; forMs: number }
    | { readonly kind: "cut" | "cut-to-host" | "cut-from-host"; host: string; forMs: number }
    | { readonly kind: "kill"; readonly target: Target; readonly pick: number }
    | { readonly kind: "pause-rank"; readonly pick: number; readonly forMs: number }
    | { readonly kind: "kill-service" | "pause-service"; readonly pick: number; forMs: number }
    | { readonly kind: "hide-repository"; readonly forMs: number }
  );

/** Everything that happens, in order of time. */
export type ChaosEvent = PeopleEvent | Fault;

/** A whole run. */
export interface Schedule {
  readonly seed: number;
  /** No fault begins after it, and none lasts longer. */
  readonly faultsEndMs: number;
  readonly jobs: readonly ChaosJob[];
  readonly events: readonly ChaosEvent[];
}

/** One card a kind of fault; dealt until none is left, then shuffled anew: none is ever rare. */
const DECK = [
  ...["crash", "cut", "cut-to-host", "cut-from-host", "fill-disk", "fail-gpus"],
  ...["runner", "session", "supervisor", "agent", "rank", "rank"],
  ...["pause-rank", "hide-repository", "kill-service", "pause-service"],
] as const;
type Card = typeof DECK[number];

/** How long a fault lasts, at least and at most. Cuts are now and then longer than nodes may be. */
const LASTS_MS: Readonly<Partial<Record<Card, readonly [number, number]>>> = {
  "crash": [1_000, 14_000],
  "cut": [1_000, 16_000],
  "cut-to-host": [1_000, 14_000],
  "cut-from-host": [1_000, 14_000],
  "fill-disk": [2_000, 10_000],
  "fail-gpus": [2_000, 8_000],
  "pause-rank": [1_000, 8_000],
  "hide-repository": [1_000, 8_000],
  "kill-service": [100, 4_000],
  // Now and then longer than a standby waits for a leader that says nothing (9 s).
  "pause-service": [1_000, 16_000],
};

/** Time between two outages of one host, or two faults of one thing, at least. */
const PAUSE_MS = 2_000;

/** Plans a run of `minutes` minutes of faults on `hosts`. */
export function schedule(
  seed: number,
  minutes: number,
  hosts: readonly [string, ...string[]],
): Schedule {
  const random = new Random(seed);
  const faultsEndMs = Math.round(minutes * 60_000);
  const { jobs, events } = arrivals(random, faultsEndMs);
  const faults = deal(random, faultsEndMs, hosts);
  return {
    seed,
    faultsEndMs,
    jobs,
    events: [...events, ...faults].toSorted((a, b) => a.atMs - b.atMs),
  };
}

function deal(random: Random, endMs: number, hosts: readonly [string, ...string[]]): Fault[] {
  const faults: Fault[] = [];
  const busyUntil = new Map<string, number>();
  let deck: Card[] = [];
  for (let atMs = 4_000; atMs < endMs; atMs += random.between(800, 3_200)) {
    if (deck.length === 0) deck = random.shuffled(DECK);
    const card = deck.pop() as Card;
    const host = random.pick(hosts);
    const [low, high] = LASTS_MS[card] ?? [0, 0];
    const forMs = Math.min(random.between(low, high), endMs - atMs);
    const pick = random.next();
    const thing = thingOf(card, host);
    // What is out of order already cannot fail; its card goes to the bottom.
    if (thing !== undefined && (busyUntil.get(thing) ?? 0) > atMs) {
      deck.unshift(card);
      continue;
    }
    if (thing !== undefined) busyUntil.set(thing, atMs + forMs + PAUSE_MS);
    faults.push(faultOf(card, atMs, host, forMs, pick));
  }
  return faults;
}

/** What a fault takes out of order, if anything. */
function thingOf(card: Card, host: string): string | undefined {
  switch (card) {
    case "crash":
    case "cut":
    case "cut-to-host":
    case "cut-from-host":
      return `host ${host}`;
    case "fill-disk":
    case "fail-gpus":
      return `${card} ${host}`;
    case "kill-service":
    case "pause-service":
      return "service";
    case "hide-repository":
      return "repository";
    default:
      return undefined;
  }
}

function faultOf(card: Card, atMs: number, host: string, forMs: number, pick: number): Fault {
  switch (card) {
    case "runner":
    case "session":
    case "supervisor":
    case "agent":
    case "rank":
      return { atMs, kind: "kill", target: card, pick };
    case "pause-rank":
    case "kill-service":
    case "pause-service":
      return { atMs, kind: card, pick, forMs };
    case "hide-repository":
      return { atMs, kind: card, forMs };
    default:
      return { atMs, kind: card, host, forMs };
  }
}
