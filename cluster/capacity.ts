/**
 * Which GPUs of a node may be given to new work. A GPU is free only when that is known: unknown
 * use counts as use.
 *
 * @module
 */
import type { Gpu } from "./gpu.ts";
import type { NodeSpec } from "./node.ts";

/** Something that one rank can run on: a GPU, or a CPU slot of a node without GPUs. */
export interface Slot {
  readonly uuid: string;
  readonly model: string;
  readonly memoryMiB: number | null;
}

/** The slots of a node, split into free ones and, for the others, why not. */
export interface NodeSlots {
  readonly free: readonly Slot[];
  readonly total: number;
  /** One sentence for each slot that is not free. */
  readonly busy: readonly string[];
}

/** Memory in use without a visible process that still counts as idle: a desktop takes this much. */
const IDLE_MEMORY_MIB = 2048;

/**
 * The GPUs of a node that count, from what was seen (undefined: `nvidia-smi` failed). A driver that
 * fails on a node which is declared for its CPU slots alone takes none of them.
 */
export function countedGpus(
  node: NodeSpec,
  seen: readonly Gpu[] | undefined,
): readonly Gpu[] | undefined {
  return seen ?? (node.cpuSlots > 0 && !node.hardware.gpus ? [] : undefined);
}

/** Sorts a node's slots into free and busy. `booked` holds uuids that runs of ours have. */
export function slotsOf(
  node: NodeSpec,
  gpus: readonly Gpu[],
  booked: ReadonlySet<string>,
): NodeSlots {
  if (gpus.length === 0) return cpuSlotsOf(node, booked);
  const free: Slot[] = [];
  const busy: string[] = [];
  for (const gpu of gpus) {
    const why = booked.has(gpu.uuid) ? "holds a run" : whyBusy(gpu);
    if (why) busy.push(`GPU ${gpu.index} ${why}`);
    else free.push({ uuid: gpu.uuid, model: gpu.model, memoryMiB: gpu.memoryTotalMiB });
  }
  return { free, total: gpus.length, busy };
}

function cpuSlotsOf(node: NodeSpec, booked: ReadonlySet<string>): NodeSlots {
  const free: Slot[] = [];
  const busy: string[] = [];
  for (let i = 0; i < node.cpuSlots; i++) {
    const uuid = `cpu:${i}`;
    if (booked.has(uuid)) busy.push(`CPU slot ${i} holds a run`);
    else free.push({ uuid, model: "cpu", memoryMiB: null });
  }
  return { free, total: node.cpuSlots, busy };
}

/** Why a GPU that no run of ours has booked is not free all the same. */
function whyBusy(gpu: Gpu): string | undefined {
  for (const process of gpu.processes) {
    if (process.owner.kind === "foreign") return `is used by foreign process ${process.pid}`;
    if (process.owner.kind === "unseen") return `is used by process ${process.pid}, which hides`;
    return `is still used by ${process.owner.job}/${process.owner.attempt}`;
  }
  const used = gpu.memoryUsedMiB;
  const limit = Math.max(IDLE_MEMORY_MIB, (gpu.memoryTotalMiB ?? 0) * 0.1);
  // No numbers that move by themselves: these words stand in status files.
  if (used !== null && used > limit) return "has memory in use by nobody who can be seen";
  if (gpu.eccUncorrected !== null && gpu.eccUncorrected > 0) {
    return "reports uncorrected memory errors";
  }
  return undefined;
}
