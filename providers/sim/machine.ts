/**
 * A simulated machine: its cards, its runs with the rules of `docs/runner.md`, and its faults.
 * It knows nothing of controllers but the highest epoch that it was shown.
 *
 * @module
 */
import type { NodeName } from "../../cluster/node.ts";
import type { RunError, RunExit, RunId, RunRecord } from "../../jobs/run.ts";
import type {
  CheckpointQuery,
  Claim,
  LaunchReply,
  LaunchSpec,
  Outcome,
  ReachableNode,
} from "../../reconciler/ports.ts";
import type { Behaviour } from "./behaviour.ts";
import { CheckpointStore } from "./checkpoints.ts";
import type { VirtualClock } from "./clock.ts";
import type { MachineEvent } from "./events.ts";
import type { GangHost, SimGang } from "./gang.ts";
import { makeGpus, observeGpus, type SimGpu } from "./gpus.ts";
import { isLive, recordOf, runKey, type SimRun } from "./run.ts";

/** What a machine is made of. */
export interface MachineOptions {
  readonly gpus?: number;
  readonly gpuModel?: string;
  readonly gpuMemoryMiB?: number;
}

/** What a machine needs of the world around it. */
export interface Surroundings {
  readonly clock: VirtualClock;
  readonly shared: CheckpointStore;
  behaviourOf(job: string): Behaviour;
  gangOf(run: RunId, spec: LaunchSpec): SimGang;
  /** Something that a runner would report has happened. */
  changed(node: NodeName, what: string): void;
  /** Something has happened, whoever may learn of it. */
  happened(node: NodeName, event: MachineEvent): void;
}

/** One machine. The fields that can be written are its faults. */
export class SimMachine implements GangHost {
  /** False: it is off, or it hangs. */
  up = true;
  /** Requests do not arrive: what is asked certainly does not happen, but nobody learns that. */
  requestsCut = false;
  /** Replies do not arrive: what is asked happens, but nobody learns that. */
  repliesCut = false;
  /** Virtual time that each operation takes. */
  latencyMs = 0;
  /** New runs are refused for want of disk. */
  diskFull = false;
  /** How far the machine's clock is ahead. */
  skewMs = 0;
  readonly gpus: readonly SimGpu[];
  readonly codes = new Set<string>();
  readonly checkpoints = new CheckpointStore();
  readonly runs = new Map<string, SimRun>();
  #gpuProblem: string | undefined;
  #owner: string | undefined;
  #boots = 1;
  #epoch = 0;
  #pids = 1000;
  #seen: ReachableNode | undefined;

  constructor(
    readonly name: NodeName,
    private readonly world: Surroundings,
    { gpus = 8, gpuModel = "NVIDIA H100", gpuMemoryMiB = 81_559 }: MachineOptions = {},
  ) {
    this.gpus = makeGpus(name, gpus, gpuModel, gpuMemoryMiB);
  }

  /** Names this boot of the machine. */
  get bootId(): string {
    return `${this.name}-boot-${this.#boots}`;
  }

  /**
   * A session opens. A work directory belongs to the state repository that used it first; false:
   * that is another one. Older epochs than the one shown are refused from now on.
   */
  hello({ repository, epoch }: Claim): boolean {
    this.#owner ??= repository;
    if (this.#owner !== repository) return false;
    if (epoch > this.#epoch) {
      this.#epoch = epoch;
      this.world.happened(this.name, { kind: "epoch", epoch });
    }
    return true;
  }

  /** `observe`. The same object as before while nothing has changed. */
  observe(queries: readonly CheckpointQuery[]): ReachableNode {
    const seen = this.#seen ??= {
      state: "reachable",
      node: this.name,
      bootId: this.bootId,
      gpus: this.#gpuProblem ? undefined : observeGpus(this.gpus, this.runs.values()),
      ...(this.#gpuProblem ? { gpuProblem: this.#gpuProblem } : {}),
      cpuCores: 64,
      memoryTotalMiB: 512_000,
      memoryAvailableMiB: 500_000,
      diskFreeMiB: this.diskFull ? 0 : 1_000_000,
      runs: [...this.runs.values()].map(recordOf),
      checkpoints: new Map(),
    };
    if (queries.length === 0) return seen;
    for (const run of this.runs.values()) {
      if (isLive(run)) this.world.gangOf(run.id, run.spec).save();
    }
    return {
      ...seen,
      checkpoints: new Map(queries.map(({ job, dir }) => [job, this.#checkpointsIn(dir)])),
    };
  }

  /** `launch`: idempotent by job, attempt and rank. */
  launch(epoch: number, id: RunId, spec: LaunchSpec): Outcome<LaunchReply> {
    const stale = this.#fence(epoch);
    if (stale) return stale;
    const old = this.runs.get(runKey(id));
    if (old) {
      this.#superviseAgain(old);
      return { kind: "ok", value: { run: recordOf(old), created: false } };
    }
    if (this.diskFull) return { kind: "retryable", reason: "no-space: the disk is full" };
    if (spec.code !== null && !this.codes.has(spec.code)) {
      return { kind: "terminal", reason: `not-found: no code ${spec.code}` };
    }
    const { clock } = this.world;
    const pid = this.#pids++;
    const run: SimRun = {
      id: { job: id.job, attempt: id.attempt, rank: id.rank },
      spec,
      behaviour: this.world.behaviourOf(id.job),
      epoch,
      bootId: this.bootId,
      createdAtMs: this.#now(),
      masterPort: spec.master.port || 20_000 + pid % 10_000,
      pid,
      supervisor: true,
      agentStarts: 0,
      startedAtMs: null,
      processes: 0,
      stop: null,
      exit: null,
      error: null,
    };
    this.runs.set(runKey(id), run);
    this.world.happened(this.name, { kind: "created", run });
    clock.at(clock.now() + run.behaviour.startMs, () => this.#start(run));
    this.#changed(run, "created");
    return { kind: "ok", value: { run: recordOf(run), created: true } };
  }

  /** `stop`: the intent is recorded, then SIGTERM, a grace period, SIGKILL. */
  stop(epoch: number, id: RunId, graceMs: number, reason: string): Outcome<void> {
    const stale = this.#fence(epoch);
    if (stale) return stale;
    const run = this.runs.get(runKey(id));
    if (!run) return { kind: "terminal", reason: `not-found: no run ${runKey(id)}` };
    if (run.exit) return { kind: "ok", value: undefined };
    const { clock } = this.world;
    if (!run.supervisor) {
      this.#end(run, { code: null, signal: null, reason: "lost", endedAtMs: this.#now() });
      return { kind: "ok", value: undefined };
    }
    if (run.stop && run.stop.graceMs <= graceMs) return { kind: "ok", value: undefined };
    run.stop = { reason, requestedAtMs: this.#now(), graceMs };
    this.world.happened(this.name, { kind: "stopping", run, epoch });
    this.#changed(run, "stopping");
    const { stopMs, killMs } = run.behaviour;
    const obeys = stopMs <= graceMs;
    clock.at(
      clock.now() + (obeys ? stopMs : graceMs + killMs),
      () => this.#stopped(run, obeys),
    );
    return { kind: "ok", value: undefined };
  }

  /** `clean`: removes the records of ended attempts. */
  clean(epoch: number, job: string, throughAttempt: number): Outcome<void> {
    const stale = this.#fence(epoch);
    if (stale) return stale;
    for (const [key, run] of this.runs) {
      const ended = run.exit !== null || (!run.supervisor && run.processes === 0);
      if (run.id.job !== job || run.id.attempt > throughAttempt || !ended) continue;
      this.runs.delete(key);
      this.world.happened(this.name, { kind: "removed", run });
    }
    this.#touch();
    return { kind: "ok", value: undefined };
  }

  /** Receives code. */
  putCode(epoch: number, digest: string): Outcome<void> {
    const stale = this.#fence(epoch);
    if (stale) return stale;
    this.codes.add(digest);
    return { kind: "ok", value: undefined };
  }

  /** Power off, without a word: what ran is dead, its records stay as they were. */
  crash(): void {
    if (!this.up) return;
    this.up = false;
    for (const run of this.runs.values()) {
      const wasLive = isLive(run);
      if (!wasLive && run.processes === 0) continue;
      run.supervisor = false;
      run.processes = 0;
      this.world.happened(this.name, { kind: "died", run });
      if (!wasLive) continue;
      const gang = this.world.gangOf(run.id, run.spec);
      gang.tear();
      gang.leave(run.id.rank);
    }
    for (const gpu of this.gpus) gpu.foreign.clear();
    this.#touch();
  }

  /** Power on: a new boot; the runs of the one before are lost, cards that fell off are back. */
  boot(): void {
    this.crash();
    this.#boots++;
    this.up = true;
    for (const gpu of this.gpus) gpu.present = true;
    this.#touch();
    this.world.changed(this.name, "booted");
  }

  /** The agent of a run dies of SIGKILL; its supervisor records that. */
  killRank(id: RunId): void {
    const run = this.runs.get(runKey(id));
    if (!run || !isLive(run) || run.agentStarts === 0) return;
    this.world.gangOf(run.id, run.spec).leave(run.id.rank);
    this.#end(run, this.#exit(run, null, 9));
  }

  /** The supervisor dies; `leftover` processes of the run go on without it. */
  killSupervisor(id: RunId, leftover = 0): void {
    const run = this.runs.get(runKey(id));
    if (!run || !isLive(run)) return;
    run.supervisor = false;
    run.processes = leftover;
    this.world.happened(this.name, { kind: leftover > 0 ? "orphaned" : "died", run });
    this.world.gangOf(run.id, run.spec).leave(run.id.rank);
    this.#changed(run, "lost");
  }

  /** A card falls off the bus and takes the rank on it along. */
  dropGpu(index: number): void {
    const gpu = this.#gpu(index);
    gpu.present = false;
    this.#touch();
    for (const run of this.runs.values()) {
      if (isLive(run) && run.spec.gpus.includes(gpu.uuid)) this.killRank(run.id);
    }
    this.world.changed(this.name, `GPU ${index} is gone`);
  }

  /** A process of somebody else takes memory of a card; 0 MiB: it goes away. */
  occupy(index: number, usedMiB: number, pid = 4711): void {
    const { foreign } = this.#gpu(index);
    if (usedMiB > 0) foreign.set(pid, usedMiB);
    else foreign.delete(pid);
    this.#touch();
  }

  /** `nvidia-smi` fails with a text; undefined: it works again. */
  breakGpuTool(problem: string | undefined): void {
    this.#gpuProblem = problem;
    this.#touch();
  }

  /** @inheritDoc */
  storeFor(behaviour: Behaviour): CheckpointStore {
    return behaviour.sharedCheckpoints ? this.world.shared : this.checkpoints;
  }

  /** @inheritDoc */
  agentEnded(run: SimRun, code: number, error: RunError | null): void {
    if (!isLive(run)) return;
    run.error = error;
    this.#end(run, this.#exit(run, code, null));
  }

  #checkpointsIn(dir: string) {
    const own = this.checkpoints.list(dir);
    return own.length > 0 ? own : this.world.shared.list(dir);
  }

  #gpu(index: number): SimGpu {
    const gpu = this.gpus[index];
    if (!gpu) {
      throw new Error(`Cannot find GPU ${index} of ${this.name}: it has ${this.gpus.length}`);
    }
    return gpu;
  }

  #fence(epoch: number): Extract<Outcome<never>, { kind: "terminal" }> | undefined {
    this.world.happened(this.name, { kind: "asked", epoch, refused: epoch < this.#epoch });
    if (epoch < this.#epoch) {
      const reason = `stale-epoch: epoch ${epoch} is older than ${this.#epoch}`;
      return { kind: "terminal", reason };
    }
    this.#epoch = epoch;
    return undefined;
  }

  #start(run: SimRun): void {
    if (!isLive(run) || run.stop || run.agentStarts > 0 || run.bootId !== this.bootId) return;
    const now = this.#now();
    if (run.behaviour.startFails) {
      const exit = { code: null, signal: null, reason: "start-failed" as const, endedAtMs: now };
      this.#end(run, { ...exit, message: "No such file or directory" });
      return;
    }
    run.agentStarts++;
    run.startedAtMs = now;
    run.processes = run.spec.gpusPerNode + 1;
    this.world.happened(this.name, { kind: "started", run });
    this.#changed(run, "running");
    this.world.gangOf(run.id, run.spec).join(this, run);
  }

  #stopped(run: SimRun, obeyed: boolean): void {
    if (!isLive(run)) return;
    const gang = this.world.gangOf(run.id, run.spec);
    const started = run.agentStarts > 0;
    if (obeyed && started && run.behaviour.saveOnStop && gang.whole) {
      gang.saveStep(Math.floor(gang.progressMs / 1000));
    }
    gang.leave(run.id.rank);
    const endedAtMs = this.#now();
    if (!started) this.#end(run, { code: null, signal: null, reason: "stopped", endedAtMs });
    else if (obeyed) this.#end(run, this.#exit(run, 1, null));
    else this.#end(run, { code: null, signal: 9, reason: "killed", endedAtMs });
  }

  #exit(run: SimRun, code: number | null, signal: number | null): RunExit {
    const reason = run.stop ? "stopped" : "exited";
    return { code, signal, reason, endedAtMs: this.#now() };
  }

  #end(run: SimRun, exit: RunExit): void {
    run.exit = exit;
    run.processes = 0;
    this.world.happened(this.name, { kind: "ended", run });
    this.#changed(run, "exited");
  }

  /** A run whose agent was never started gets a supervisor again when it is launched again. */
  #superviseAgain(run: SimRun): void {
    if (run.exit || run.supervisor || run.agentStarts > 0) return;
    run.supervisor = true;
    run.bootId = this.bootId;
    this.world.happened(this.name, { kind: "created", run });
    const { clock } = this.world;
    clock.at(clock.now() + run.behaviour.startMs, () => this.#start(run));
    this.#changed(run, "created");
  }

  #now(): number {
    return this.world.clock.now() + this.skewMs;
  }

  /** What was seen before does not hold any more. */
  #touch(): void {
    this.#seen = undefined;
  }

  #changed(run: SimRun, what: string): void {
    this.#touch();
    this.world.changed(this.name, `run ${runKey(run.id)} ${what}`);
  }

  /** For assertions: the runs as they are, whatever can be seen. */
  records(): RunRecord[] {
    return [...this.runs.values()].map(recordOf);
  }
}
