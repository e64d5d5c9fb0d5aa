/**
 * The whole story of one job, in words: how it is and why, and what each attempt came to.
 *
 * @module
 */
import { formatProblem } from "../jobs/problem.ts";
import type { Attempt, Condition, Eviction, JobStatus, PlacedRank } from "../jobs/status.ts";
import { age } from "./age.ts";
import { expectedWords } from "./expected.ts";
import type { Listed } from "./status_source.ts";
import { safe } from "./text.ts";

/**
 * The story as lines, newest attempt first; `now` in milliseconds since the epoch, `listed` where
 * the job stands in the queue.
 */
export function story(job: JobStatus, now: number, listed?: Listed): string[] {
  const { name, phase, reason, message, since, file, commit, queue, priority, owner } = job;
  return [
    `${safe(name)}: ${safe(phase)} for ${age(since, now)} (${safe(reason)})`,
    `  ${safe(message)}`,
    "",
    field("file", `${file} at ${shortCommit(commit)}`),
    field("queue", `${queue}, priority ${priority}${owner === undefined ? "" : `, for ${owner}`}`),
    ...(listed === undefined ? [] : [field("waits", waitsWords(listed, message, now))]),
    ...(job.parent === undefined ? [] : [field("one of", job.parent)]),
    field("submitted", `${job.submittedAt} (${age(job.submittedAt, now)} ago)`),
    field("failures", `${job.retries} counted towards \`recovery.maxRetries\``),
    ...(job.notBefore === undefined ? [] : [field("not before", job.notBefore)]),
    ...section("problems", (job.problems ?? []).map(formatProblem)),
    ...section("conditions", job.conditions.map((condition) => conditionLine(condition, now))),
    ...job.attempts.toReversed().flatMap((attempt) => ["", ...attemptLines(attempt, now)]),
  ];
}

/** `12 before it; expected in 2h10m by limit; needs …`; `told`: what has been said already. */
function waitsWords(listed: Listed, told: string, now: number): string {
  const { position, ahead, needs = "", message } = listed;
  const start = expectedOrNot(expectedWords(listed, now));
  const isTold = told.includes(`needs ${needs}`) || message.includes(`needs ${needs}`);
  return [
    ahead === undefined ? `place ${position}` : `${ahead} before it`,
    start,
    needs && !isTold ? `needs ${needs}` : "",
    message === told ? "" : message,
  ].filter((text) => text !== "").join("; ");
}

function expectedOrNot(expected: string): string {
  if (expected === "") return "";
  return expected.startsWith("not known") ? `start ${expected}` : `expected ${expected}`;
}

/** `node1 (2 GPUs), node2 (0.5 of 1 GPU)`. */
export function placementWords(placement: readonly PlacedRank[]): string {
  return placement.map(({ node, gpus, share }) => {
    return `${node} (${share === undefined ? "" : `${share} of `}${count(gpus)})`;
  }).join(", ");
}

function count(gpus: readonly string[]): string {
  const unit = gpus.every((gpu) => gpu.startsWith("cpu:")) ? "CPU slot" : "GPU";
  return `${gpus.length} ${unit}${gpus.length === 1 ? "" : "s"}`;
}

function conditionLine({ type, status, reason, message, since }: Condition, now: number): string {
  const sign = { True: "yes", False: "no", Unknown: "unknown" }[status] ?? status;
  return `${type}: ${sign}, ${reason} for ${age(since, now)}${message && `: ${message}`}`;
}

function attemptLines(attempt: Attempt, now: number): string[] {
  const { placement, because, resumedFrom, startedAt, endedAt, failure, exitCodes } = attempt;
  const { evicted, peakMiB } = attempt;
  const ended = endedAt === undefined ? "" : `, ended ${endedAt} after ${span(attempt)}`;
  const running = endedAt === undefined && startedAt !== undefined
    ? ` (${age(startedAt, now)} ago)`
    : "";
  return [
    `attempt ${attempt.attempt}: ${safe(attempt.end ?? (startedAt ? "running" : "recorded"))}`,
    field("times", `recorded ${attempt.recordedAt}, started ${startedAt ?? "-"}${running}${ended}`),
    field("runs on", placementWords(placement)),
    field("because", because),
    field("commit", shortCommit(attempt.commit)),
    ...(resumedFrom === undefined
      ? []
      : [field("resumed", `from step ${resumedFrom.step}: ${resumedFrom.path}`)]),
    ...(evicted === undefined ? [] : [field("evicted", evictionWords(evicted))]),
    ...(peakMiB === undefined
      ? []
      : [field("peak memory", `${(peakMiB / 1024).toFixed(1)} GB of a GPU`)]),
    ...(exitCodes === undefined
      ? []
      : [field("exit codes", exitCodes.map((code) => code ?? "-").join(", "))]),
    ...(failure === undefined ? [] : [
      field("failure", [failure.class, place(failure)].filter(Boolean).join(" on ")),
      ...failure.message.split("\n").map((line) => `    ${safe(line)}`),
    ]),
  ];
}

/** `made room for urgent: urgent has a higher priority (Preempted at 2026-…)`. */
function evictionWords({ reason, by, message, at }: Eviction): string {
  return `${by === undefined ? "" : `made room for ${by}: `}${message} (${reason} at ${at})`;
}

function place({ node, rank }: { node?: string; rank?: number }): string {
  if (node === undefined) return rank === undefined ? "" : `rank ${rank}`;
  return rank === undefined ? node : `${node}, rank ${rank}`;
}

function span({ startedAt, recordedAt, endedAt }: Attempt): string {
  return age(startedAt ?? recordedAt, Date.parse(endedAt ?? ""));
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${safe(line)}`)];
}

function field(name: string, value: string): string {
  return `  ${name.padEnd(11)} ${safe(value)}`;
}

function shortCommit(commit: string): string {
  return commit.slice(0, 12);
}
