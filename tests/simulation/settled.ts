/**
 * Where everything has to come to once faults have ceased.
 *
 * @module
 */
import { type Behaviour, DEFAULT_BEHAVIOUR } from "../../providers/sim/behaviour.ts";
import { type Context, leaderOf } from "./context.ts";
import { cardsOf, gpusOf } from "./manifest_text.ts";
import { docIn, namesOf, type Wanted } from "./people.ts";
import { unmet } from "./queue_rules.ts";
import type { JobDoc, Scenario, ScenarioPolicy } from "./scenario.ts";
import type { Told } from "./told.ts";

/** Reasons of a failure after which no retry makes sense. */
const TERMINAL = ["start-failed", "max-duration", "MaxDuration", "deadline", "Deadline"];

/** What is not yet as it must come to be; undefined: everything is. */
export function unsettled(context: Context): string | undefined {
  const { ledger, people, truth } = context;
  const head = people.head;
  if (!head) return "there is no desired branch";
  if (leaderOf(context)?.life?.shown.desired !== context.remote.desired) return "nobody leads";
  for (const [job, doc] of head.jobs) {
    const told = ledger.jobs.get(job);
    if (!told) return `${job} has no status`;
    const why = doc === "broken" ? undefined : openEnd(context, head, job, doc, told);
    if (why) return `${job} is ${told.phase} (${told.reason}), but ${why}`;
    if (truth.liveOf(job).size > 0) return `${job} has live runs`;
  }
  for (const [job, told] of ledger.jobs) {
    if (head.jobs.has(job) || told.reason === "ManifestDeleted") continue;
    const why = docIn(head, job) ? openRun(context, head, job, told) : "it was deleted";
    if (why) return `${job} is ${told.phase} (${told.reason}), but ${why}`;
  }
  for (const [job, runs] of truth.live) {
    if (runs.size > 0 && !head.jobs.has(job)) return `${job} lives`;
  }
  return undefined;
}

/** A run of a schedule: what has ended stays so, whatever is changed in its template. */
function openRun(context: Context, head: Wanted, job: string, told: Told): string | undefined {
  if (["Succeeded", "Failed", "Cancelled"].includes(told.phase)) return undefined;
  const doc = docIn(head, job);
  if (!doc || doc === "broken") return undefined;
  return openEnd(context, head, job, doc, told);
}

function openEnd(
  context: Context,
  head: Wanted,
  job: string,
  doc: JobDoc,
  told: Told,
): string | undefined {
  const state = doc.state ?? "running";
  if (doc.schedule && state === "running") {
    return told.reason === "Scheduled" ? undefined : "it is a template of runs";
  }
  if (told.phase === "Succeeded") {
    if (state !== "running") return undefined;
    if (told.reason === "ManifestDeleted") return "its manifest is back";
    return told.rerun < (doc.rerun ?? 0) ? "another run is asked for" : undefined;
  }
  if (state === "suspended") return told.phase === "Suspended" ? undefined : "is to be suspended";
  if (state === "cancelled") return told.phase === "Cancelled" ? undefined : "is to be cancelled";
  if (told.phase === "Failed") {
    const mayFail = TERMINAL.includes(told.reason) || told.retries > doc.maxRetries;
    return mayFail ? undefined : `it has retries left (${told.retries} of ${doc.maxRetries})`;
  }
  return openWait(context, head, job, doc, told);
}

/** It has not ended: so it must be unable to run, and say why. */
function openWait(
  context: Context,
  head: Wanted,
  job: string,
  doc: JobDoc,
  told: Told,
): string | undefined {
  const { scenario: { faults, policy }, clock, startMs, ledger } = context;
  const resized = doc.maxNodes !== undefined ||
    faults.some((fault) =>
      fault.kind === "edit" && namesOf(fault.job, doc).includes(job) &&
      fault.change.gpus !== undefined
    );
  // Its checkpoints may be where it does not fit any more: that is for people to decide.
  if (told.reason === "CheckpointNotShared" && resized) return undefined;
  const waits = told.phase === "Pending" || told.phase === "Recovering";
  const because = (...reasons: readonly string[]) =>
    waits && reasons.includes(told.reason)
      ? undefined
      : `it cannot run and does not say so (${reasons.join(", ")})`;
  // Its siblings wait in its stead.
  if (told.reason === "ArrayLimit" && (!fits(head, doc) || limitOf(policy, doc) < gpusOf(doc))) {
    return undefined;
  }
  const late = doc.deadlineS !== undefined && clock.now() > startMs + doc.deadlineS * 1000;
  if (late) return "its deadline is over";
  if (doc.after?.some((dependency) => unmet(dependency, head, ledger.jobs))) {
    return because("Dependency", "DependencyNeverSatisfied");
  }
  if (limitOf(policy, doc) < gpusOf(doc)) return because("Quota");
  if (!fits(head, doc)) return because("Unschedulable", "Cordoned", "Resources");
  return "it can run";
}

/** The most GPUs that a job may ever have. */
function limitOf({ queues = [], users = [], groups = [] }: ScenarioPolicy, doc: JobDoc): number {
  const queue = queues.find(({ name }) => name === (doc.queue ?? "default"));
  const hasQuotas = queues.some(({ quota }) => quota !== undefined);
  const user = users.find(({ name }) => name === doc.owner);
  const ofGroups = groups.filter(({ name }) => user?.groups?.includes(name));
  const own = queue?.borrow === false && hasQuotas ? queue.quota ?? 0 : Infinity;
  const most = [queue, user, ...ofGroups].map((limited) => limited?.maxGpus ?? Infinity);
  return Math.min(own, ...most);
}

/** True when the cluster has room for a job, once nothing else runs. */
function fits(head: Wanted, doc: JobDoc): boolean {
  const nodes = new Map<string, number>();
  for (const { name, gpus, cpuSlots = 0, old } of head.nodes.values()) {
    if (head.cordoned.has(name) || (gpus || cpuSlots) < cardsOf(doc)) continue;
    const kind = doc.mixed ? "any" : gpus === 0 ? "cpu" : old ? "old" : "new";
    nodes.set(kind, (nodes.get(kind) ?? 0) + 1);
  }
  return Math.max(0, ...nodes.values()) >= doc.nodes;
}

/** Time from the calm until everything has to be settled: as if all jobs ran one by one. */
export function settleBoundMs({ jobs, policy }: Scenario): number {
  let sumMs = 30 * 60_000 + 10 * policy.pollS * 1000 + policy.nodeLostAfterS * 1000;
  for (const { doc, behaviour } of jobs) {
    const { durationMs, startMs }: Behaviour = { ...DEFAULT_BEHAVIOUR, ...behaviour };
    const tries = (doc.maxRetries + 1) * (doc.matrix ?? (doc.schedule ? 4 : 1));
    sumMs += tries * (durationMs + startMs + 4 * policy.pollS * 1000 + 120_000);
    sumMs += 1000 * Math.max(doc.startAfterS ?? 0, doc.deadlineS ?? 0);
  }
  return 2 * sumMs;
}
