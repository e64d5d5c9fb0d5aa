/**
 * A name for what a manifest makes run: comments, layout, priorities and retries do not change it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { JobSpec } from "./job.ts";

/** JSON with the keys of every map in order, so that equal values have equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(",")}}`;
}

/**
 * SHA-256 in hex of everything in a manifest that decides what runs. Defaults are left out: who
 * edits them means the jobs to come, not those that run. So are the values of secrets: a new token
 * is for the next attempt.
 */
export function specDigest(spec: JobSpec): string {
  const { resources, program, code, workdir, env, secrets, activate, launcher } = spec;
  const { checkpoint, written } = spec;
  const what = program.kind === "command" ? program.kind : program;
  const run = { resources, what, code, workdir, env, secrets, activate, launcher };
  const decisive = { ...run, checkpoint, written };
  return createHash("sha256").update(canonicalJson(decisive)).digest("hex");
}
