/**
 * What is said of jobs that wait for others, and of those that make room.
 *
 * @module
 */
import type { Grounds } from "./preempt_policy.ts";
import type { Refusal } from "./refuse.ts";
import type { Request } from "./types.ts";

/** It would have been launched, but for the number of launches in one pass. */
export const LIMIT: Refusal = {
  reason: "LaunchLimit",
  message: "is next: this pass has launched as many jobs as it may",
  detail: "maxLaunchesPerPass reached",
  numbers: {},
};

/** The policy lets nobody pass. */
export function inOrder(first: Request): Refusal {
  return {
    reason: "Priority",
    message: "jobs before it wait, and the policy lets nobody pass",
    detail: `${first.name} is next; scheduling.policy lets nobody pass it`,
    numbers: {},
  };
}

/** A limit that it shares with somebody who has waited for too long. */
export function keptOf(whose: string): Refusal {
  const message =
    `what ${whose} may use is kept for jobs that have waited longer than \`patience\``;
  return { reason: "Quota", message, detail: message, numbers: {} };
}

/** Why a job makes room, for its status. */
export function groundsText(reason: Grounds, { name, queue }: Request): string {
  switch (reason) {
    case "Reclaimed":
      return `the queue ${queue} takes back its quota for ${name}`;
    case "Resized":
      return `${name} needs nodes that it had beyond its least size`;
    case "Preempted":
      return `${name} has a higher priority`;
  }
}

/** Others make room for it. */
export function preempting(jobs: readonly string[]): Refusal {
  const names = jobs.slice(0, 5).join(", ") + (jobs.length > 5 ? ", …" : "");
  return {
    reason: "Preempting",
    message: "others are asked to save and make room for it",
    detail: `waits for ${names} to save and stop`,
    numbers: { jobs: jobs.length },
  };
}
