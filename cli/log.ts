/**
 * UGRO's own log: one JSON object a line on stderr. Values are JSON strings, so nothing that a
 * manifest or a node says can forge a line or reach a terminal raw.
 *
 * @module
 */
import type { Log } from "../reconciler/execute.ts";
import type { LogLevel } from "./options.ts";

const ORDER = { debug: 0, info: 1, warn: 2, error: 3 } as const;

/** Longest value of a field; more is cut. */
const MAX_TEXT = 4000;

/** A log that writes lines of at least `level` through `write` (stderr unless given). */
export function jsonLog(level: LogLevel, write: (line: string) => void = toStderr): Log {
  const least = ORDER[level === "warning" ? "warn" : level];
  return (at, msg, fields = {}) => {
    if (ORDER[at] < least) return;
    const line = JSON.stringify(
      { time: new Date().toISOString(), level: at, msg, ...fields },
      (_key, value) =>
        typeof value === "string" && value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) : value,
    );
    // JSON escapes C0 controls itself; C1 and bidirectional controls are escaped here.
    write(line.replace(
      /[\u007f-\u009f\u2028\u2029\u202a-\u202e]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ));
  };
}

const encoder = new TextEncoder();

function toStderr(line: string): void {
  const bytes = encoder.encode(line + "\n");
  for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
}
