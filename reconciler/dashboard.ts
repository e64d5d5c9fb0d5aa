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

const MAX_ROWS = 100;
const MAX_FINISHED = 30;
/** Longest text in a cell, before it is escaped. */
const MAX_CELL = 300;

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
  readonly cordoned?: string;
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
  const parts = [
    `# ${cell(desired.cluster.name)}`,
    `${active.length} running, ${others.length} waiting, ${finished.length} finished. ` +
    `Written by UGRO at each change; edit the manifests on the other branch, not this page.`,
    ...plan.held.map((text) => `> **Held back:** ${cell(text)}`),
    section("Running", active),
    section("Waiting", others),
    problems(view),
    nodeTable(nodes),
    section("Finished", finished.slice(0, MAX_FINISHED)),
  ];
  return parts.filter((part) => part !== "").join("\n\n") + "\n";
}

function section(title: string, jobs: readonly JobStatus[]): string {
  if (jobs.length === 0) return "";
  const rows = jobs.slice(0, MAX_ROWS).map((s) => {
    const attempt = s.attempts.at(-1);
    const where = attempt && !attempt.end ? attempt.placement.map((p) => p.node).join(", ") : "";
    return `| [${s.name}](jobs/${s.name}.yaml) | ${s.phase} | ${s.attempt || ""} | ${
      cell(where)
    } | ${cell(s.message)} |`;
  });
  const more = jobs.length > MAX_ROWS ? [`\n… and ${jobs.length - MAX_ROWS} more.`] : [];
  return [
    `## ${title}\n`,
    "| job | phase | attempt | nodes | why |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    ...more,
  ].join("\n");
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
    const note = [n.cordoned ? `cordoned: ${n.cordoned}` : "", n.reason ?? ""].filter(Boolean);
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

/** In full: half a command would help nobody. */
function toMend(nodes: readonly NodeStatus[]): string[] {
  const lines = nodes.flatMap(({ name, conditions = [] }) =>
    conditions.map(({ type, fix }) => `- ${cell(name)}: ${type}: ${cell(fix, MAX_FIX)}`)
  );
  return lines.length > 0 ? ["", ...lines.slice(0, MAX_ROWS)] : [];
}
