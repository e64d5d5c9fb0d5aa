/**
 * Records a plan on the status branch before it is acted on: at most one commit a pass, none when
 * nothing changed, and, unless a launch must be recorded, none before `status.minInterval` is over.
 *
 * @module
 */
import { formatProblem, type Problem } from "../jobs/problem.ts";
import { cell } from "./dashboard.ts";
import type { Log } from "./execute.ts";
import { fileAt } from "./files.ts";
import { OUR_OWN } from "./history.ts";
import type { Right } from "./leadership.ts";
import type { History, Plan, Snapshot } from "./model.ts";
import type { Claim, Clock, StateRepository, StatusCommit } from "./ports.ts";
import { commitMessage, statusFiles } from "./status_files.ts";
import { renderWriter, WRITER_FILE } from "./writer.ts";

/** What came of recording. */
export interface Recorded {
  readonly committed: boolean;
  /** The history as it is now on the branch; undefined: as it was. */
  readonly history?: History;
  /** The branch has moved, or nobody knows: refresh before the next pass. */
  readonly moved: boolean;
  /** When to try again. */
  readonly retryAtMs?: number;
  /** True: it could not be recorded. What rests on it cannot be done before `retryAtMs` either. */
  readonly unrecorded?: true;
}

/** Pause after a commit that did not go through, with jitter by the clock's own unevenness. */
const RETRY_MS = 1000;

/** What a recorder needs. */
export interface RecorderDoors {
  readonly repository: StateRepository;
  readonly clock: Clock;
  readonly log: Log;
  readonly right: Right;
}

/** Writes the status branch. */
export class Recorder {
  #files: ReadonlyMap<string, string> | undefined;
  #head: string | undefined;
  #lastCommitMs = -Infinity;
  #problems = "";

  constructor(private readonly doors: RecorderDoors) {}

  /** Commits the statuses of a plan, if they differ from what is there and it is time. */
  async record(snapshot: Snapshot): Promise<Recorded> {
    const { history, plan, desired } = snapshot;
    const files = statusFiles(snapshot);
    if (this.#head === history.head && sameFiles(files, this.#files)) {
      return { committed: false, moved: false };
    }
    const { repository, clock, log, right } = this.doors;
    const now = clock.now();
    if (!right.mayAct()) {
      return { committed: false, moved: false, retryAtMs: now + RETRY_MS, unrecorded: true };
    }
    const due = this.#lastCommitMs + desired.cluster.policy.statusMinIntervalMs;
    if (now < due && !launchesAnew(plan, history) && !evictsAnew(plan, history)) {
      return { committed: false, moved: false, retryAtMs: due };
    }
    const outcome = await repository.commitStatus({
      base: history.head,
      files,
      keep: [...history.unreadable.keys()].map((name) => `jobs/${name}.yaml`),
      ...signed(
        right.claim,
        commitMessage(history, plan, { before: await this.#before(history.head), after: files }),
      ),
    });
    if (outcome.kind !== "ok") {
      log("warn", "cannot record on the status branch", {
        outcome: outcome.kind,
        reason: outcome.reason,
      });
      return { committed: false, moved: true, retryAtMs: now + RETRY_MS, unrecorded: true };
    }
    const committed = outcome.value !== history.head;
    if (committed) this.#lastCommitMs = clock.now();
    this.#files = files;
    this.#head = outcome.value;
    return {
      committed,
      moved: false,
      history: { ...history, head: outcome.value, jobs: written(plan, files), lost: false },
    };
  }

  /** What is on the branch: our own last commit, or of another one the nodes alone. */
  async #before(head: string | undefined): Promise<ReadonlyMap<string, string> | undefined> {
    if (head === undefined) return undefined;
    if (head === this.#head) return this.#files;
    const path = "cluster.yaml";
    const bytes = await fileAt(this.doors.repository, head, path, OUR_OWN.maxBytes);
    return bytes && new Map([[path, new TextDecoder().decode(bytes)]]);
  }

  /** Without a valid cluster.yaml nothing can be planned; the dashboard says so, all else stays. */
  async recordProblems(history: History, problems: readonly Problem[]): Promise<void> {
    const lines = problems.slice(0, 100).map((problem) => `- ${cell(formatProblem(problem))}`);
    const text = [
      "# UGRO cannot work yet",
      "",
      "Nothing is started or stopped until this is repaired:",
      "",
      ...lines,
      "",
    ].join("\n");
    if (text === this.#problems || history.head === undefined && problems.length === 0) return;
    const { repository, right } = this.doors;
    if (!right.mayAct()) return;
    const keep = history.head
      ? (await repository.listTree(history.head)).map((entry) => entry.path)
      : [];
    const outcome = await repository.commitStatus({
      base: history.head,
      files: new Map([["README.md", text]]),
      keep: keep.filter((path) => path !== "README.md"),
      ...signed(right.claim, "cluster: cluster.yaml has problems\n"),
    });
    if (outcome.kind === "ok") this.#problems = text;
  }
}

/** What each commit says of the claim by which it is made. */
function signed(claim: Claim, message: string): Pick<StatusCommit, "along" | "message"> {
  return {
    along: new Map([[WRITER_FILE, renderWriter(claim)]]),
    message: `${message}\nEpoch: ${claim.epoch}\n`,
  };
}

/** The statuses that are on the branch now: those of the plan, less dropped tombstones. */
function written(plan: Plan, files: ReadonlyMap<string, string>): History["jobs"] {
  return new Map([...plan.statuses].filter(([name]) => files.has(`jobs/${name}.yaml`)));
}

function launchesAnew(plan: Plan, history: History): boolean {
  return plan.actions.some((action) =>
    action.kind === "launch" &&
    history.jobs.get(action.job.spec.name)?.attempt !== action.attempt.attempt
  );
}

/** An attempt is stopped for another only once that is recorded, and somebody waits for it. */
function evictsAnew(plan: Plan, history: History): boolean {
  return [...plan.statuses.values()].some((status) => {
    const evicted = status.attempts.at(-1)?.evicted;
    return evicted !== undefined && status !== history.jobs.get(status.name) &&
      history.jobs.get(status.name)?.attempts.at(-1)?.evicted === undefined;
  });
}

function sameFiles(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string> | undefined,
): boolean {
  if (!b || a.size !== b.size) return false;
  for (const [path, text] of a) if (b.get(path) !== text) return false;
  return true;
}
