/**
 * What is new since the last commit on the status branch, as its message tells it: what has become
 * of jobs, and what people and machines have changed of nodes.
 *
 * @example
 * jobNews(history, plan)[0]; // { who: "gr4", short: "makes room for pr1 (Reclaimed)", … }
 *
 * @module
 */
import { load } from "js-yaml";
import { z } from "zod";
import { formatProblem, type Problem } from "../jobs/problem.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { cordonWords, type NodeStatus } from "./dashboard.ts";
import type { History, Plan } from "./model.ts";

/** Something that has happened to a job or a node. */
export interface News {
  readonly who: string;
  /** A word or two, where many are told in one line. */
  readonly short: string;
  /** The sentence, where it is alone. */
  readonly long: string;
  /** A line of the body. */
  readonly line: string;
}

/** Everything about jobs that differs from the history; evictions first, as others follow them. */
export function jobNews(history: History, plan: Plan): News[] {
  const first: News[] = [];
  const others: News[] = [];
  const words: News[] = [];
  for (const next of plan.statuses.values()) {
    const old = history.jobs.get(next.name);
    if (old === next) continue;
    const eviction = old && evictionNews(old, next);
    if (eviction) first.push(eviction);
    if (!old || hasMoved(old, next)) others.push(moveNews(old, next));
    else {
      const changes = changesOf(old, next);
      for (const change of changes) others.push(one(next.name, change, change));
      if (!eviction && changes.length === 0 && old.message !== next.message) {
        words.push(moveNews(old, next));
      }
    }
  }
  // Another sentence alone is news only where there are no others.
  return first.length + others.length > 0 ? [...first, ...others] : words;
}

function hasMoved(old: JobStatus, next: JobStatus): boolean {
  return old.phase !== next.phase || old.attempt !== next.attempt || old.reason !== next.reason;
}

function moveNews(old: JobStatus | undefined, next: JobStatus): News {
  const { name, phase, reason, message, problems } = next;
  const ended = endedFor(old?.attempts.at(-1), next);
  const broken = problems && !old?.problems ? "; its manifest has problems" : "";
  return {
    who: name,
    short: phase,
    long: `${phase}, ${ended}${message}`,
    line: `${name}: ${old?.phase ?? "new"} -> ${phase} (${reason}): ${ended}${message}${broken}`,
  };
}

/** What an attempt made room for, in the commit that tells its end. */
function endedFor(old: Attempt | undefined, { attempts, message }: JobStatus): string {
  if (!old?.evicted || old.end) return "";
  const now = attempts.find(({ attempt }) => attempt === old.attempt);
  if (now?.end !== "evicted") return "";
  const { reason, by } = old.evicted;
  const why = by === undefined ? `was stopped (${reason})` : `made room for ${by} (${reason})`;
  return message.includes("made room for") ? "" : `attempt ${old.attempt} ${why}; `;
}

/** It is on record that the newest attempt must go. */
function evictionNews(old: JobStatus, { name, attempts }: JobStatus): News | undefined {
  const attempt = attempts.at(-1);
  const evicted = attempt?.evicted;
  const before = old.attempts.find((each) => each.attempt === attempt?.attempt);
  if (!evicted || before?.evicted) return undefined;
  const { reason, by, message } = evicted;
  const short = by === undefined ? `asked to save (${reason})` : `makes room for ${by} (${reason})`;
  return one(name, short, `${short}: ${message}`);
}

/** What people changed of a job that stays in its phase, and conditions that it got or lost. */
function changesOf(old: JobStatus, next: JobStatus): string[] {
  const { owner = "nobody", parent: _, queue, priority, file, problems, conditions } = next;
  const isTrue = ({ status }: { readonly status: string }) => status === "True";
  const had = new Set(old.conditions.filter(isTrue).map(({ type }) => type));
  const has = conditions.filter(isTrue);
  const kept = new Set(has.map(({ type }) => type));
  const [problem] = problems ?? [];
  return [
    problem && textOf(problems) !== textOf(old.problems)
      ? `its manifest has problems: ${problem.file}:${problem.line}: ${problem.message}`
      : "",
    old.problems && !problems ? "its manifest is in order again" : "",
    ...has.flatMap(({ type, message }) =>
      had.has(type) || type === "ManifestInvalid" ? [] : [`${type}: ${message}`]
    ),
    ...[...had].flatMap((type) =>
      kept.has(type) || type === "ManifestInvalid" ? [] : [`no longer ${type}`]
    ),
    old.file === file ? "" : `its manifest is ${file} now`,
    (old.owner ?? "nobody") === owner ? "" : `belongs to ${owner} now`,
    old.queue === queue ? "" : `in the queue ${queue} now`,
    old.priority === priority ? "" : `priority ${old.priority} -> ${priority}`,
  ].filter((text) => text !== "");
}

function textOf(problems: readonly Problem[] | undefined): string {
  return (problems ?? []).map(formatProblem).join("\n");
}

type Node = Pick<NodeStatus, "name" | "state" | "reason" | "cordoned">;

/** As far as it is needed here; a file that is not as we write it tells nothing. */
const NodesSchema = z.object({
  nodes: z.array(z.object({
    name: z.string(),
    state: z.enum(["reachable", "unknown"]),
    reason: z.string().optional(),
    cordoned: z.object({
      reason: z.string(),
      until: z.string().optional(),
      drain: z.boolean().optional(),
      gpus: z.array(z.string()).optional(),
    }).optional(),
  })),
});

/** What differs of the nodes between two texts of `cluster.yaml` on the status branch. */
export function nodeNews(before: string | undefined, after: string | undefined): News[] {
  if (before === undefined || after === undefined || before === after) return [];
  const [old, now] = [nodesOf(before), nodesOf(after)];
  if (!old || !now) return [];
  const left = [...old.values()].filter(({ name }) => !now.has(name));
  return [
    ...[...now.values()].flatMap((node) => newsOf(old.get(node.name), node)),
    ...left.map(({ name }) => one(name, "left the cluster", "left the cluster")),
  ];
}

let last: { text: string; nodes: ReadonlyMap<string, Node> | undefined } | undefined;

/** What is new now is old in the next commit: each text is read once. */
function nodesOf(text: string): ReadonlyMap<string, Node> | undefined {
  if (last?.text !== text) last = { text, nodes: readNodes(text) };
  return last.nodes;
}

function readNodes(text: string): ReadonlyMap<string, Node> | undefined {
  try {
    const { data } = NodesSchema.safeParse(load(text));
    return data && new Map(data.nodes.map((node) => [node.name, node as Node]));
  } catch {
    return undefined;
  }
}

function newsOf(old: Node | undefined, { name, state, reason, cordoned }: Node): News[] {
  const news: News[] = [];
  const words = cordoned && cordonWords(cordoned);
  if (!old) news.push(one(name, "is new", `is new, ${words ?? state}`));
  else if (words !== (old.cordoned && cordonWords(old.cordoned))) {
    const short = cordoned?.drain ? "drained" : "cordoned";
    news.push(words ? one(name, short, words) : one(name, "open again", "no longer cordoned"));
  }
  if (old && old.state !== state) {
    news.push(one(name, state, reason === undefined ? state : `${state}: ${reason}`));
  }
  return news;
}

function one(who: string, short: string, long: string): News {
  return { who, short, long, line: `${who}: ${long}` };
}
