/**
 * Reads what `nvidia-smi` prints. Fields are taken by position, as they were asked for; whatever
 * cannot be read is a problem for a person, never an empty list: a driver that answers with an
 * error has not thereby lost its GPUs.
 *
 * @example
 * parseGpus("GPU-5f1c, 0, NVIDIA GeForce RTX 4070, 12282, 512, 3, 41, 12.31, [N/A]\n");
 * // { kind: "rows", rows: [{ uuid: "GPU-5f1c", index: 0, …, eccUncorrected: null }] }
 *
 * @module
 */
import type { Gpu } from "./gpu.ts";

/** All rows, or why they cannot be known. */
export type Parsed<T> =
  | { readonly kind: "rows"; readonly rows: readonly T[] }
  | { readonly kind: "problem"; readonly problem: string };

/** One line of `--query-gpu`. */
export type GpuRow = Omit<Gpu, "processes">;

/** One line of `--query-compute-apps`. */
export interface AppRow {
  readonly uuid: string;
  readonly pid: number;
  readonly name: string;
  readonly usedMiB: number | null;
}

/** Most GPUs of one machine; a DGX has 16. */
const MAX_GPUS = 256;
/** Most processes on the GPUs of one machine. */
const MAX_APPS = 10_000;

/**
 * Parses `--query-gpu=uuid,index,name,memory.total,memory.used,utilization.gpu,temperature.gpu,`
 * `power.draw,ecc.errors.uncorrected.volatile.total --format=csv,noheader,nounits`.
 */
export function parseGpus(csv: string): Parsed<GpuRow> {
  const lines = contentLines(csv);
  if (lines.length === 0) return problem("nvidia-smi printed no GPU and no error");
  if (lines.length > MAX_GPUS) return tooMany(lines, "GPUs", MAX_GPUS);
  const parsed = parseLines(lines, parseGpuLine);
  if (parsed.kind === "problem") return parsed;
  const uuids = new Set(parsed.rows.map((row) => row.uuid));
  if (uuids.size < parsed.rows.length) return problem("nvidia-smi listed one GPU twice");
  return { kind: "rows", rows: parsed.rows.toSorted((a, b) => a.index - b.index) };
}

/**
 * Parses `--query-compute-apps=gpu_uuid,pid,process_name,used_gpu_memory` in the same format.
 * Nothing printed means no process.
 */
export function parseApps(csv: string): Parsed<AppRow> {
  const lines = contentLines(csv);
  if (lines.length > MAX_APPS) return tooMany(lines, "processes", MAX_APPS);
  return parseLines(lines, parseAppLine);
}

function tooMany(lines: readonly string[], what: string, most: number) {
  return problem(`nvidia-smi: ${lines.length} lines of ${what}; at most ${most} are read`);
}

function parseLines<T>(lines: readonly string[], parse: (line: string) => T | null): Parsed<T> {
  const rows: T[] = [];
  for (const line of lines) {
    const row = parse(line);
    if (row === null) return problem(`nvidia-smi: ${line.slice(0, 200)}`);
    rows.push(row);
  }
  return { kind: "rows", rows };
}

function parseGpuLine(line: string): GpuRow | null {
  const cells = line.split(",").map((cell) => cell.trim());
  if (cells.length < 9) return null;
  const [uuid = "", indexText = ""] = cells;
  const [total, used, utilisation, temperature, power, ecc] = cells.slice(-6).map(number);
  if (!isUuid(uuid) || !/^\d{1,4}$/.test(indexText)) return null;
  if (
    total === undefined || used === undefined || utilisation === undefined ||
    temperature === undefined || power === undefined || ecc === undefined
  ) return null;
  // A negative amount would look like free memory.
  if ([total, used, utilisation, ecc].some((amount) => amount !== null && amount < 0)) return null;
  return {
    uuid,
    index: Number(indexText),
    model: cells.slice(2, -6).join(", "),
    memoryTotalMiB: total,
    memoryUsedMiB: used,
    utilisationPct: utilisation,
    temperatureC: temperature,
    powerW: power,
    eccUncorrected: ecc,
  };
}

/** A process name is a path or a command line: everything between pid and memory, commas too. */
function parseAppLine(line: string): AppRow | null {
  const match = /^([^,]+),\s*(\d{1,10})\s*,\s?(.*),\s*([^,]*)$/.exec(line);
  if (!match) return null;
  const [, uuid = "", pid = "", name = "", memory = ""] = match;
  const usedMiB = number(memory.trim());
  if (!isUuid(uuid.trim()) || usedMiB === undefined || (usedMiB ?? 0) < 0) return null;
  return { uuid: uuid.trim(), pid: Number(pid), name: name.trim(), usedMiB };
}

/** A number; null where the driver says that it has none; undefined for anything else. */
function number(cell: string): number | null | undefined {
  if (/^\[[^\]]*\]$|^N\/A$|^ERR!$|^Unknown Error$/i.test(cell)) return null;
  // `nounits` has not always been honoured for every field.
  const match = /^(-?\d{1,15}(?:\.\d{1,15})?)(?: ?(?:MiB|W|%|C))?$/.exec(cell);
  return match ? Number(match[1]) : undefined;
}

function isUuid(text: string): boolean {
  return /^(?:GPU|MIG)-[A-Za-z0-9/-]{1,90}$/.test(text);
}

function contentLines(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
}

function problem(text: string): { kind: "problem"; problem: string } {
  return { kind: "problem", problem: text };
}
