/**
 * What a what-if rests on, in figures: the cluster and the trace.
 *
 * @module
 */
import type { Room } from "../../reconciler/scheduling/types.ts";
import { type Spread, spreadOf } from "./figures.ts";
import type { Estimates } from "./options.ts";
import { gpusOf, type SimJob } from "./workload.ts";

/** A trace on a cluster. */
export interface Setting {
  readonly jobs: number;
  readonly nodes: number;
  readonly gpus: number;
  /** GPU time asked for over what there is from the first to the last submission; 0: no span. */
  readonly load: number;
  readonly gpuHours: number;
  readonly duration: Spread;
  readonly estimates: Estimates;
  readonly checkpointEverySeconds: number;
}

/** Describes jobs, which are in the order of submission. */
export function settingOf(
  jobs: readonly SimJob[],
  rooms: readonly Room[],
  options: { readonly estimates: Estimates; readonly checkpointEvery: number },
): Setting {
  const gpus = rooms.reduce((sum, room) => sum + room.slots.size, 0);
  const gpuMs = jobs.reduce((sum, { need, durationMs }) => sum + gpusOf(need) * durationMs, 0);
  const spanMs = (jobs.at(-1)?.submitMs ?? 0) - (jobs[0]?.submitMs ?? 0);
  return {
    jobs: jobs.length,
    nodes: rooms.length,
    gpus,
    load: spanMs > 0 ? gpuMs / (gpus * spanMs) : 0,
    gpuHours: gpuMs / 3_600_000,
    duration: spreadOf(jobs.map((job) => job.durationMs)),
    estimates: options.estimates,
    checkpointEverySeconds: options.checkpointEvery / 1000,
  };
}
