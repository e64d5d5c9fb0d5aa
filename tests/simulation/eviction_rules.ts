/**
 * Rules about who may be stopped for another's sake. What is compared are the records, so that no
 * clock that is wrong counts.
 *
 * @module
 */
import { type Context, wantedBy } from "./context.ts";
import type { StatusMove } from "./ledger.ts";
import { gpusOf } from "./manifest_text.ts";
import { docIn, type Wanted } from "./people.ts";
import type { Life } from "./process.ts";
import type { JobDoc, ScenarioQueue } from "./scenario.ts";
import { heldBy, liveAttempt, type Told, type ToldAttempt, type ToldEviction } from "./told.ts";

/** The defaults of `cluster.yaml`. */
const PROTECT_MS = 600_000;
const EPSILON = 1e-6;

interface Case {
  readonly context: Context;
  readonly step: StatusMove;
  readonly job: string;
  readonly victim: Told;
  readonly attempt: ToldAttempt;
  readonly evicted: ToldEviction;
  readonly wanted: Wanted | undefined;
}

/** Checks an eviction that has just been recorded. */
export function checkEviction(
  context: Context,
  step: StatusMove,
  life: Life,
  job: string,
  victim: Told,
  attempt: ToldAttempt,
): void {
  const { evicted } = attempt;
  if (!evicted) return;
  const wanted = wantedBy(context, life);
  const why = wrongWith({ context, step, job, victim, attempt, evicted, wanted });
  if (!why) return;
  const { reason, by } = evicted;
  const whom = by === undefined ? "" : ` for ${by}`;
  context.fail("evicts-only-who-may-be", `${job}/${attempt.attempt} is ${reason}${whom}: ${why}`);
}

function wrongWith(one: Case): string | undefined {
  const { evicted: { reason, by } } = one;
  if (reason === "Drained") return wrongDrain(one);
  const young = tooYoung(one);
  if (young) return young;
  if (reason === "Resized") return wrongResize(one);
  const claimant = by === undefined ? undefined : one.step.after.get(by);
  if (by === undefined || !claimant) return "nobody is named who needs the room";
  const need = docIn(one.wanted, by);
  if (reason === "Preempted") return shielded(one) ?? wrongPreemption(one, claimant);
  if (reason === "Reclaimed") return shielded(one) ?? wrongReclaim(one, claimant, need);
  return "that is no reason";
}

function wrongDrain({ context, attempt, evicted, wanted }: Case): string | undefined {
  if (!wanted || wanted.clusterBroken) return undefined;
  const drained = attempt.placed.some(({ node, gpus }) => {
    const cordon = wanted.cordoned.get(node);
    if (!cordon?.drain || (cordon.untilMs ?? Infinity) <= evicted.atMs) return false;
    if (cordon.index === undefined) return true;
    const uuid = context.world.machine(node).gpus[cordon.index]?.uuid;
    return gpus.includes(uuid ?? `cpu:${cordon.index}`);
  });
  return drained ? undefined : "nothing that it has is drained";
}

function tooYoung({ context, attempt, evicted }: Case): string | undefined {
  const { protectS } = context.scenario.policy.scheduling ?? {};
  const protectMs = protectS === undefined ? PROTECT_MS : protectS * 1000;
  const sinceMs = attempt.startedAtMs || attempt.recordedAtMs;
  const ageMs = evicted.atMs - sinceMs;
  return ageMs < protectMs ? `it has run for ${ageMs / 1000} s only` : undefined;
}

function wrongResize({ attempt, evicted, wanted, job }: Case): string | undefined {
  const doc = docIn(wanted, job);
  if (!doc || doc === "broken") return undefined;
  const { nodes, maxNodes = nodes } = doc;
  const has = attempt.placed.length;
  if (evicted.by === undefined) return has < maxNodes ? undefined : "it cannot be larger";
  return has > nodes ? undefined : "it cannot be smaller";
}

function shielded({ context, victim }: Case): string | undefined {
  const { policy } = context.scenario;
  const { protectPriority = Infinity } = policy.scheduling ?? {};
  if (victim.priority >= protectPriority) return `its priority is ${victim.priority}`;
  const queue = queueOf(context, victim);
  return queue?.preemptible === false ? `nobody in ${queue.name} may be stopped` : undefined;
}

function wrongPreemption({ context, victim }: Case, claimant: Told): string | undefined {
  if (!context.scenario.policy.scheduling?.preempt) return "preemption is off";
  const [a, b] = [claimant, victim].map((told) => queueOf(context, told)?.priority ?? 0);
  const above = (a ?? 0) - (b ?? 0) || claimant.priority - victim.priority;
  return above > 0 ? undefined : "the other has no higher priority";
}

function wrongReclaim(
  { context, step, victim }: Case,
  claimant: Told,
  need: JobDoc | "broken" | undefined,
): string | undefined {
  if (context.scenario.policy.scheduling?.reclaim === false) return "reclaiming is off";
  if (victim.queue === claimant.queue) return "both are in one queue";
  const has = (queue: string, jobs: StatusMove["after"]) =>
    [...jobs].reduce((sum, [name, told]) => {
      const live = liveAttempt(told);
      if (!live || told.queue !== queue) return sum;
      const before = liveAttempt(step.before.get(name));
      return before?.attempt === live.attempt ? sum + heldBy(live) : sum;
    }, 0);
  const quota = queueOf(context, claimant)?.quota ?? 0;
  const wants = need && need !== "broken" ? gpusOf(need) : 0;
  if (has(claimant.queue, step.after) + wants > quota + EPSILON) {
    return `${claimant.queue} has a quota of ${quota} only`;
  }
  const theirs = queueOf(context, victim)?.quota ?? 0;
  return has(victim.queue, step.after) > theirs + EPSILON
    ? undefined
    : `${victim.queue} has borrowed nothing`;
}

function queueOf({ scenario }: Context, { queue }: Told): ScenarioQueue | undefined {
  return scenario.policy.queues?.find(({ name }) => name === queue);
}
