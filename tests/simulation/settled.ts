/**
 * Where everything has to come to once faults have ceased.
 *
 * @module
 */
import { type Behaviour, DEFAULT_BEHAVIOUR } from "../../providers/sim/behaviour.ts";
import { type Context, leaderOf } from "./context.ts";
import type { Told } from "./ledger.ts";
import type { Wanted } from "./people.ts";
import type { JobDoc, Scenario } from "./scenario.ts";

/** Reasons of a failure after which no retry makes sense. */
const TERMINAL = ["start-failed", "max-duration", "MaxDuration"];

/** What is not yet as it must come to be; undefined: everything is. */
export function unsettled(context: Context): string | undefined {
  const { ledger, people, truth } = context;
  const head = people.head;
  if (!head) return "there is no desired branch";
  if (leaderOf(context)?.life?.shown.desired !== context.remote.desired) return "nobody leads";
  for (const [job, doc] of head.jobs) {
    const told = ledger.jobs.get(job);
    if (!told) return `${job} has no status`;
    const why = doc === "broken" ? undefined : openEnd(context, job, doc, told);
    if (why) return `${job} is ${told.phase} (${told.reason}), but ${why}`;
    if (truth.liveOf(job).size > 0) return `${job} has live runs`;
  }
  for (const [job, told] of ledger.jobs) {
    if (head.jobs.has(job)) continue;
    if (told.reason !== "ManifestDeleted") return `${job} was deleted, but is ${told.reason}`;
  }
  for (const [job, runs] of truth.live) {
    if (runs.size > 0 && !head.jobs.has(job)) return `${job} was deleted, but lives`;
  }
  return undefined;
}

function openEnd(context: Context, job: string, doc: JobDoc, told: Told): string | undefined {
  const { people: { head }, scenario } = context;
  const state = doc.state ?? "running";
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
  const resized = scenario.faults.some((f) =>
    f.kind === "edit" && f.job === job && f.change.gpus !== undefined
  );
  // Its checkpoints may be where it does not fit any more: that is for people to decide.
  if (told.reason === "CheckpointNotShared" && resized) return undefined;
  if (!head || fits(head, doc)) return "it can run";
  const waits = told.phase === "Pending" || told.phase === "Recovering";
  return waits && told.reason !== "New" ? undefined : "it cannot run and does not say so";
}

/** True when the cluster has room for a job, once nothing else runs. */
function fits(head: Wanted, doc: JobDoc): boolean {
  let nodes = 0;
  for (const node of head.nodes.values()) {
    if (head.cordoned.has(node.name)) continue;
    if ((node.gpus || (node.cpuSlots ?? 0)) >= doc.gpus) nodes++;
  }
  return nodes >= doc.nodes;
}

/** Time from the calm until everything has to be settled: as if all jobs ran one by one. */
export function settleBoundMs({ jobs, policy }: Scenario): number {
  let sumMs = 30 * 60_000 + 10 * policy.pollS * 1000 + policy.nodeLostAfterS * 1000;
  for (const { doc, behaviour } of jobs) {
    const { durationMs, startMs }: Behaviour = { ...DEFAULT_BEHAVIOUR, ...behaviour };
    const tries = doc.maxRetries + 1;
    sumMs += tries * (durationMs + startMs + 4 * policy.pollS * 1000 + 120_000);
  }
  return 2 * sumMs;
}
