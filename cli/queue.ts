/**
 * `ugro queue`: who waits for what, and who has how much, from the status branch and the queues and
 * users of `cluster.yaml`.
 *
 * @module
 */
import { DEFAULT_SCHEDULING } from "../cluster/cluster.ts";
import type { JobStatus } from "../jobs/status.ts";
import { type QueueRow, queueView, type Rules, type UserRow } from "../reconciler/queue_view.ts";
import { expectedWords } from "./expected.ts";
import { type Output, type QueueOptions, serialise } from "./output.ts";
import {
  type Listed,
  openRepository,
  readCluster,
  readSnapshot,
  type Snapshot,
} from "./status_source.ts";
import { table } from "./table.ts";
import { print, safe, tell } from "./text.ts";

/** While `cluster.yaml` cannot be read nobody has quotas or shares. */
const NO_RULES: Rules = { queues: [], users: [], groups: [], scheduling: DEFAULT_SCHEDULING };

const UNKNOWN = "queue.yaml of ugro/status is missing or not as UGRO writes it, so that nobody " +
  "knows who waits; the controller writes it anew in its next pass that changes something";

/** Prints the queue; gives the exit code: 1 when something could not be read. */
export async function queue(options: QueueOptions): Promise<number> {
  const repository = await openRepository(options.repo, options.branch);
  try {
    const snapshot = await readSnapshot(repository);
    const { cluster, problems } = await readCluster(repository, snapshot.desired);
    for (const line of problems) tell(`warning: ${safe(line)}`);
    const code = showQueue(snapshot, cluster ?? NO_RULES, options.output, Date.now());
    return problems.length > 0 ? 1 : code;
  } finally {
    await repository.close();
  }
}

/** Prints the queue of a snapshot. */
export function showQueue(
  snapshot: Snapshot,
  rules: Rules,
  output: Output,
  now: number,
): number {
  const { commit, jobs, unreadable, queue: listed } = snapshot;
  const { waiting = [], total = 0 } = listed ?? {};
  const isUnknown = commit !== undefined && !listed;
  for (const line of unreadable) tell(`warning: ${safe(line)}`);
  if (commit === undefined) tell("no status yet: the branch ugro/status does not exist");
  if (isUnknown) tell(`warning: ${UNKNOWN}`);
  const { queues, users } = queueView(rules, jobs, now);
  const byName = new Map(jobs.map((job) => [job.name, job]));
  switch (output) {
    case "json":
    case "yaml":
      print(serialise({ ...listed, queues, users }, output));
      break;
    case "name":
      if (waiting.length > 0) print(waiting.map(({ job }) => safe(job)).join("\n"));
      break;
    case "table":
    case "wide":
      if (waiting.length > 0) print(waitingTable(waiting, byName, output === "wide", now));
      else if (listed) tell("nobody waits");
      if (users.length > 0) print(`\n${userTable(users, output === "wide")}`);
      if (queues.length > 0) print(`\n${queueTable(queues)}`);
  }
  if (total > waiting.length) tell(`and ${total - waiting.length} more that wait`);
  return unreadable.length > 0 || isUnknown ? 1 : 0;
}

function waitingTable(
  waiting: readonly Listed[],
  jobs: ReadonlyMap<string, JobStatus>,
  wide: boolean,
  now: number,
): string {
  const heading = ["POSITION", "NAME", "QUEUE", "PRIORITY", "OWNER", "NEEDS", "REASON", "AHEAD"];
  const rows = waiting.map((entry) => {
    const job = jobs.get(entry.job);
    const row = [
      ...[`${entry.position}`, entry.job, job?.queue ?? "", `${job?.priority ?? ""}`],
      ...[job?.owner ?? "", entry.needs ?? "", entry.reason, `${entry.ahead ?? ""}`],
      expectedWords(entry, now),
    ];
    return wide ? [...row, job?.parent ?? "", entry.message] : row;
  });
  return table([...heading, "EXPECTED", ...(wide ? ["PARENT", "MESSAGE"] : [])], rows);
}

/** The jobs that name nobody are those of `-`. */
function userTable(users: readonly UserRow[], wide: boolean): string {
  const heading = ["USER", "GPUS", "SHARE", "USED", "WEEK", "LIMIT", ...(wide ? ["SCORE"] : [])];
  const rows = users.map((user) => {
    const { name, gpus, share, decayedGpuHours, weekGpuHours, score } = user;
    const row = [name, `${gpus}`, `${share}`, `${decayedGpuHours}`, `${weekGpuHours}`, limit(user)];
    return wide ? [...row, `${score ?? "last"}`] : row;
  });
  return table(heading, rows);
}

/** `8 GPUs, 100 h a week`. */
function limit({ maxGpus, gpuHoursPerWeek }: UserRow): string {
  return [
    maxGpus === undefined ? "" : `${maxGpus} GPU${maxGpus === 1 ? "" : "s"}`,
    gpuHoursPerWeek === undefined ? "" : `${gpuHoursPerWeek} h a week`,
  ].filter((text) => text !== "").join(", ");
}

function queueTable(queues: readonly QueueRow[]): string {
  const rows = queues.map(({ name, priority, gpus, quotaGpus = "", maxGpus = "" }) => {
    return [name, `${priority}`, `${gpus}`, `${quotaGpus}`, `${maxGpus}`];
  });
  return table(["QUEUE", "PRIORITY", "GPUS", "QUOTA", "MAX"], rows);
}
