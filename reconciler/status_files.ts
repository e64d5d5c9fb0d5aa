/**
 * The files of the status branch: one a job, the nodes, the queue, and a README that a forge
 * renders as the dashboard. The same input gives the same bytes: an unchanged world commits nothing.
 *
 * @module
 */
import { dump } from "js-yaml";
import type { Cordon } from "../cluster/node.ts";
import { cutText, withoutControls } from "../cluster/show.ts";
import { isSafeYaml, yamlText } from "../cluster/yaml_text.ts";
import { formatProblem } from "../jobs/problem.ts";
import { isFinal } from "../jobs/lifecycle.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { dashboard, type NodeStatus } from "./dashboard.ts";
import type { History, Plan, Snapshot } from "./model.ts";
import { jobNews, type News, nodeNews } from "./news.ts";
import type { NodeObservation } from "./ports.ts";
import { queueFile } from "./queue_file.ts";

/** Deleted jobs that are remembered, so that attempt numbers are not used twice. */
export const KEPT_TOMBSTONES = 1000;

/**
 * Written by another library than the one that reads people's files: it is several times as fast,
 * and with hundreds of nodes this is most of a pass.
 */
function fastYaml(value: unknown): string {
  const text = dump(value, { lineWidth: 100, noRefs: true });
  return isSafeYaml(text) ? text : yamlText(value, { lineWidth: 100 });
}

const rendered = new WeakMap<JobStatus, string>();

/** The YAML of one job. */
export function renderJob(status: JobStatus): string {
  const known = rendered.get(status);
  if (known !== undefined) return known;
  const text = fastYaml(ordered(status));
  rendered.set(status, text);
  return text;
}

/** Keys in one order, whether the status was read from a file or has just been made. */
const STATUS_KEYS: readonly (keyof JobStatus)[] = [
  ...["name", "phase", "reason", "message", "since", "file", "parent", "owner", "queue"] as const,
  ...["priority", "submittedAt", "commit", "specDigest", "attempt", "retries"] as const,
  ...["notBefore", "rerun", "conditions", "problems", "attempts"] as const,
];
const ATTEMPT_KEYS: readonly (keyof Attempt)[] = [
  ...["attempt", "commit", "specDigest", "codeDigest", "placement", "because"] as const,
  ...["resumedFrom", "recordedAt", "startedAt", "evicted", "endedAt", "end"] as const,
  ...["failure", "exitCodes", "peakMiB"] as const,
];

function ordered(status: JobStatus) {
  const attempts = status.attempts.map((attempt) => pick(attempt, ATTEMPT_KEYS));
  return pick({ ...status, attempts }, STATUS_KEYS);
}

function pick<T>(value: T, keys: readonly (keyof T)[]) {
  const entries = keys.map((key) => [key, value[key]] as const);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

/** All files of the branch. Unreadable job files are kept as they are by the caller. */
export function statusFiles(view: Snapshot): Map<string, string> {
  const files = new Map<string, string>();
  const statuses = keepTombstones(view.plan.statuses);
  for (const status of statuses) files.set(`jobs/${status.name}.yaml`, renderJob(status));
  const nodes = nodeStatuses(view, statuses);
  const head = "# Written by UGRO; changes here are overwritten.\n";
  files.set("cluster.yaml", head + clusterYaml({ cluster: view.desired.cluster.name, nodes }));
  files.set(
    "queue.yaml",
    head + fastYaml({
      ...queueFile(view),
      problems: view.desired.problems.slice(0, 200).map(formatProblem),
    }),
  );
  files.set("README.md", dashboard(view, statuses, nodes));
  return files;
}

let lastCluster = { key: "", text: "" };

/** YAML of a thousand nodes takes longer than planning for them, and seldom changes. */
function clusterYaml(content: { cluster: string; nodes: readonly NodeStatus[] }): string {
  const key = JSON.stringify(content);
  if (key !== lastCluster.key) lastCluster = { key, text: fastYaml(content) };
  return lastCluster.text;
}

function keepTombstones(statuses: ReadonlyMap<string, JobStatus>): JobStatus[] {
  const all = [...statuses.values()].toSorted((a, b) => a.name < b.name ? -1 : 1);
  const dead = all.filter((s) =>
    s.reason === "ManifestDeleted" && isFinal(s.phase) &&
    (s.attempts.length === 0 || s.attempts.at(-1)?.end)
  );
  if (dead.length <= KEPT_TOMBSTONES) return all;
  const dropped = new Set(
    dead.toSorted((a, b) => a.since < b.since ? -1 : 1).slice(0, dead.length - KEPT_TOMBSTONES),
  );
  return all.filter((status) => !dropped.has(status));
}

function nodeStatuses(view: Snapshot, statuses: readonly JobStatus[]): NodeStatus[] {
  const jobsOn = new Map<string, string[]>();
  for (const status of statuses) {
    const attempt = status.attempts.at(-1);
    if (!attempt || attempt.end) continue;
    for (const { node } of attempt.placement) {
      const list = jobsOn.get(node) ?? [];
      list.push(status.name);
      jobsOn.set(node, list);
    }
  }
  return view.desired.cluster.nodes.map((node): NodeStatus => {
    const seen = view.observed.nodes.get(node.name);
    const state = seen?.state ?? "unknown";
    const reason = reasonOf(seen);
    return {
      name: node.name,
      state,
      ...(reason ? { reason } : {}),
      gpus: seen?.state === "reachable"
        ? (seen.gpus ?? []).map(({ uuid, model }) => ({ uuid, model }))
        : [],
      ...(node.cpuSlots > 0 ? { cpuSlots: node.cpuSlots } : {}),
      ...(node.cordoned ? { cordoned: cordonOf(node.cordoned) } : {}),
      jobs: jobsOn.get(node.name) ?? [],
      ...conditionsOf(seen),
    };
  });
}

/** As it is declared: whether its time is over depends on the clock, and moves no file. */
function cordonOf({ reason, untilMs, drain, gpus }: Cordon): NonNullable<NodeStatus["cordoned"]> {
  return {
    reason,
    ...(untilMs === undefined ? {} : { until: new Date(untilMs).toISOString() }),
    ...(drain ? { drain } : {}),
    ...(gpus ? { gpus } : {}),
  };
}

function reasonOf(seen: NodeObservation | undefined): string | undefined {
  if (!seen) return "not observed yet";
  if (seen.state === "reachable") return seen.gpuProblem;
  // The condition holds the rest; half a command in a cut text would help nobody.
  return seen.problem?.message ?? seen.reason;
}

function conditionsOf(seen: NodeObservation | undefined): Pick<NodeStatus, "conditions"> {
  if (seen?.state !== "unknown" || !seen.problem) return {};
  const { type, message, fix } = seen.problem;
  return { conditions: [{ type, status: "True", message, fix }] };
}

/** The files of the branch as they were, as far as they are known, and as they are now. */
interface FileChange {
  readonly before: ReadonlyMap<string, string> | undefined;
  readonly after: ReadonlyMap<string, string>;
}

/** The message of a status commit: a line that says it all, then each change with its why. */
export function commitMessage(history: History, plan: Plan, files?: FileChange): string {
  const nodes = nodeNews(files?.before?.get("cluster.yaml"), files?.after.get("cluster.yaml"));
  const jobs = jobNews(history, plan);
  const all = [...nodes, ...jobs];
  if (all.length === 0) return `${otherFiles(files)}\n`;
  const title = [titleOf(nodes, "nodes"), titleOf(jobs, "jobs")].filter((text) => text !== "");
  const lines = all.slice(0, 100).map(({ line }) => oneLine(line));
  const more = all.length > 100 ? [`and ${all.length - 100} more`] : [];
  return `${cutText(title.join("; "), 100)}\n\n${[...lines, ...more].join("\n")}\n`;
}

/** `a: Pending, needs …`, or `2 jobs: a Pending, b Launching`; one is named once. */
function titleOf(news: readonly News[], kind: string): string {
  const [first] = news;
  if (!first) return "";
  const { who, long } = first;
  if (news.length === 1) return `${oneLine(who)}: ${oneLine(long)}`;
  const count = new Set(news.map((one) => one.who)).size;
  const named = news.slice(0, 4).map((one) => `${oneLine(one.who)} ${oneLine(one.short)}`);
  return `${count} ${count === 1 ? kind.slice(0, -1) : kind}: ${named.join(", ")}`;
}

/** Nothing has become of anybody: the queue has another order, say, or other starts. */
function otherFiles(files: FileChange | undefined): string {
  if (!files?.before?.has("queue.yaml")) return "cluster: update";
  const { before, after } = files;
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changed = paths.filter((path) => before.get(path) !== after.get(path));
  const isQueue = changed.includes("queue.yaml") && !changed.includes("cluster.yaml");
  const title = isQueue ? "queue: order, starts, or problems of manifests" : "cluster: update";
  const more = changed.length > 20 ? [`and ${changed.length - 20} more`] : [];
  return [title, "", ...changed.slice(0, 20).map((path) => `changed: ${path}`), ...more].join("\n");
}

/** A text from outside: a forge would tell the people and link the issues that it names. */
function oneLine(text: string): string {
  const mute = text.replace(/(^|\W)@(?=\w)/g, "$1@ ").replace(/#(?=\d)/g, "# ");
  return cutText(withoutControls(mute.replace(/\s+/g, " ")).trim(), 300);
}
