/**
 * A simulated run: one rank's folder on one machine, its supervisor and its agent.
 *
 * @module
 */
import type { RunError, RunExit, RunId, RunRecord } from "../../jobs/run.ts";
import type { LaunchSpec } from "../../reconciler/ports.ts";
import type { Behaviour } from "./behaviour.ts";

/** Where a run stands in the world, whatever a controller can see of it. */
export interface SimRun {
  readonly id: RunId;
  readonly spec: LaunchSpec;
  readonly behaviour: Behaviour;
  readonly epoch: number;
  bootId: string;
  readonly createdAtMs: number;
  readonly masterPort: number;
  readonly pid: number;
  supervisor: boolean;
  /** How often the agent was started: never more than once. */
  agentStarts: number;
  startedAtMs: number | null;
  /** Live processes. */
  processes: number;
  stop: RunRecord["stop"];
  exit: RunExit | null;
  error: RunError | null;
}

/** True while the run has a supervisor, or processes that outlived it. */
export function holdsMachine(run: SimRun): boolean {
  return isLive(run) || run.processes > 0;
}

/** True while the run trains or could. */
export function isLive(run: SimRun): boolean {
  return run.exit === null && run.supervisor;
}

/** The run as `observe` reports it. */
export function recordOf(run: SimRun): RunRecord {
  return {
    ...run.id,
    state: stateOf(run),
    epoch: run.epoch,
    meta: run.spec.meta,
    gpus: run.spec.gpus,
    masterPort: run.masterPort,
    createdAtMs: run.createdAtMs,
    startedAtMs: run.startedAtMs,
    bootId: run.bootId,
    processes: run.processes,
    stop: run.stop,
    exit: run.exit,
    error: run.error,
  };
}

function stateOf(run: SimRun): RunRecord["state"] {
  if (run.exit) return "exited";
  if (!run.supervisor) return "lost";
  if (run.stop) return "stopping";
  return run.agentStarts > 0 ? "running" : "starting";
}

/** `JOB/ATTEMPT/RANK`. */
export function runKey({ job, attempt, rank }: RunId): string {
  return `${job}/${attempt}/${rank}`;
}
