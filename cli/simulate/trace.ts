/**
 * Traces of jobs as CSV: one job a line, under a header. Times are in seconds.
 *
 * @example
 * submit_time,duration,num_gpus,user
 * 0,3600,1,ada
 * 60,86400,16,bob
 *
 * @module
 */
import { showValue } from "../../cluster/show.ts";
import { didYouMean } from "../../cluster/suggest.ts";
import { PRIORITIES, PRIORITY_RANGE, type PriorityWord } from "../../jobs/priority.ts";
import type { Parsed, Problem } from "../../jobs/problem.ts";

/** One line of a trace. */
export interface TraceRow {
  readonly submitSeconds: number;
  readonly durationSeconds: number;
  /** Of all its nodes together. */
  readonly gpus: number;
  /** undefined: as few as the cluster allows. */
  readonly nodes?: number;
  readonly user: string;
  readonly priority: number;
  readonly vramGb?: number;
  /** Where it stands in its file; undefined: it was made. */
  readonly line?: number;
}

/** Most lines below the header. */
export const MAX_ROWS = 1_000_000;
/** Largest file that is read. */
export const MAX_TRACE_BYTES = 256 * 1024 * 1024;
/** Problems that are told; whoever has more has the same one on many lines. */
const MAX_PROBLEMS = 20;

const REQUIRED = ["submit_time", "duration", "num_gpus"] as const;
const COLUMNS = [...REQUIRED, "num_nodes", "user", "priority", "vram_gb"] as const;
type Column = typeof COLUMNS[number];

/** A cell, and where it begins in its line, from 1. */
interface Cell {
  readonly text: string;
  readonly column: number;
}

/** The jobs of a CSV text in the order of its lines, or what is wrong with it. */
export function parseTrace(file: string, text: string): Parsed<TraceRow[]> {
  const lines = linesOf(text);
  const header = lines.next().value;
  const problems: Problem[] = [];
  const tell = (line: number, column: number, message: string, hint?: string) =>
    void problems.push({ file, line, column, message, ...(hint === undefined ? {} : { hint }) });
  const columns = readHeader(header?.text ?? "", (column, message, hint) => {
    tell(header?.line ?? 1, column, message, hint);
  });
  const rows: TraceRow[] = [];
  if (columns) {
    for (const { text, line } of lines) {
      if (problems.length >= MAX_PROBLEMS) break;
      if (rows.length === MAX_ROWS) {
        tell(line, 1, `more than ${MAX_ROWS} jobs`, "cut the trace into parts");
        break;
      }
      const row = readRow(text, columns, (column, message, hint) => {
        tell(line, column, message, hint);
      });
      if (row) rows.push({ ...row, line });
    }
    if (rows.length === 0 && problems.length === 0) {
      tell(2, 1, "the trace has no jobs", "write one job a line below the header");
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: rows, warnings: [] };
}

/** The CSV text of jobs; `parseTrace` reads the same back. */
export function formatTrace(rows: readonly TraceRow[]): string {
  const used = COLUMNS.filter((column) =>
    column === "num_nodes"
      ? rows.some((row) => row.nodes !== undefined)
      : column !== "vram_gb" || rows.some((row) => row.vramGb !== undefined)
  );
  const lines = rows.map((row) => {
    const cells: Record<Column, string | number> = {
      submit_time: row.submitSeconds,
      duration: row.durationSeconds,
      num_gpus: row.gpus,
      num_nodes: row.nodes ?? "",
      user: /[",]/.test(row.user) ? `"${row.user.replaceAll('"', '""')}"` : row.user,
      priority: row.priority,
      vram_gb: row.vramGb ?? "",
    };
    return used.map((column) => cells[column]).join(",");
  });
  return [used.join(","), ...lines].join("\n") + "\n";
}

/** Lines with something in them, numbered from 1, without a byte order mark or line ends. */
function* linesOf(text: string): Generator<{ text: string; line: number }> {
  let start = text.startsWith("\ufeff") ? 1 : 0;
  for (let line = 1; start < text.length; line++) {
    const found = text.indexOf("\n", start);
    const end = found < 0 ? text.length : found;
    const content = text.slice(start, text[end - 1] === "\r" ? end - 1 : end);
    if (content.trim() !== "") yield { text: content, line };
    start = end + 1;
  }
}

type Tell = (column: number, message: string, hint?: string) => void;

/** Where each column stands; undefined when the header is wrong, which was told then. */
function readHeader(text: string, tell: Tell): ReadonlyMap<Column, number> | undefined {
  const cells = splitLine(text, tell);
  if (!cells) return undefined;
  const known: readonly string[] = COLUMNS;
  const columns = new Map<Column, number>();
  let wrong = false;
  const told = (column: number, message: string, hint?: string) => {
    wrong = true;
    tell(column, message, hint);
  };
  cells.forEach(({ text, column }, i) => {
    const name = text.toLowerCase();
    if (!known.includes(name)) {
      told(column, `the header names ${showValue(text)}`, didYouMean(text, COLUMNS));
    } else if (columns.has(name as Column)) told(column, `the header names ${name} twice`);
    else columns.set(name as Column, i);
  });
  const missing = REQUIRED.filter((name) => !columns.has(name));
  if (missing.length > 0) {
    told(1, `the header lacks ${missing.join(", ")}`, `the first line is ${COLUMNS.join(",")}`);
  }
  return wrong ? undefined : columns;
}

function readRow(
  text: string,
  columns: ReadonlyMap<Column, number>,
  tell: Tell,
): TraceRow | undefined {
  const cells = splitLine(text, tell);
  if (!cells) return undefined;
  if (cells.length !== columns.size) {
    tell(1, `${cells.length} cells under a header of ${columns.size}`);
    return undefined;
  }
  let wrong = false;
  const read = new Reader(cells, columns, (...args) => {
    wrong = true;
    tell(...args);
  });
  const nodes = read.count("num_nodes");
  const vramGb = read.amount("vram_gb", true);
  const row = {
    submitSeconds: read.amount("submit_time", false) ?? 0,
    durationSeconds: read.amount("duration", true) ?? 0,
    gpus: read.count("num_gpus") ?? 0,
    ...(nodes === undefined ? {} : { nodes }),
    user: read.cell("user")?.text ?? "",
    priority: read.priority(),
    ...(vramGb === undefined ? {} : { vramGb }),
  };
  if (wrong) return undefined;
  if (nodes !== undefined && row.gpus % nodes !== 0) {
    const column = read.cell("num_gpus")?.column ?? 1;
    tell(column, `${row.gpus} GPUs cannot be spread evenly over ${nodes} nodes`);
    return undefined;
  }
  return row;
}

/** More than any time since 1970, or any memory. */
const MAX_AMOUNT = 1e11;
const MAX_COUNT = 1_000_000;

/** Reads the cells of one line; a cell that is empty and optional is undefined. */
class Reader {
  constructor(
    private readonly cells: readonly Cell[],
    private readonly columns: ReadonlyMap<Column, number>,
    private readonly tell: Tell,
  ) {}

  cell(name: Column): Cell | undefined {
    const cell = this.cells[this.columns.get(name) ?? -1];
    if (cell?.text !== "") return cell;
    if ((REQUIRED as readonly string[]).includes(name)) this.tell(cell.column, `${name} is empty`);
    return undefined;
  }

  amount(name: Column, positive: boolean): number | undefined {
    const cell = this.cell(name);
    if (cell === undefined) return undefined;
    const value = /^\d+(\.\d*)?(e[+-]?\d+)?$/i.test(cell.text) ? Number(cell.text) : NaN;
    if (value <= MAX_AMOUNT && (value > 0 || (!positive && value === 0))) return value;
    const wanted = positive ? "a number greater than 0" : "a number of at least 0";
    this.tell(cell.column, `${name} must be ${wanted}, not ${showValue(cell.text)}`);
    return undefined;
  }

  count(name: Column): number | undefined {
    const cell = this.cell(name);
    if (cell === undefined) return undefined;
    const value = /^\d+$/.test(cell.text) ? Number(cell.text) : 0;
    if (value >= 1 && value <= MAX_COUNT) return value;
    const message = `${name} must be a whole number of at least 1, not ${showValue(cell.text)}`;
    this.tell(cell.column, message);
    return undefined;
  }

  priority(): number {
    const cell = this.cell("priority");
    if (cell === undefined) return PRIORITIES.normal;
    if (Object.hasOwn(PRIORITIES, cell.text)) return PRIORITIES[cell.text as PriorityWord];
    const value = /^-?\d+$/.test(cell.text) ? Number(cell.text) : NaN;
    const { min, max } = PRIORITY_RANGE;
    if (value >= min && value <= max) return value;
    const words = Object.keys(PRIORITIES).join(", ");
    const wanted = `a whole number from ${min} to ${max} or one of ${words}`;
    this.tell(cell.column, `priority must be ${wanted}, not ${showValue(cell.text)}`);
    return PRIORITIES.normal;
  }
}

/** The cells of a line, trimmed. A cell in double quotes may hold commas, and `""` for a quote. */
function splitLine(text: string, tell: Tell): Cell[] | undefined {
  const cells: Cell[] = [];
  const quoted = /\s*"((?:[^"]|"")*)"\s*(?=,|$)/y;
  const plain = /[^,"]*(?=,|$)/y;
  for (let at = 0; at <= text.length;) {
    quoted.lastIndex = plain.lastIndex = at;
    const match = quoted.exec(text) ?? plain.exec(text);
    if (!match) {
      tell(at + 1, "a quote has no partner", 'write "…" around the whole cell, and "" for a quote');
      return undefined;
    }
    const content = match[1]?.replaceAll('""', '"') ?? match[0];
    cells.push({ text: content.trim(), column: at + 1 + Math.max(0, match[0].search(/\S/)) });
    at += match[0].length + 1;
  }
  return cells;
}
