/**
 * GPUs as a node reports them. `null` means that the driver gave no number (`[N/A]`), which is
 * not zero.
 *
 * @module
 */

/** Who a process on a GPU belongs to. */
export type GpuOwner =
  | { readonly kind: "run"; readonly job: string; readonly attempt: number; readonly rank: number }
  | { readonly kind: "foreign" }
  /** The pid is not in /proc: another pid namespace, or stuck in the kernel. */
  | { readonly kind: "unseen" };

/** One process that holds memory of a GPU. */
export interface GpuProcess {
  readonly pid: number;
  readonly name: string;
  readonly usedMiB: number | null;
  readonly owner: GpuOwner;
}

/** One GPU as observed. */
export interface Gpu {
  readonly uuid: string;
  readonly index: number;
  readonly model: string;
  readonly memoryTotalMiB: number | null;
  readonly memoryUsedMiB: number | null;
  readonly utilisationPct: number | null;
  readonly temperatureC: number | null;
  readonly powerW: number | null;
  readonly eccUncorrected: number | null;
  readonly processes: readonly GpuProcess[];
}
