/**
 * Reads the status branch back: what UGRO remembers is what it wrote there, and nothing else.
 *
 * @module
 */
import { z } from "zod";
import { showPath } from "../cluster/show.ts";
import { parseYaml } from "../cluster/yaml.ts";
import { JOB_NAME } from "../jobs/schema.ts";
import { EVICTIONS, type JobStatus, PHASES } from "../jobs/status.ts";
import type { History } from "./model.ts";
import type { StateRepository, TreeEntry } from "./ports.ts";

const Time = z.iso.datetime();
const Name = z.string().min(1).max(253);

const AttemptSchema = z.object({
  attempt: z.int().positive(),
  commit: z.string(),
  specDigest: z.string(),
  codeDigest: z.string().nullable(),
  placement: z.array(z.object({
    node: Name,
    gpus: z.array(z.string()),
    share: z.number().positive().max(1).optional(),
  })),
  because: z.string(),
  resumedFrom: z.object({ path: z.string(), step: z.number() }).optional(),
  recordedAt: Time,
  startedAt: Time.optional(),
  evicted: z.object({
    reason: z.enum(EVICTIONS),
    by: z.string().optional(),
    message: z.string(),
    at: Time,
  }).optional(),
  endedAt: Time.optional(),
  end: z.enum(["succeeded", "failed", "stopped", "evicted", "node-lost"]).optional(),
  failure: z.object({
    class: z.string(),
    node: z.string().optional(),
    rank: z.number().optional(),
    message: z.string(),
  }).optional(),
  exitCodes: z.array(z.number().nullable()).optional(),
  peakMiB: z.number().nonnegative().optional(),
});

const StatusSchema = z.object({
  name: z.string().regex(JOB_NAME),
  file: z.string(),
  commit: z.string(),
  specDigest: z.string(),
  owner: z.string().optional(),
  queue: z.string(),
  priority: z.number(),
  parent: z.string().optional(),
  phase: z.enum(PHASES),
  reason: z.string(),
  message: z.string(),
  since: Time,
  submittedAt: Time,
  attempt: z.int().nonnegative(),
  retries: z.int().nonnegative(),
  notBefore: Time.optional(),
  rerun: z.int().nonnegative(),
  conditions: z.array(z.object({
    type: z.string(),
    status: z.enum(["True", "False", "Unknown"]),
    reason: z.string(),
    message: z.string(),
    since: Time,
  })),
  problems: z.array(z.object({
    file: z.string(),
    line: z.number(),
    column: z.number(),
    message: z.string(),
    hint: z.string().optional(),
  })).optional(),
  attempts: z.array(AttemptSchema),
});

/** Largest status file that is read: twenty attempts on four hundred machines. */
const MAX_BYTES = 16 * 1024 * 1024;
/** How files of the status branch are read. */
export const OUR_OWN = { maxBytes: MAX_BYTES, maxLexemes: 4_000_000, byProgram: true };

/** Parses one status file. Throws with the reason when it is not one. */
export function parseStatus(text: string | Uint8Array): JobStatus {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const read = parseYaml("status", bytes, OUR_OWN);
  if (!read.ok) throw new Error(read.problems[0]?.message ?? "not a status");
  const result = StatusSchema.safeParse(read.value.value);
  if (!result.success) {
    const issue = result.error.issues[0];
    const where = issue ? showPath(issue.path) : "";
    throw new Error(`${where || "file"}: ${issue?.message ?? "not a status"}`);
  }
  return result.data as JobStatus;
}

/** Files of the status branch that hold jobs. */
function isJobFile(entry: TreeEntry): boolean {
  return entry.mode.startsWith("100") && entry.path.startsWith("jobs/") &&
    entry.path.endsWith(".yaml") && JOB_NAME.test(entry.path.slice("jobs/".length, -5));
}

/** Loads the history at a head of the status branch, and all its files as they stand. */
export class HistoryReader {
  #parsed = new Map<string, JobStatus | string>();

  constructor(private readonly repository: StateRepository) {}

  /** Reads the branch at `head`; files that were read before cost nothing. */
  async read(head: string | undefined, lost: boolean): Promise<History> {
    const jobs = new Map<string, JobStatus>();
    const unreadable = new Map<string, string>();
    if (head === undefined) return { head, jobs, unreadable, lost };
    const entries = (await this.repository.listTree(head)).filter(isJobFile);
    const parsed = await this.#parse(entries);
    for (const entry of entries) {
      const name = entry.path.slice("jobs/".length, -".yaml".length);
      const result = parsed.get(entry.oid) ?? "it is too large";
      if (typeof result === "string") unreadable.set(name, result);
      else if (result.name !== name) unreadable.set(name, `it is about the job ${result.name}`);
      else jobs.set(name, result);
    }
    return { head, jobs, unreadable, lost: false };
  }

  async #parse(entries: readonly TreeEntry[]): Promise<Map<string, JobStatus | string>> {
    const kept = new Map<string, JobStatus | string>();
    const missing: string[] = [];
    for (const { oid } of entries) {
      const known = this.#parsed.get(oid);
      if (known === undefined) missing.push(oid);
      else kept.set(oid, known);
    }
    const blobs = await this.repository.readBlobs(missing, MAX_BYTES);
    for (const [oid, bytes] of blobs) {
      try {
        kept.set(oid, parseStatus(bytes));
      } catch (error) {
        kept.set(oid, (error as Error).message.split("\n")[0] ?? "unreadable");
      }
    }
    this.#parsed = kept;
    return kept;
  }
}
