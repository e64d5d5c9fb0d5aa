/**
 * Replays jobs through the scheduler in virtual time: from one arrival or end to the next, with a
 * pass at each, as the controller would do on machines that never fail.
 *
 * @example
 * const run = replay(workloadOf(rows, rooms, "rounded"), { ...cluster, rooms, schedule, … });
 *
 * @module
 */
import type { Cluster } from "../../cluster/cluster.ts";
import type {
  Holding,
  Request,
  Room,
  Schedule,
  ScheduleInput,
} from "../../reconciler/scheduling/types.ts";
import { Agenda } from "./agenda.ts";
import { Entitlements } from "./entitled.ts";
import { UsageMeter } from "./meter.ts";
import { Demand } from "./usable.ts";
import { gpusOf, type SimJob } from "./workload.ts";

/** The world in which jobs are replayed. */
export interface World extends Pick<Cluster, "queues" | "users" | "groups" | "scheduling"> {
  /** The nodes, with nothing on them; they are left as they are. */
  readonly rooms: readonly Room[];
  readonly schedule: (input: ScheduleInput) => Schedule;
  /** Every job saves a checkpoint when it has run so long, and so on. */
  readonly checkpointMs: number;
  /** Called now and then with the jobs that have ended. */
  readonly onProgress?: (ended: number) => void;
}

/** What became of a job. */
export interface Outcome {
  readonly job: SimJob;
  /** undefined: it never ran. */
  startMs: number | undefined;
  /** undefined: it never ended. */
  endMs: number | undefined;
  /** Time for which it had GPUs. */
  heldMs: number;
  /** Work that was done again. */
  lostMs: number;
  evictions: number;
}

/** GPUs that were held for a time. */
export interface Stay {
  readonly startMs: number;
  readonly endMs: number;
  readonly gpus: number;
}

/** A replay from the first arrival to the last end. */
export interface Run {
  readonly outcomes: readonly Outcome[];
  readonly stays: readonly Stay[];
  /** GPUs of the cluster. */
  readonly capacity: number;
  /** From the first to the last submission; to the last end where all were submitted at once. */
  readonly window: { readonly fromMs: number; readonly toMs: number };
  readonly lastEndMs: number;
  /** Free GPUs × time, while somebody waited, in this window. */
  readonly idleGpuMs: number;
  /** The part of that which nobody who waited could have used. */
  readonly unusableGpuMs: number;
  /** GPU time that each user was entitled to: `entitled.ts`. */
  readonly entitledGpuMs: ReadonlyMap<string, number>;
  readonly passes: number;
}

/** Passes are at least so far apart. */
const PASS_MS = 1000;
/** A pass is made after so long without an event, where time alone may change something. */
const QUIET_MS = 600_000;
/** Limits count seven days: whoever has not started a day later on an empty cluster never does. */
const GIVE_UP_MS = 8 * 86_400_000;
/** Far more passes a job than there are events, unless jobs stop each other without end. */
const MAX_PASSES_A_JOB = 1000;

/** Replays jobs, which must be in the order of submission. */
export function replay(jobs: readonly SimJob[], world: World): Run {
  return new Replay(jobs, world).run();
}

/** A job on its way. */
interface Task {
  readonly request: Request;
  readonly outcome: Outcome;
  readonly gpus: number;
  /** Work that is saved. */
  doneMs: number;
}

interface Running {
  readonly task: Task;
  readonly holding: { -readonly [K in keyof Holding]: Holding[K] };
  /** When it is done, if it is left alone. */
  readonly doneAtMs: number;
  /** True when its GPUs are free again. */
  over: boolean;
}

class Replay {
  readonly #rooms: Room[];
  readonly #roomOf: ReadonlyMap<string, Room>;
  readonly #capacity: number;
  readonly #tasks: readonly Task[];
  readonly #taskOf: ReadonlyMap<string, Task>;
  readonly #agenda = new Agenda<Running>();
  readonly #running = new Map<string, Running>();
  readonly #stays: Stay[] = [];
  /** The window of the figures. */
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #demand: Demand;
  readonly #meter: UsageMeter;
  readonly #entitlements: Entitlements;
  /** Whether the cluster lets anybody be stopped for anybody. */
  readonly #mayEvict: boolean;
  /** Whether time alone may let somebody start. */
  readonly #watchesTime: boolean;
  #waiting: Request[] = [];
  #arrived = 0;
  #ended = 0;
  #now = 0;
  #lastEndMs = 0;
  #passes = 0;
  /** Since the last pass. */
  #free = 0;
  #unusable = 0;
  #idleGpuMs = 0;
  #unusableGpuMs = 0;

  constructor(jobs: readonly SimJob[], private readonly world: World) {
    this.#rooms = world.rooms.map((room) => ({ ...room }));
    this.#roomOf = new Map(this.#rooms.map((room) => [room.node.name, room]));
    this.#capacity = this.#rooms.reduce((sum, room) => sum + room.slots.size, 0);
    this.#fromMs = jobs[0]?.submitMs ?? 0;
    const lastMs = jobs.at(-1)?.submitMs ?? 0;
    this.#toMs = lastMs > this.#fromMs ? lastMs : Infinity;
    this.#demand = new Demand(this.#rooms);
    this.#tasks = jobs.map(newTask);
    this.#taskOf = new Map(this.#tasks.map((task) => [task.request.name, task]));
    const { scheduling: { halfLifeMs, preemption }, queues, users, groups } = world;
    const byWeek = [...users, ...groups].some((who) => who.gpuHoursPerWeek !== undefined);
    this.#meter = new UsageMeter(halfLifeMs, byWeek);
    this.#entitlements = new Entitlements(this.#capacity, users);
    this.#mayEvict = preemption.byPriority ||
      preemption.reclaim && queues.some((queue) => queue.quotaGpus !== undefined);
    this.#watchesTime = this.#mayEvict || byWeek;
  }

  run(): Run {
    this.#now = this.#nextArrivalMs - PASS_MS;
    let lastMs = this.#now;
    for (let next = this.#nextArrivalMs; next < Infinity; next = this.#next(lastMs)) {
      const now = Math.max(Math.ceil(next / PASS_MS) * PASS_MS, this.#now + PASS_MS);
      this.#tally(now);
      if (this.#arrivals(now) + this.#ends(now) > 0) lastMs = now;
      this.#pass(now);
    }
    return {
      outcomes: this.#tasks.map((task) => task.outcome),
      stays: this.#stays,
      capacity: this.#capacity,
      window: {
        fromMs: this.#fromMs,
        toMs: this.#toMs < Infinity ? this.#toMs : this.#lastEndMs,
      },
      lastEndMs: this.#lastEndMs,
      idleGpuMs: this.#idleGpuMs,
      unusableGpuMs: this.#unusableGpuMs,
      entitledGpuMs: this.#entitlements.gpuMs,
      passes: this.#passes,
    };
  }

  get #nextArrivalMs(): number {
    return this.#tasks[this.#arrived]?.request.submittedMs ?? Infinity;
  }

  /** When the next pass is due; Infinity when nothing will ever change. */
  #next(lastMs: number): number {
    const event = Math.min(this.#nextArrivalMs, this.#agenda.nextMs);
    const idle = this.#running.size === 0;
    if (this.#waiting.length === 0 || !(this.#watchesTime || idle)) return event;
    const hopeless = this.#demand.isStuck || this.#now - lastMs > GIVE_UP_MS;
    if (idle && hopeless) return event;
    return Math.min(event, this.#now + QUIET_MS);
  }

  /** Counts what was free in the window since the last pass. */
  #tally(now: number): void {
    const ms = Math.max(0, Math.min(now, this.#toMs) - this.#now);
    this.#idleGpuMs += this.#free * ms;
    this.#unusableGpuMs += this.#unusable * ms;
    this.#now = now;
  }

  #arrivals(now: number): number {
    const before = this.#arrived;
    while (this.#nextArrivalMs <= now) {
      const { request, gpus } = this.#tasks[this.#arrived++]!;
      this.#entitlements.want(request.user, gpus, now);
      this.#wait(request);
    }
    return this.#arrived - before;
  }

  #wait(request: Request): void {
    this.#waiting.push(request);
    this.#demand.count(request.need, 1);
  }

  #ends(now: number): number {
    let count = 0;
    for (let ending = this.#agenda.due(now); ending; ending = this.#agenda.due(now)) {
      if (ending.over) continue;
      this.#leave(ending, now);
      count++;
    }
    return count;
  }

  /** A job gives its GPUs back: it is done, or it was stopped and waits again. */
  #leave(running: Running, now: number): void {
    const { task, holding } = running;
    const { outcome, request } = task;
    const endMs = holding.leaving ? now : running.doneAtMs;
    running.over = true;
    this.#lastEndMs = Math.max(this.#lastEndMs, endMs);
    this.#running.delete(request.name);
    for (const { node, gpus } of holding.placement) {
      const room = this.#room(node);
      room.free = [...room.free, ...gpus.map((uuid) => room.slots.get(uuid)!)];
    }
    this.#meter.stop(request.user, task.gpus, holding.startedMs, now);
    this.#stays.push({ startMs: holding.startedMs, endMs, gpus: task.gpus });
    outcome.heldMs += endMs - holding.startedMs;
    if (holding.leaving) return this.#wait(request);
    outcome.endMs = endMs;
    this.#entitlements.want(request.user, -task.gpus, now);
    this.world.onProgress?.(++this.#ended);
  }

  #pass(now: number): void {
    // When no free GPU is of use to anybody, a pass can place nobody.
    if (this.#waiting.length > 0 && (this.#mayEvict || !this.#demand.isStuck)) this.#schedule(now);
    const someoneWaits = this.#waiting.length > 0;
    this.#free = someoneWaits ? this.#rooms.reduce((sum, { free }) => sum + free.length, 0) : 0;
    this.#unusable = this.#free > 0 ? this.#demand.unusable() : 0;
  }

  #schedule(now: number): void {
    const { queues, users, groups, scheduling, schedule, checkpointMs } = this.world;
    if (++this.#passes > MAX_PASSES_A_JOB * this.#tasks.length + GIVE_UP_MS / QUIET_MS) {
      throw new Error(
        `Cannot replay the trace under ${scheduling.policy}: after ${this.#passes} passes there ` +
          "is no end; jobs may be stopping each other (raise scheduling.preemption.protect)",
      );
    }
    const holdings = [...this.#running.values()].map(({ holding }) => {
      if (!holding.leaving) holding.lostMs = (now - holding.startedMs) % checkpointMs;
      return holding;
    });
    const { placed, evictions } = schedule({
      requests: this.#waiting,
      holdings,
      rooms: this.#rooms.map((room) => ({ ...room, free: room.free.slice() })),
      queues,
      users,
      groups,
      scheduling,
      usage: this.#meter.read(now),
      now,
      limit: Infinity,
      explain: false,
      confirm: () => ({ kind: "go" }),
    });
    for (const { request, placement } of placed) this.#start(request, placement, now);
    if (placed.length > 0) {
      this.#waiting = this.#waiting.filter(({ name }) => !this.#running.has(name));
    }
    for (const { job } of evictions) this.#evict(job, now);
  }

  #start(request: Request, placement: Holding["placement"], now: number): void {
    const task = this.#taskOf.get(request.name);
    if (!task) throw new Error(`Cannot start ${request.name}: it did not ask for it`);
    for (const { node, gpus } of placement) {
      const room = this.#room(node);
      const left = room.free.filter(({ uuid }) => !gpus.includes(uuid));
      if (left.length !== room.free.length - gpus.length) {
        throw new Error(`Cannot start ${request.name}: not all of ${gpus.join(", ")} is free`);
      }
      room.free = left;
    }
    const { name, queue, priority, user, need, length } = request;
    const claimant = { name, queue, priority, user, need, length };
    const holding = { ...claimant, placement, startedMs: now, leaving: false, lostMs: 0 };
    const doneAtMs = now + task.outcome.job.durationMs - task.doneMs;
    const running: Running = { task, holding, doneAtMs, over: false };
    this.#running.set(name, running);
    this.#demand.count(need, -1);
    this.#meter.start(user, task.gpus, now);
    task.outcome.startMs ??= now;
    this.#agenda.add(doneAtMs, running);
  }

  /** A job stops at its newest checkpoint; its GPUs are free at the next pass. */
  #evict(job: string, now: number): void {
    const running = this.#running.get(job);
    if (!running || running.holding.leaving) return;
    const { holding, task } = running;
    const ranMs = now - holding.startedMs;
    const lostMs = ranMs % this.world.checkpointMs;
    holding.leaving = true;
    task.doneMs += ranMs - lostMs;
    task.outcome.lostMs += lostMs;
    task.outcome.evictions++;
    this.#agenda.add(now + PASS_MS, running);
  }

  #room(node: string): Room {
    const room = this.#roomOf.get(node);
    if (!room) throw new Error(`Cannot use ${node}: the cluster has no such node`);
    return room;
  }
}

const NOWHERE: Request["preferred"] = new Map();

/** What a job asks of the scheduler. */
export function requestOf(job: SimJob): Request {
  const { name, user, priority, need, length, submitMs: submittedMs } = job;
  return {
    ...{ name, user, priority, need, length, submittedMs },
    queue: "default",
    preferred: NOWHERE,
  };
}

function newTask(job: SimJob): Task {
  const request = requestOf(job);
  const counts = { heldMs: 0, lostMs: 0, evictions: 0 };
  const outcome = { job, startMs: undefined, endMs: undefined, ...counts };
  return { request, outcome, gpus: gpusOf(job.need), doneMs: 0 };
}
