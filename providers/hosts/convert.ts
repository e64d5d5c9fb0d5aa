/**
 * Turns what a runner observed into what the reconciler reads.
 *
 * @module
 */
import type { Gpu, GpuOwner, GpuProcess } from "../../cluster/gpu.ts";
import type { NodeName } from "../../cluster/node.ts";
import { type AppRow, parseApps, type Parsed, parseGpus } from "../../cluster/nvidia_smi.ts";
import type { ReachableNode } from "../../reconciler/ports.ts";
import type { RawObservation, ToolOutput } from "./replies.ts";
import { cleanLine } from "./text.ts";

/** A node as just observed. GPUs that cannot be known are undefined, with the reason beside. */
export function toReachable(node: NodeName, raw: RawObservation): ReachableNode {
  const gpus = toGpus(raw);
  return {
    state: "reachable",
    node,
    bootId: raw.bootId,
    cpuCores: raw.cpuCores,
    memoryTotalMiB: raw.memoryTotalMiB,
    memoryAvailableMiB: raw.memoryAvailableMiB,
    diskFreeMiB: raw.diskFreeMiB,
    runs: raw.runs,
    checkpoints: new Map(Object.entries(raw.checkpoints)),
    ...(gpus.kind === "rows"
      ? { gpus: gpus.rows }
      : { gpus: undefined, gpuProblem: cleanLine(gpus.problem) }),
  };
}

function toGpus(raw: RawObservation): Parsed<Gpu> {
  // No program at all: this machine has no NVIDIA GPU to offer.
  if ("absent" in raw.gpus) return { kind: "rows", rows: [] };
  const gpus = read(raw.gpus, parseGpus);
  if (gpus.kind === "problem") return gpus;
  const apps = read(raw.apps, parseApps);
  if (apps.kind === "problem") return apps;
  const appsOf = Map.groupBy(apps.rows, (app) => app.uuid);
  const listed = new Set(gpus.rows.map((gpu) => gpu.uuid));
  const [stray] = [...appsOf].find(([uuid]) => !listed.has(uuid))?.[1] ?? [];
  if (stray) {
    const problem = `process ${stray.pid} is on ${stray.uuid}, which nvidia-smi does not list`;
    return { kind: "problem", problem };
  }
  const rows = gpus.rows.map((gpu) => ({
    ...gpu,
    model: cleanLine(gpu.model, 200),
    processes: (appsOf.get(gpu.uuid) ?? []).map((app) => toProcess(app, raw)),
  }));
  return { kind: "rows", rows };
}

function read<T>(output: ToolOutput, parse: (csv: string) => Parsed<T>): Parsed<T> {
  if ("csv" in output) return parse(output.csv);
  const problem = "error" in output ? output.error : "nvidia-smi is gone";
  return { kind: "problem", problem };
}

function toProcess(app: AppRow, raw: RawObservation): GpuProcess {
  return {
    pid: app.pid,
    name: cleanLine(app.name, 200),
    usedMiB: app.usedMiB,
    owner: toOwner(app.pid, raw),
  };
}

function toOwner(pid: number, raw: RawObservation): GpuOwner {
  const entry = raw.pids[String(pid)];
  if (entry?.run) {
    const [job, attempt, rank] = entry.run;
    return { kind: "run", job, attempt, rank };
  }
  return { kind: entry?.alive ? "foreign" : "unseen" };
}
