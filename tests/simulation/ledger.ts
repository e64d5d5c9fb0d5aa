/**
 * The status branch as it is on the remote, commit by commit: what it says of each job, and whether
 * its own rules hold.
 *
 * @module
 */
import type { RefMove } from "../../providers/sim/remote.ts";
import { readStatus, type Told } from "./told.ts";

/** One job whose file a commit changed. */
export interface Change {
  readonly job: string;
  readonly before: Told | undefined;
  readonly after: Told | undefined;
  /** The text of the new file. */
  readonly text: string;
}

/** One commit that a controller pushed. */
export interface StatusMove {
  readonly move: RefMove;
  readonly changes: readonly Change[];
  /** What all files say, before it and after it. */
  readonly before: ReadonlyMap<string, Told>;
  readonly after: ReadonlyMap<string, Told>;
  /** All files that are new or have other contents. */
  readonly texts: readonly string[];
  /** How many files are gone. */
  readonly removed: number;
  /** From the message; undefined: it has no such line. */
  readonly epoch: number | undefined;
}

/** What `SimRemote` shows of itself to this ledger. */
export interface StatusRemote {
  readonly statusLog: readonly RefMove[];
  files(commit: string): ReadonlyMap<string, { readonly oid: string }>;
  text(oid: string): string | undefined;
}

/** Follows the branch. */
export class Ledger {
  /** What the head of the branch says, by job. */
  jobs: ReadonlyMap<string, Told> = new Map();
  /** Every `JOB/ATTEMPT` that was ever recorded, and when it was first. */
  readonly recorded = new Map<string, number>();
  /** When an attempt was first said to have ended. */
  readonly ended = new Map<string, number>();
  commits = 0;
  #read = 0;
  #oids: ReadonlyMap<string, string> = new Map();
  readonly #told = new Map<string, Told>();

  constructor(private readonly remote: StatusRemote) {}

  /** True when there is something new to read. */
  get behind(): boolean {
    return this.#read < this.remote.statusLog.length;
  }

  /** Reads on; gives the commits of controllers. */
  catchUp(nowMs: number): StatusMove[] {
    const moves: StatusMove[] = [];
    const log = this.remote.statusLog;
    while (this.#read < log.length) {
      const move = log[this.#read++] as RefMove;
      const step = this.#follow(move, nowMs);
      if (move.by === "person") continue;
      this.commits++;
      moves.push(step);
    }
    return moves;
  }

  #follow(move: RefMove, nowMs: number): StatusMove {
    const files = move.commit === undefined ? new Map() : this.remote.files(move.commit);
    const oids = new Map<string, string>();
    const jobs = new Map<string, Told>();
    const changes: Change[] = [];
    const texts: string[] = [];
    for (const [path, { oid }] of files) {
      oids.set(path, oid);
      const changed = this.#oids.get(path) !== oid;
      const text = changed ? this.remote.text(oid) ?? "" : "";
      if (changed) texts.push(text);
      const job = /^jobs\/(.+)\.yaml$/.exec(path)?.[1];
      if (job === undefined) continue;
      const before = this.jobs.get(job);
      if (!changed && before) {
        jobs.set(job, before);
        continue;
      }
      const after = this.#parse(oid, text);
      jobs.set(job, after);
      for (const { attempt, end } of after.attempts) {
        const key = `${job}/${attempt}`;
        if (!this.recorded.has(key)) this.recorded.set(key, nowMs);
        if (end !== undefined && !this.ended.has(key)) this.ended.set(key, nowMs);
      }
      changes.push({ job, before, after, text });
    }
    for (const [job, before] of this.jobs) {
      if (!jobs.has(job)) changes.push({ job, before, after: undefined, text: "" });
    }
    const removed = [...this.#oids.keys()].filter((path) => !oids.has(path)).length;
    this.#oids = oids;
    const told = { move, changes, texts, removed, before: this.jobs, after: jobs };
    this.jobs = jobs;
    const epoch = /^Epoch: (\d+)$/m.exec(move.message)?.[1];
    return { ...told, epoch: epoch === undefined ? undefined : Number(epoch) };
  }

  #parse(oid: string, text: string): Told {
    const known = this.#told.get(oid);
    if (known) return known;
    const told = readStatus(text || (this.remote.text(oid) ?? ""));
    this.#told.set(oid, told);
    return told;
  }
}
