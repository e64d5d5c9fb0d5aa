/**
 * The dashboard: `README.md` of the status branch, which any forge renders. All text that came
 * from a manifest or a node is escaped; the page holds no link and no image of theirs.
 *
 * @module
 */
import { cutText, withoutControls } from "../cluster/show.ts";
import { formatProblem } from "../jobs/problem.ts";
import { isActive, isFinal } from "../jobs/lifecycle.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { Snapshot } from "./model.ts";
import type { NodeProblem } from "./ports.ts";
import { queueEntries } from "./queue_file.ts";

const MAX_ROWS = 100;
const MAX_FINISHED = 30;
/** Longest text in a cell, before it is escaped. */
const MAX_CELL = 300;

/** A manifest with fewer jobs gets no line of its own. */
const MIN_FAMILY = 4;

/** What a job of many can be, in the order in which they are told. */
const STATES: readonly string[] = ["running", "waiting", "succeeded", "failed", "cancelled"];

/** Longest command that mends a node. */
const MAX_FIX = 2000;

/** What a person has to mend on a node. */
export interface NodeCondition {
  readonly type: NodeProblem["type"];
  readonly status: "True";
  readonly message: string;
  readonly fix: string;
}

/** A node as the status branch tells it. */
export interface NodeStatus {
  readonly name: string;
  readonly state: "reachable" | "unknown";
  readonly reason?: string;
  readonly gpus: readonly { readonly uuid: string; readonly model: string }[];
  readonly cpuSlots?: number;
  /** As `cluster.yaml` declares it. */
  readonly cordoned?: {
    readonly reason: string;
    /** ISO 8601. */
    readonly until?: string;
    readonly drain?: boolean;
    readonly gpus?: readonly string[];
  };
  readonly jobs: readonly string[];
  /** In the manner of Kubernetes. */
  readonly conditions?: readonly NodeCondition[];
}

/** Makes a text inert in a Markdown table cell. */
export function cell(text: string, max = MAX_CELL): string {
  const line = withoutControls(text.slice(0, 2 * max).replace(/[\n\t]/g, " "), " ");
  return cutText(line, max)
    .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
    // `$` begins mathematics, and `www.` an address without a scheme.
    .replace(/[\\`*_{}[\]#|~!@:$]|(?<=www)\./gi, (c) => `&#${c.charCodeAt(0)};`);
}

/** The page. */
export function dashboard(
  view: Snapshot,
  statuses: readonly JobStatus[],
  nodes: readonly NodeStatus[],
): string {
  const { desired, plan } = view;
  const active = statuses.filter((s) => isActive(s.phase));
  const finished = statuses.filter((s) => isFinal(s.phase)).toSorted((a, b) =>
    a.since < b.since ? 1 : -1
  );
  const others = statuses.filter((s) => !isActive(s.phase) && !isFinal(s.phase));
  const queued = new Set(plan.waiting.map(({ job }) => job));
  const parts = [
    `# ${cell(desired.cluster.name)}`,
    `${active.length} running, ${others.length} waiting, ${finished.length} finished. ` +
    `Written by UGRO at each change; edit the manifests on the other branch, not this page.`,
    ...plan.held.map((text) => `> **Held back:** ${cell(text)}`),
    families(statuses),
    runningTable(active),
    queueTable(view),
    section("Not in the queue", others.filter((s) => !queued.has(s.name))),
    problems(view),
    nodeTable(nodes),
    section("Finished", finished.slice(0, MAX_FINISHED)),
  ];
  return parts.filter((part) => part !== "").join("\n\n") + "\n";
}

/** Manifests that declare many jobs, with what has become of these. */
function families(statuses: readonly JobStatus[]): string {
  const counts = new Map<string, Map<string, number>>();
  for (const status of statuses) {
    const { parent, phase } = status;
    if (parent === undefined || status.reason === "ManifestDeleted") continue;
    const count = counts.get(parent) ?? new Map<string, number>();
    const word = isActive(phase) ? "running" : isFinal(phase) ? phase.toLowerCase() : "waiting";
    counts.set(parent, count.set(word, (count.get(word) ?? 0) + 1));
  }
  const lines = [...counts].flatMap(([parent, count]) => {
    const words = STATES.filter((word) => count.has(word));
    const jobs = words.reduce((sum, word) => sum + (count.get(word) ?? 0), 0);
    if (jobs < MIN_FAMILY) return [];
    return [`- ${cell(parent)}: ${words.map((word) => `${count.get(word)} ${word}`).join(", ")}`];
  });
  if (lines.length === 0) return "";
  const more = lines.length > MAX_ROWS ? [`- … and ${lines.length - MAX_ROWS} more`] : [];
  return ["## Jobs of one manifest\n", ...lines.sort().slice(0, MAX_ROWS), ...more].join("\n");
}

function runningTable(jobs: readonly JobStatus[]): string {
  return table("Running", ["job", "phase", "attempt", "nodes", "why there", "now"], jobs, (s) => {
    const attempt = s.attempts.at(-1);
    const on = attempt && !attempt.end ? attempt : undefined;
    const where = on?.placement.map((p) => p.node).join(", ") ?? "";
    const { name, phase, attempt: number } = s;
    return [link(name), phase, `${number}`, cell(where), cell(on?.because ?? ""), cell(now(s))];
  });
}

/** What is the matter with a job that runs. */
function now({ message, attempts, conditions }: JobStatus): string {
  const evicted = attempts.at(-1)?.evicted;
  return [
    message,
    evicted ? `${evicted.reason}: ${evicted.message}` : "",
    ...conditions.filter(({ status }) => status === "True")
      .map((condition) => `${condition.type}: ${condition.message}`),
  ].filter((text) => text !== "").join("; ");
}

function queueTable(view: Snapshot): string {
  const { statuses, waiting } = view.plan;
  const heading = ["#", "job", "queue", "owner", "priority", "needs", "reason", "why"];
  const entries = queueEntries(view, MAX_ROWS);
  const columns = [...heading, "ahead", "expected start"];
  return table("Queue", columns, entries, (entry) => {
    const { queue = "", owner = "", priority = "" } = statuses.get(entry.job) ?? {};
    const { expectedStart, expectedBy, expectedUnknown, ahead = "" } = entry;
    const unknown = expectedUnknown === undefined ? "" : `not known: ${expectedUnknown}`;
    return [
      `${entry.position}`,
      link(entry.job),
      cell(queue),
      cell(owner),
      `${priority}`,
      cell(entry.needs ?? ""),
      cell(entry.reason),
      cell(entry.message),
      `${ahead}`,
      expectedStart ? `${cell(expectedStart)} (by ${expectedBy})` : cell(unknown),
    ];
  }, waiting.length);
}

function section(title: string, jobs: readonly JobStatus[]): string {
  return table(title, ["job", "phase", "attempt", "why"], jobs, (s) => {
    return [link(s.name), s.phase, `${s.attempt || ""}`, cell(s.message)];
  });
}

/** A table of at most `MAX_ROWS` rows; the cells are inert already. "" when there is no row. */
function table<T>(
  title: string,
  columns: readonly string[],
  all: readonly T[],
  cells: (row: T) => readonly string[],
  total = all.length,
): string {
  if (all.length === 0) return "";
  return [
    `## ${title}\n`,
    `| ${columns.join(" | ")} |`,
    `| ${columns.map(() => "---").join(" | ")} |`,
    ...all.slice(0, MAX_ROWS).map((row) => `| ${cells(row).join(" | ")} |`),
    ...(total > MAX_ROWS ? [`\n… and ${total - MAX_ROWS} more.`] : []),
  ].join("\n");
}

function link(name: string): string {
  return `[${name}](jobs/${name}.yaml)`;
}

function problems(view: Snapshot): string {
  const all = view.desired.problems;
  const unreadable = [...view.history.unreadable].map(([name, why]) =>
    `jobs/${name}.yaml of this branch cannot be read (${why}); the job is left alone until that ` +
    `file is repaired or removed`
  );
  const lines = [...unreadable, ...all.map(formatProblem)];
  if (lines.length === 0) return "";
  const shown = lines.slice(0, MAX_ROWS).map((line) => `- ${cell(line)}`);
  if (lines.length > MAX_ROWS) shown.push(`- … and ${lines.length - MAX_ROWS} more`);
  return ["## Problems\n", ...shown].join("\n");
}

function nodeTable(nodes: readonly NodeStatus[]): string {
  const rows = nodes.slice(0, 2000).map((n) => {
    const gpus = n.gpus.length > 0
      ? `${n.gpus.length} × ${n.gpus[0]?.model ?? ""}`
      : n.cpuSlots
      ? `${n.cpuSlots} CPU slot(s)`
      : "";
    const note = [n.cordoned ? cordonWords(n.cordoned) : "", n.reason ?? ""].filter(Boolean);
    const jobs = n.jobs.slice(0, 16).join(", ");
    return `| ${cell(n.name)} | ${n.state} | ${cell(gpus)} | ${cell(jobs)} | ${
      cell(note.join("; "))
    } |`;
  });
  return [
    "## Nodes\n",
    "| node | state | GPUs | jobs | note |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    ...toMend(nodes),
  ].join("\n");
}

/** `cordoned until 2026-03-01T12:00:00.000Z, drained (GPU 0, 1): broken fan`. */
export function cordonWords(
  { reason, until, drain, gpus }: NonNullable<NodeStatus["cordoned"]>,
): string {
  const words = ["cordoned", ...(until ? [`until ${until}`] : [])].join(" ");
  return `${words}${drain ? ", drained" : ""}${gpus ? ` (GPU ${gpus.join(", ")})` : ""}: ${reason}`;
}

/** In full: half a command would help nobody. */
function toMend(nodes: readonly NodeStatus[]): string[] {
  const lines = nodes.flatMap(({ name, conditions = [] }) =>
    conditions.map(({ type, fix }) => `- ${cell(name)}: ${type}: ${cell(fix, MAX_FIX)}`)
  );
  return lines.length > 0 ? ["", ...lines.slice(0, MAX_ROWS)] : [];
}
