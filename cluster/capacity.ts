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
  /** What is left of it: 1 unless jobs with `gpuShare` are on it; at most 1. */
  readonly left: number;
}

/** The slots of a node, split into free ones and, for the others, why not. */
export interface NodeSlots {
  /** Those of which something is left. */
  readonly free: readonly Slot[];
  /** Every slot, free or not, as if nobody used it. */
  readonly all: readonly Slot[];
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

/**
 * Sorts a node's slots into free and busy. `booked` says by uuid which part of a slot runs of ours
 * have; 1: all of it. What is left of a slot that is booked in part is free for others that share.
 */
export function slotsOf(
  node: NodeSpec,
  gpus: readonly Gpu[],
  booked: ReadonlyMap<string, number>,
): NodeSlots {
  if (gpus.length === 0) return sort(cpuSlots(node), booked);
  return sort(
    gpus.map((gpu) => ({
      slot: { uuid: gpu.uuid, model: gpu.model, memoryMiB: gpu.memoryTotalMiB, left: 1 },
      name: `GPU ${gpu.index}`,
      gpu,
    })),
    booked,
  );
}

function cpuSlots(node: NodeSpec): Named[] {
  return Array.from({ length: node.cpuSlots }, (_, i) => ({
    slot: { uuid: `cpu:${i}`, model: "cpu", memoryMiB: null, left: 1 },
    name: `CPU slot ${i}`,
  }));
}

interface Named {
  readonly slot: Slot;
  readonly name: string;
  /** What was seen of it; absent for a CPU slot, which nobody else can use. */
  readonly gpu?: Gpu;
}

function sort(slots: readonly Named[], booked: ReadonlyMap<string, number>): NodeSlots {
  const free: Slot[] = [];
  const busy: string[] = [];
  for (const { slot, name, gpu } of slots) {
    const left = leftOf(booked.get(slot.uuid) ?? 0);
    const why = left <= 0 ? "holds a run" : gpu && whyBusy(gpu, left < 1);
    if (why) busy.push(`${name} ${why}`);
    else free.push(left < 1 ? { ...slot, left } : slot);
  }
  return { free, all: slots.map(({ slot }) => slot), total: slots.length, busy };
}

/** Parts count in steps of a billionth: ten tenths are a whole, whatever their binary sum is. */
const STEPS = 1e9;

/** What is left beside a part. */
function leftOf(part: number): number {
  return Math.round((1 - part) * STEPS) / STEPS;
}

/** Whether so much of a slot is left; 1: all of it. */
export function hasLeft(slot: Slot, part: number): boolean {
  return slot.left >= part - 1 / STEPS;
}

/**
 * Why a GPU of which something is left is not free all the same. On one that runs of ours share,
 * their processes and memory are no reason.
 */
function whyBusy(gpu: Gpu, shared: boolean): string | undefined {
  for (const process of gpu.processes) {
    if (process.owner.kind === "foreign") return `is used by foreign process ${process.pid}`;
    if (process.owner.kind === "unseen") return `is used by process ${process.pid}, which hides`;
    if (shared) continue;
    return `is still used by ${process.owner.job}/${process.owner.attempt}`;
  }
  const used = gpu.memoryUsedMiB;
  const limit = Math.max(IDLE_MEMORY_MIB, (gpu.memoryTotalMiB ?? 0) * 0.1);
  // No numbers that move by themselves: these words stand in status files.
  if (!shared && used !== null && used > limit) {
    return "has memory in use by nobody who can be seen";
  }
  if (gpu.eccUncorrected !== null && gpu.eccUncorrected > 0) {
    return "reports uncorrected memory errors";
  }
  return undefined;
}
