/**
 * Simulated GPUs: what `nvidia-smi` of a machine would say.
 *
 * @module
 */
import type { Gpu, GpuOwner, GpuProcess } from "../../cluster/gpu.ts";
import type { SimRun } from "./run.ts";

/** Memory that a rank takes, and that an idle card uses. */
const RANK_MIB = 20_000;
const IDLE_MIB = 4;

/** One card. */
export interface SimGpu {
  readonly uuid: string;
  readonly index: number;
  readonly model: string;
  readonly memoryMiB: number;
  /** False: it has fallen off the bus and is not listed any more. */
  present: boolean;
  eccUncorrected: number;
  /** Processes of somebody else. */
  readonly foreign: Map<number, number>;
}

/** The cards of a machine. */
export function makeGpus(node: string, count: number, model: string, memoryMiB: number): SimGpu[] {
  return Array.from({ length: count }, (_, index): SimGpu => ({
    uuid: `GPU-${node}-${index}`,
    index,
    model,
    memoryMiB,
    present: true,
    eccUncorrected: 0,
    foreign: new Map(),
  }));
}

/** The cards as observed while `runs` are on the machine. */
export function observeGpus(gpus: readonly SimGpu[], runs: Iterable<SimRun>): Gpu[] {
  const users = new Map<string, GpuProcess[]>();
  for (const run of runs) {
    if (run.processes === 0) continue;
    const { job, attempt, rank } = run.id;
    const owner: GpuOwner = { kind: "run", job, attempt, rank };
    for (const uuid of run.spec.gpus) {
      const list = users.get(uuid) ?? [];
      list.push({ pid: run.pid, name: "python3", usedMiB: RANK_MIB, owner });
      users.set(uuid, list);
    }
  }
  return gpus.filter((gpu) => gpu.present).map((gpu) => {
    const processes = [...users.get(gpu.uuid) ?? []];
    for (const [pid, usedMiB] of gpu.foreign) {
      processes.push({ pid, name: "other", usedMiB, owner: { kind: "foreign" } });
    }
    const usedMiB = processes.reduce((sum, p) => sum + (p.usedMiB ?? 0), IDLE_MIB);
    return {
      uuid: gpu.uuid,
      index: gpu.index,
      model: gpu.model,
      memoryTotalMiB: gpu.memoryMiB,
      memoryUsedMiB: Math.min(usedMiB, gpu.memoryMiB),
      utilisationPct: processes.length > 0 ? 100 : 0,
      temperatureC: 40,
      powerW: 100,
      eccUncorrected: gpu.eccUncorrected,
      processes,
    };
  });
}
