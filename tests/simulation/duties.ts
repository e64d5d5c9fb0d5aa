/**
 * Duties: what a leader has to bring about within a bound while it can. Looked at from time to
 * time; the clock of a duty runs only while the leader, the machine and the branch are all there.
 *
 * @module
 */
import { runKey } from "../../providers/sim/run.ts";
import { answers, type Context, leaderOf } from "./context.ts";
import { docIn, type Wanted } from "./people.ts";
import type { SimProcess } from "./process.ts";
import type { Placed } from "./truth.ts";

/** Time between two looks. */
const LOOK_MS = 20_000;

/** Most passes between two looks: ten a second. */
const MOST_PASSES = 200;

/** What a leader may take beyond two polls and the grace period. */
const SLACK_MS = 120_000;

/** Watches over the duties. */
export class Duties {
  #nextMs = 0;
  #owed = new Map<Placed, number>();
  readonly #passes = new Map<SimProcess, number>();

  /** Looks, if it is time. */
  look(context: Context): void {
    const now = context.clock.now();
    if (now < this.#nextMs) return;
    this.#nextMs = now + LOOK_MS;
    this.#checkPace(context);
    const leader = leaderOf(context);
    const head = context.people.head;
    if (!leader?.life || leader.remoteAway > 0 || !head || head.clusterBroken) {
      this.#owed.clear();
      return;
    }
    const guarded = guardsHold(context, head);
    const owed = new Map<Placed, number>();
    for (const [job, runs] of context.truth.live) {
      const doc = docIn(head, job);
      const unwanted = !guarded && doc !== "broken" && (doc?.state ?? "running") !== "running" ||
        !guarded && doc === undefined;
      const newest = Math.max(...[...runs].map((placed) => placed.run.id.attempt));
      for (const placed of runs) {
        const { run, node } = placed;
        const older = run.id.attempt < newest;
        if (!(older || unwanted) || !answers(context, node) || !head.nodes.has(node)) continue;
        const sinceMs = this.#owed.get(placed) ?? now;
        owed.set(placed, sinceMs);
        this.#check(context, placed, now - sinceMs, older);
      }
    }
    this.#owed = owed;
  }

  /** A controller that has nothing to do does not ask its nodes all the time. */
  #checkPace(context: Context): void {
    for (const process of context.processes) {
      const { passes } = process.total();
      const since = passes - (this.#passes.get(process) ?? 0);
      this.#passes.set(process, passes);
      if (since <= MOST_PASSES) continue;
      const text = `c${process.index} has made ${since} passes in ${LOOK_MS / 1000} s`;
      context.fail("no-busy-loop", text);
    }
  }

  #check(context: Context, { run, node }: Placed, owedMs: number, older: boolean): void {
    const { pollS, maxStopsPerPass } = context.scenario.policy;
    const turns = Math.ceil(context.scenario.jobs.length / maxStopsPerPass);
    const boundMs = 2 * pollS * 1000 * turns + run.spec.graceMs + SLACK_MS + longestSkewMs(context);
    if (owedMs <= boundMs) return;
    const text = `${runKey(run.id)} has lived on ${node} for ${owedMs / 1000} s `;
    if (older) context.fail("one-live-attempt", `${text}beside a newer attempt`);
    else context.fail("leaves-nothing", `${text}after nobody wanted it`);
  }
}

/** A clock that is set back stands still for as long. */
function longestSkewMs({ scenario }: Context): number {
  return Math.max(
    0,
    ...scenario.faults.map((f) => f.kind === "controller-skew" ? 2 * Math.abs(f.skewMs) : 0),
  );
}

/** Guards hold deletions back: the branch is empty, or too much vanished at once. */
function guardsHold({ truth, ledger, scenario }: Context, head: Wanted): boolean {
  if (head.jobs.size === 0) return true;
  const vanished = new Set<string>();
  for (const [job, runs] of truth.live) if (runs.size > 0 && !docIn(head, job)) vanished.add(job);
  for (const [job, told] of ledger.jobs) {
    const last = told.attempts.at(-1);
    if (last && last.end === undefined && !docIn(head, job)) vanished.add(job);
  }
  return vanished.size > scenario.policy.maxStopsPerPass;
}
