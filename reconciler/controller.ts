/**
 * The controller: one pass is read, observe, plan, record, act, in this order. Recording comes
 * before acting, so that no launch is ever forgotten (docs/adr/0002-write-ahead-status.md). A pass
 * over an unchanged world commits nothing and sends nothing but questions.
 *
 * @module
 */
import type { Surroundings } from "../cluster/legacy.ts";
import type { NodeSpec } from "../cluster/node.ts";
import { DesiredReader } from "./desired.ts";
import { earliest } from "./elapsed.ts";
import { type Doors, execute } from "./execute.ts";
import { fencedFleet } from "./fenced_fleet.ts";
import { HistoryReader } from "./history.ts";
import { withInstances } from "./instances.ts";
import type { Right } from "./leadership.ts";
import type { Action, Desired, History, LaunchFailure, Observed, Snapshot } from "./model.ts";
import type { Watched } from "./model.ts";
import { plan as planPass } from "./plan.ts";
import type { CheckpointQuery, Clock, Heads, Outcome } from "./ports.ts";
import { type Recorded, Recorder } from "./record.ts";
import { checkpointDir } from "./resume.ts";
import { watch } from "./watch.ts";

/** What a controller needs. */
export interface ControllerOptions extends Doors {
  readonly clock: Clock;
  /** This controller's right to write. */
  readonly right: Right;
  /** What `cluster.yaml` may refer to of this machine: its name, `${USER}`, `${HOME}`. */
  readonly around?: Surroundings;
}

/** What one pass did. */
export interface PassResult {
  /** False when nothing is known yet of what is wanted. */
  readonly planned: boolean;
  readonly actions: readonly Action[];
  readonly mutations: number;
  readonly committed: boolean;
  /** When the next pass is due although nothing else happens. */
  readonly wakeAtMs: number | undefined;
  readonly failures: number;
}

/** A newer controller works on these nodes: this one must end. */
export class DeposedError extends Error {
  override readonly name = "DeposedError";
}

const NOTHING: PassResult = {
  planned: false,
  actions: [],
  mutations: 0,
  committed: false,
  wakeAtMs: undefined,
  failures: 0,
};

/** Makes passes. Not reentrant: one pass at a time. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #desiredReader: DesiredReader;
  readonly #historyReader: HistoryReader;
  readonly #recorder: Recorder;
  #heads: Heads | undefined;
  #history: History | undefined;
  #failures: ReadonlyMap<string, LaunchFailure> = new Map();
  #specs: ReadonlyMap<string, NodeSpec> = new Map();
  #snapshot: Snapshot | undefined;
  #watched: ReadonlyMap<string, Watched> = new Map();

  constructor(options: ControllerOptions) {
    this.#options = { ...options, fleet: fencedFleet(options.fleet, options.right) };
    this.#desiredReader = new DesiredReader(
      options.repository,
      options.around ?? {},
      options.secrets,
    );
    this.#historyReader = new HistoryReader(options.repository);
    this.#recorder = new Recorder(options);
  }

  /** The last pass, for those who show it. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** One pass. `refresh` fetches the repository first; without it the last fetch is used. */
  async pass(refresh: boolean): Promise<PassResult> {
    const { fleet, clock, log, right } = this.#options;
    // 1. read
    const read = await this.#read(refresh);
    if (right.deposed !== undefined) throw new DeposedError(right.deposed);
    if (!read) return { ...NOTHING, failures: 1 };
    const { desired, history } = read;
    // 2. observe
    fleet.configure(this.#nodesInUse(desired, history), right.claim);
    const observed = await this.#observe(desired, history);
    // 3. plan
    const plan = planPass({ desired, observed, history, now: clock.now() });
    this.#snapshot = { desired, observed, history, plan };
    // 4. record
    const recorded = await this.#recorder.record(this.#snapshot);
    if (recorded.history) {
      this.#history = recorded.history;
      if (this.#heads) this.#heads = { ...this.#heads, status: recorded.history.head };
    }
    if (recorded.moved) this.#heads = undefined;
    // 5. act
    const allowed = plan.actions.filter((action) =>
      action.kind !== "launch" || isRecorded(action, this.#history ?? history)
    );
    const done = await execute(allowed, desired.cluster, this.#options);
    if (done.deposed) await this.#confirmDeposed(done.deposed);
    this.#failures = done.failures;
    const unanswered = plan.needCheckpoints.some((name) => !observed.checkpointsOf.has(name));
    const waitsForCheckpoints = unanswered ? clock.now() : undefined;
    log(allowed.length > 0 || recorded.committed ? "info" : "debug", "pass", {
      commit: desired.commit.slice(0, 12),
      actions: plan.actions.length,
      committed: recorded.committed,
      waiting: plan.waiting.length,
    });
    return {
      planned: true,
      actions: allowed,
      mutations: done.mutations,
      committed: recorded.committed,
      wakeAtMs: wakeOf(earliest(plan.wakeAtMs, recorded.retryAtMs, waitsForCheckpoints), recorded),
      failures: done.failures.size,
    };
  }

  /** A node says that a newer controller has been there. Only the lease can confirm it. */
  async #confirmDeposed(reason: string): Promise<void> {
    const { log, right } = this.#options;
    const heads = await this.#refresh();
    if (right.deposed !== undefined) throw new DeposedError(right.deposed);
    log("warn", "a node has seen a newer epoch although the lease is ours: it was set back", {
      reason,
    });
    const seen = Number(/ (\d{1,15})$/.exec(reason)?.[1]);
    if (heads.kind === "ok" && Number.isSafeInteger(seen)) right.outgrow(seen);
  }

  /** Fetches, and tells what was seen of the lease. */
  async #refresh(): Promise<Outcome<Heads>> {
    const { repository, right } = this.#options;
    const askedAtMs = right.now();
    const heads = await repository.refresh();
    if (heads.kind === "ok") right.note(heads.value.lease, askedAtMs);
    return heads;
  }

  async #read(refresh: boolean): Promise<{ desired: Desired; history: History } | undefined> {
    const { log, right } = this.#options;
    if (refresh || !this.#heads) {
      const heads = await this.#refresh();
      if (heads.kind === "ok") this.#heads = heads.value;
      else log("warn", "cannot refresh the state repository", { reason: heads.reason });
      if (heads.kind !== "ok" && !this.#heads) return undefined;
    }
    const heads = this.#heads as Heads;
    if (!this.#history || this.#history.head !== heads.status) {
      const gone = heads.status === undefined &&
        (right.claim.epoch > 1 || this.#history?.head !== undefined);
      const read = await this.#historyReader.read(heads.status, gone);
      this.#history = isSetBack(this.#history, read) ? { ...read, lost: true } : read;
    }
    const desired = await this.#desiredReader.read(heads.desired);
    for (const note of desired.notes) log("warn", note.text, note.fields);
    if (desired.value) return { desired: desired.value, history: this.#history };
    await this.#recorder.recordProblems(this.#history, desired.problems);
    return undefined;
  }

  /**
   * The nodes of the cluster, and those that left it while an attempt was on them: it may end
   * there, or be stopped, but nothing new is placed on them.
   */
  #nodesInUse(desired: Desired, history: History): readonly NodeSpec[] {
    const current = new Set(desired.cluster.nodes.map((node) => node.name as string));
    const placed = new Set<string>();
    for (const { attempts } of history.jobs.values()) {
      const newest = attempts.at(-1);
      if (newest && !newest.end) newest.placement.forEach(({ node }) => placed.add(node));
    }
    const departing = [...this.#specs.values()].filter(({ name }) =>
      !current.has(name) && placed.has(name)
    );
    const nodes = [...desired.cluster.nodes, ...departing];
    this.#specs = new Map(nodes.map((node) => [node.name, node]));
    return nodes;
  }

  async #observe(desired: Desired, history: History): Promise<Observed> {
    const { fleet, clock } = this.#options;
    const names = this.#snapshot?.plan.needCheckpoints ?? [];
    const known = withInstances(desired, history, clock.now()).desired;
    const queries = checkpointQueries(known, names);
    const observed: Observed = {
      nodes: await fleet.observe(queries),
      launchFailures: this.#failures,
      checkpointsOf: new Set(queries.map((query) => query.job)),
    };
    this.#watched = watch(this.#watched, observed, history.jobs, known, clock.now());
    return { ...observed, watched: this.#watched };
  }
}

/**
 * When the next pass is due. While nothing can be recorded, nothing that was decided can be done:
 * a plan that asks to be made again at once must not ask every node dozens of times a second.
 */
function wakeOf(ms: number | undefined, { unrecorded, retryAtMs }: Recorded): number | undefined {
  return ms === undefined || !unrecorded ? ms : Math.max(ms, retryAtMs ?? ms);
}

/** Somebody rewound the status branch: it has forgotten attempts that this controller knows of. */
function isSetBack(before: History | undefined, after: History): boolean {
  for (const [name, { attempt }] of before?.jobs ?? []) {
    if (!after.unreadable.has(name) && (after.jobs.get(name)?.attempt ?? 0) < attempt) return true;
  }
  return false;
}

/** A launch may happen only when the status branch knows of its attempt. */
function isRecorded(action: Extract<Action, { kind: "launch" }>, history: History): boolean {
  const known = history.jobs.get(action.job.spec.name);
  return known?.attempts.some((a) => a.attempt === action.attempt.attempt) ?? false;
}

/** Jobs that would be launched if it were known where their checkpoints are. */
function checkpointQueries(desired: Desired, names: readonly string[]): CheckpointQuery[] {
  return names.flatMap((name) => {
    const job = desired.jobs.get(name);
    if (!job) return [];
    const { pattern, marker } = job.spec.checkpoint;
    return [{ job: name, dir: checkpointDir(job), pattern, ...(marker ? { marker } : {}) }];
  });
}
