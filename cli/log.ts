/**
 * UGRO's own log: one JSON object a line on stderr. Values are JSON, bounded and escaped, so
 * nothing that a manifest or a node says can forge a line, fill a disk or reach a terminal raw.
 *
 * @module
 */
import { cutText } from "../cluster/show.ts";
import type { Log } from "../reconciler/execute.ts";
import type { LogLevel } from "./options.ts";
import { escapeJson } from "./text.ts";

const ORDER = { debug: 0, info: 1, warn: 2, error: 3 } as const;

/** Longest text in a field; more is cut. */
const MAX_TEXT = 4000;
/** Most values in one line, and most levels. */
const MAX_VALUES = 1000;
const MAX_DEPTH = 6;
/** Longest line; of a longer one only the beginning is written, as text. */
const MAX_LINE = 64 * 1024;

/** A log that writes lines of at least `level` through `write` (stderr unless given). */
export function jsonLog(level: LogLevel, write: (line: string) => void = toStderr): Log {
  const least = ORDER[level === "warning" ? "warn" : level];
  return (at, msg, fields = {}) => {
    if (ORDER[at] < least) return;
    const head = { time: new Date().toISOString(), level: at, msg: cutText(msg, MAX_TEXT) };
    const told = new Plain().of(fields, 0);
    // No field can take the place of ours.
    const line = JSON.stringify({
      ...head,
      ...(told instanceof Object ? told : { told }),
      ...head,
    });
    const cut = line.length <= MAX_LINE
      ? line
      : JSON.stringify({ ...head, cut: cutText(line, MAX_TEXT) });
    write(escapeJson(cut));
  };
}

/** Turns any values into what JSON can say, a limited number of them. */
class Plain {
  #left = MAX_VALUES;

  /** The value as plain data; what throws when it is looked at says so. */
  of(value: unknown, depth: number): unknown {
    if (value === null || value === undefined || typeof value === "boolean") return value;
    if (this.#left-- <= 0) return "…";
    if (typeof value === "number" && Number.isFinite(value)) return value;
    try {
      if (typeof value !== "object") return cutText(String(value), MAX_TEXT);
      if (value instanceof Error) return cutText(String(value.stack ?? value), MAX_TEXT);
      if (value instanceof Date) return value.toISOString();
      return depth < MAX_DEPTH ? this.#inside(value, depth) : "…";
    } catch {
      return "(cannot be written)";
    }
  }

  #inside(value: object, depth: number): unknown {
    if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
    const most = this.#left + 1;
    if (Array.isArray(value)) return value.slice(0, most).map((item) => this.of(item, depth + 1));
    const keys = Object.keys(value).slice(0, most);
    return Object.fromEntries(keys.map((key) => {
      const found = (value as Record<string, unknown>)[key];
      return [cutText(key, 200), this.of(found, depth + 1)];
    }));
  }
}

const encoder = new TextEncoder();

function toStderr(line: string): void {
  const bytes = encoder.encode(line + "\n");
  for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
}
