/**
 * The truth about all runs, whatever any controller can see of it, kept up to date event by event.
 *
 * @module
 */
import { holdsMachine, runKey, type SimRun } from "../../providers/sim/run.ts";
import type { MachineEvent } from "../../providers/sim/events.ts";

/** A run and where it is. */
export interface Placed {
  readonly run: SimRun;
  readonly node: string;
  /** When it came to be, in true time. */
  readonly atMs: number;
}

/** Every run that there ever was. */
export class Truth {
  /** Runs that hold processes or may start some, by job. */
  readonly live = new Map<string, Set<Placed>>();
  /** The same by `NODE UUID` of the GPUs that they were given. */
  readonly holders = new Map<string, Set<Placed>>();
  /** All runs of an attempt, by `JOB/ATTEMPT`. */
  readonly attempts = new Map<string, Placed[]>();
  /** How often the agent of a `JOB/ATTEMPT/RANK` was started, anywhere. */
  readonly starts = new Map<string, number>();
  /** The highest attempt of a job that any machine was ever told of. */
  readonly newest = new Map<string, number>();
  /** Counts events. */
  events = 0;
  launches = 0;
  readonly #placed = new Map<SimRun, Placed>();

  /** Takes over an event; gives the placed run that it is about. */
  note(node: string, event: MachineEvent, atMs: number): Placed | undefined {
    this.events++;
    if (!("run" in event)) return undefined;
    const { run, kind } = event;
    const placed = this.#placed.get(run) ?? this.#add({ run, node, atMs });
    if (kind === "started") {
      const key = runKey(run.id);
      this.starts.set(key, (this.starts.get(key) ?? 0) + 1);
    }
    if (kind === "created") this.launches++;
    if (holdsMachine(run)) this.#hold(placed);
    else this.#release(placed);
    return placed;
  }

  /** Runs of an attempt, wherever they are. */
  runsOf(job: string, attempt: number): readonly Placed[] {
    return this.attempts.get(`${job}/${attempt}`) ?? [];
  }

  /** Live runs of a job. */
  liveOf(job: string): ReadonlySet<Placed> {
    return this.live.get(job) ?? NOTHING;
  }

  #add(placed: Placed): Placed {
    const { job, attempt } = placed.run.id;
    this.#placed.set(placed.run, placed);
    const key = `${job}/${attempt}`;
    const list = this.attempts.get(key) ?? [];
    list.push(placed);
    this.attempts.set(key, list);
    this.newest.set(job, Math.max(this.newest.get(job) ?? 0, attempt));
    return placed;
  }

  #hold(placed: Placed): void {
    const { run, node } = placed;
    const set = this.live.get(run.id.job) ?? new Set();
    set.add(placed);
    this.live.set(run.id.job, set);
    for (const uuid of run.spec.gpus) {
      const key = `${node} ${uuid}`;
      const here = this.holders.get(key);
      if (here) here.add(placed);
      else this.holders.set(key, new Set([placed]));
    }
  }

  #release(placed: Placed): void {
    const { run, node } = placed;
    this.live.get(run.id.job)?.delete(placed);
    for (const uuid of run.spec.gpus) {
      const key = `${node} ${uuid}`;
      const here = this.holders.get(key);
      if (here?.delete(placed) && here.size === 0) this.holders.delete(key);
    }
  }
}

const NOTHING: ReadonlySet<Placed> = new Set();

/** True when a run ended by itself with exit code 0. */
export function succeeded({ run }: Placed): boolean {
  return run.exit?.reason === "exited" && run.exit.code === 0;
}

/** True when nothing is wrong with a run: it is on its way, it trains, or it has succeeded. */
export function isFine(placed: Placed): boolean {
  const { run } = placed;
  if (run.stop !== null && !succeeded(placed)) return false;
  return run.exit ? succeeded(placed) : run.supervisor;
}
