/**
 * Why an attempt failed, as far as the runs themselves tell. The root is the earliest evidence:
 * an error file before a log, a rank that ended by itself before one that was told to stop.
 *
 * @module
 */
import { cutText, withoutControls } from "../cluster/show.ts";
import type { RunRecord } from "./run.ts";
import type { Failure } from "./status.ts";

/** Most characters of a failure's message. */
const MAX_MESSAGE = 2000;

/** Classes after which the same launch cannot do better. */
const TERMINAL = new Set(["start-failed", "launch-refused", "max-duration", "deadline", "idle"]);

/** Classes that are not the job's own fault and do not use up its retries. */
const INFRASTRUCTURE = new Set(["node-lost", "gpu-busy"]);

/** True when a retry of the same manifest makes no sense. */
export function isTerminal(failure: Failure): boolean {
  return TERMINAL.has(failure.class);
}

/** True when the failure counts towards `maxRetries`. */
export function countsAsRetry(failure: Failure): boolean {
  return !INFRASTRUCTURE.has(failure.class);
}

/** Errors of the system that pass, as Python tells them: I/O, memory, open files, disk, quota. */
const PASSING = /\[Errno (5|11|12|23|24|28|122)\]/;

function classOf(run: RunRecord): string {
  if (run.state === "lost" || run.exit?.reason === "lost") return "supervisor-lost";
  if (run.exit?.reason === "start-failed") return classOfStart(run.exit.message ?? "");
  if (run.exit?.signal !== null && run.exit?.signal !== undefined) return "killed";
  return "exit-code";
}

/** A program that is not there stays away; a full disk does not stay full. */
function classOfStart(message: string): string {
  const error = PASSING.exec(message)?.[1];
  if (error === undefined) return "start-failed";
  return error === "28" || error === "122" ? "disk-full" : "node-trouble";
}

function describe(run: RunRecord): string {
  const printed = run.error?.message ?? "";
  if (printed.trim() !== "") return printed;
  if (run.exit?.message) return run.exit.message;
  if (run.state === "lost") return "its supervisor is gone (killed, or the node rebooted)";
  if (run.exit?.signal) return `the agent died of signal ${run.exit.signal}`;
  const silent = run.error ? " and printed no error" : "";
  return `the agent ended with exit code ${run.exit?.code ?? "unknown"}${silent}`;
}

/** When a run shows trouble first, for ordering: its error's time, else its end. */
function troubleAt(run: RunRecord): number {
  return run.error?.timestampMs ?? run.exit?.endedAtMs ?? Number.MAX_SAFE_INTEGER;
}

function evidence(run: RunRecord): number {
  if (run.exit?.reason === "start-failed") return 0;
  if (run.error?.source === "error-file") return 1;
  return run.error ? 2 : 3;
}

/** Replaces control characters and bounds a text that came from a node. */
export function cleanText(text: string, max = MAX_MESSAGE): string {
  return cutText(withoutControls(text.slice(0, 2 * max)), max);
}

/**
 * Picks the root among the runs that ended badly, each with the node that it was on.
 * Runs that were asked to stop are symptoms and count only when there is nothing else.
 */
export function diagnose(runs: readonly { node: string; run: RunRecord }[]): Failure | undefined {
  const own = runs.filter(({ run }) => run.stop === null);
  const candidates = (own.length > 0 ? own : runs).toSorted((a, b) =>
    evidence(a.run) - evidence(b.run) || troubleAt(a.run) - troubleAt(b.run) ||
    a.run.rank - b.run.rank
  );
  const root = candidates[0];
  if (!root) return undefined;
  return {
    class: classOf(root.run),
    node: root.node,
    rank: root.run.error?.rank ?? root.run.rank,
    message: cleanText(describe(root.run)),
  };
}
