/**
 * Decisions about one job of a small world, without the queue.
 *
 * @example
 * const { status, stops } = decideIn({ jobs: [job("a")], history: [running("a", ["n1"])], nodes });
 *
 * @module
 */
import type { JobStatus } from "../../jobs/status.ts";
import { decideJob } from "../decide.ts";
import type { JobInput } from "../decision.ts";
import type { Watched } from "../model.ts";
import { sightingsByJob } from "../view.ts";
import { type World, world } from "./build.ts";

/** A small world with what only some decisions look at. */
export interface DecisionWorld extends World {
  /** By `JOB/ATTEMPT`. */
  readonly watched?: Readonly<Record<string, Watched>>;
  readonly scheduled?: JobInput["scheduled"];
  /** How many stops this pass may begin; default: as many as it likes. */
  readonly stopsLeft?: number;
}

/** Decides about one job of a small world. */
export function decideIn(given: DecisionWorld, name = "a") {
  const base = world(given);
  const watched = given.watched && new Map(Object.entries(given.watched));
  const plan = { ...base, observed: { ...base.observed, ...(watched ? { watched } : {}) } };
  let left = given.stopsLeft ?? Infinity;
  const decision = decideJob({
    plan,
    name,
    want: plan.desired.jobs.get(name),
    invalid: plan.desired.invalid.get(name),
    history: plan.history.jobs.get(name),
    sightings: sightingsByJob(plan.observed.nodes).get(name) ?? [],
    networkWorks: given.nodes.some((node) => node.state === "reachable"),
    claims: new Set(),
    scheduled: given.scheduled,
    hold: { prune: undefined, mayStop: () => left-- > 0 },
  });
  const stops = decision.actions.filter((action) => action.kind === "stop");
  return { ...decision, last: decision.status.attempts.at(-1), stops };
}

/** The condition of a type, if the job has it. */
export function conditionOf({ conditions }: JobStatus, type: string) {
  return conditions.find((condition) => condition.type === type);
}
