/**
 * The schema of what `cluster.yaml` says of queues, people and the order in which jobs are served.
 *
 * @module
 */
import { z } from "zod";
import { DEFAULT_SCHEDULING, type IdlePolicy } from "./cluster.ts";
import { formatDuration } from "./duration.ts";
import { choice, duration, flag, list, map, priority, text, wholeNumber } from "./fields.ts";
import { LABEL_KEY, MEMBER, PERSON, WORD } from "./patterns.ts";

/** The most users and groups of one cluster. */
const MAX_USERS = 10_000;
const MAX_GROUPS = 1_000;

const word = (description: string) => text(description, "a name", WORD, 63);
const gpus = (description: string) => wholeNumber(description, { min: 0, max: 1_000_000 });

/** A number within bounds. */
function number(description: string, min: number, max: number) {
  const error = `a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error }).meta({ description });
}

/** `idle:` of a queue or of a manifest. */
export const idleSchema = map({
  below: number("GPUs that are used less than this, in percent, are idle.", 0, 100).prefault(5),
  for: duration("How long without a break.", { minMs: 1_000 }).prefault("30m"),
  action: choice("`flag`: said in its status; `stop`: ended.", ["flag", "stop"]).prefault("flag"),
}).meta({ description: "What happens to a job whose GPUs stay idle." })
  .transform(({ below, for: forMs, action }): IdlePolicy => ({ belowPct: below, forMs, action }));

const queueSchema = map({
  name: word("Name of the queue."),
  priority: priority("Queues with a higher priority go first.").prefault(0),
  quota: gpus("GPUs that the queue is sure of; others may use what it leaves idle.")
    .exactOptional(),
  maxGpus: gpus("Most GPUs at once, borrowed ones included.").exactOptional(),
  borrow: flag("False: it never uses more than its quota.").exactOptional(),
  maxPriority: priority("The highest priority that its jobs may have.").exactOptional(),
  members: list(text("Who.", "a user or `@group`", MEMBER), MAX_USERS)
    .meta({ description: "Users and `@groups` that may use it; default: everybody." })
    .exactOptional(),
  preemptible: flag("False: its jobs are never stopped for others.").exactOptional(),
  idle: idleSchema.exactOptional(),
});

const limitsShape = {
  maxGpus: gpus("Most GPUs at once.").exactOptional(),
  gpuHoursPerWeek: number("Most GPU-hours in the last seven days.", 0, 1e9).exactOptional(),
  maxPriority: priority("The highest priority of their jobs.").exactOptional(),
};

const userSchema = map({
  name: text("What the `owner:` of a manifest says.", "a login or mail address", PERSON),
  groups: list(word("Name of a group."), 100).meta({ description: "Groups that they belong to." })
    .prefault([]),
  share: number("Their part of the cluster in proportion to others'.", 0.001, 1000).prefault(1),
  ...limitsShape,
});

const groupSchema = map({ name: word("Name of the group."), ...limitsShape });

const { policy, halfLifeMs, patienceMs, reservations, preemption } = DEFAULT_SCHEDULING;

const preemptionShape = {
  priority: flag("A job may take the GPUs of jobs of a lower priority.")
    .prefault(preemption.byPriority),
  reclaim: flag("A queue may take back what others borrowed of its quota.")
    .prefault(preemption.reclaim),
  protectFor: duration("Nobody is stopped for others so soon after its start.")
    .prefault(formatDuration(preemption.protectMs)),
  protectPriority: priority("Jobs of this priority or a higher one are never stopped for others.")
    .exactOptional(),
};

const schedulingShape = {
  policy: choice(
    "In which order jobs are tried, and who may pass whom.",
    ["fifo", "priority", "fairshare", "backfill", "default"],
  ).prefault(policy),
  halfLife: duration("Use of the cluster counts half after this time.", { minMs: 60_000 })
    .prefault(formatDuration(halfLifeMs)),
  patience: duration(
    "Who has waited so long, with fewer GPUs than the job asks for, goes before fair share.",
  )
    .prefault(formatDuration(patienceMs)),
  reservations: wholeNumber("Most waiting jobs that keep a start time which nobody pushes back.", {
    min: 0,
    max: 100,
  }).prefault(reservations),
  topology: list(text("A label.", "the key of a label", LABEL_KEY), 8)
    .meta({ description: "Labels that tell how close nodes are, from wide to narrow." })
    .prefault([...DEFAULT_SCHEDULING.topology]),
  preemption: map(preemptionShape).meta({ description: "When jobs may be stopped for others." })
    .prefault({}),
};

/** Sections of `cluster.yaml`. */
export const queueSections = {
  queues: list(queueSchema, 100).meta({ description: "Queues of jobs." }).prefault([]),
  users: list(userSchema, MAX_USERS).meta({ description: "People, by the `owner:` of their jobs." })
    .prefault([]),
  groups: list(groupSchema, MAX_GROUPS).meta({ description: "Users with limits in common." })
    .prefault([]),
  scheduling: map(schedulingShape).meta({ description: "How the queue is served." }).prefault({}),
};
