/**
 * The GPUs that a lab host pretends to have: the file that its `nvidia-smi` stand-in reads.
 *
 * @example
 * await changeGpus(host.dir, (state) => ({ ...state, mode: "hang" }));
 *
 * @module
 */

/** A value of one `nvidia-smi` field; null prints as `[N/A]`. */
export type GpuField = string | number | null;

/** One GPU; further keys are `nvidia-smi` field names, such as `temperature.gpu`. */
export interface FakeGpu {
  readonly uuid: string;
  readonly name: string;
  readonly "memory.total": GpuField;
  readonly [field: string]: GpuField;
}

/** A process that is not a rank of ours, as `--query-compute-apps` reports it. */
export interface ForeignProcess {
  readonly gpu_uuid: string;
  readonly pid: number;
  readonly process_name: string;
  readonly used_gpu_memory: number | null;
}

/** All that the stand-in knows. */
export interface GpuState {
  /** `fail`: exit 9; `mismatch`: exit 18 (driver/library); `hang`: no answer for an hour. */
  readonly mode: "ok" | "fail" | "mismatch" | "hang";
  readonly gpus: readonly FakeGpu[];
  readonly processes: readonly ForeignProcess[];
  /** Memory that each real rank is said to use. */
  readonly processMiB: number;
}

/** A healthy host with `count` GPUs. */
export function healthyGpus(count: number): GpuState {
  const gpus = Array.from({ length: count }, (_, index) => ({
    uuid: `GPU-${crypto.randomUUID()}`,
    name: "NVIDIA GeForce RTX 4090",
    "memory.total": 24564,
    "pci.bus_id": `00000000:0${index + 1}:00.0`,
  }));
  return { mode: "ok", gpus, processes: [], processMiB: 512 };
}

/** Reads a host's GPUs. */
export async function readGpus(hostDir: string): Promise<GpuState> {
  return JSON.parse(await Deno.readTextFile(`${hostDir}/gpus.json`)) as GpuState;
}

/** Writes a host's GPUs in one step, so that nobody reads half of them. */
export async function writeGpus(hostDir: string, state: GpuState): Promise<void> {
  await Deno.writeTextFile(`${hostDir}/gpus.json.new`, JSON.stringify(state, null, 1));
  await Deno.rename(`${hostDir}/gpus.json.new`, `${hostDir}/gpus.json`);
}

/** Changes a host's GPUs, say their temperature, or adds a foreign process. */
export async function changeGpus(
  hostDir: string,
  change: (state: GpuState) => GpuState,
): Promise<void> {
  await writeGpus(hostDir, change(await readGpus(hostDir)));
}
