/**
 * What a runner's answers must look like. Records that decisions hang on are taken as they are or
 * not at all; messages for people are cut and cleaned.
 *
 * @module
 */
import { z } from "zod";
import type { Checkpoint, RunError, RunExit, RunMeta, RunRecord } from "../../jobs/run.ts";
import { cleanLine, cleanText, isClean } from "./text.ts";

/** Most runs that one node may tell of; ended ones are removed long before (`clean.ts`). */
const MAX_RUNS = 5000;

const name = z.string().min(1).max(256).refine((text) => isClean(text, 256), "unprintable");
const path = z.string().min(1).max(4096).refine((text) => isClean(text, 4096), "unprintable");
/** A job can write records of its own: an odd one must not make its whole node unknown. */
const id = z.string().transform((text) => cleanLine(text, 256));
const line = z.string().transform((text) => cleanLine(text));
const text = z.string().transform((value) => cleanText(value, 8192));
const count = z.int().nonnegative();
const size = z.number().nonnegative();
/** The end of the year 9999: a later time has no text of the form that status files take. */
const LAST_MS = 253_402_300_799_999;
const timeMs = z.number().nonnegative().transform((ms) => Math.min(ms, LAST_MS));

const runMeta: z.ZodType<RunMeta> = z.object({
  commit: id,
  specDigest: id,
  nodes: z.array(name).max(4096),
  gpus: z.array(z.array(name).max(256)).max(4096),
});

const runExit: z.ZodType<RunExit> = z.object({
  code: z.int().nullable(),
  signal: z.int().nullable(),
  reason: z.enum(["exited", "stopped", "killed", "lost", "start-failed"]),
  endedAtMs: timeMs,
  message: text.nullish(),
}).transform(({ message, ...exit }) => typeof message === "string" ? { ...exit, message } : exit);

const runError: z.ZodType<RunError> = z.object({
  rank: count.nullable(),
  message: text,
  timestampMs: timeMs.nullable(),
  source: z.enum(["error-file", "log"]),
});

const runRecord: z.ZodType<RunRecord> = z.object({
  job: name,
  attempt: count,
  rank: count,
  state: z.enum(["starting", "running", "stopping", "exited", "lost"]),
  epoch: count,
  meta: runMeta,
  gpus: z.array(name).max(256),
  masterPort: count.max(65535).nullable(),
  createdAtMs: timeMs,
  startedAtMs: timeMs.nullable(),
  bootId: id,
  processes: count,
  stop: z.object({ reason: line, requestedAtMs: timeMs, graceMs: size }).nullable(),
  exit: runExit.nullable(),
  error: runError.nullable(),
});

const checkpoint: z.ZodType<Checkpoint> = z.object({
  path,
  step: z.number(),
  complete: z.boolean(),
  bytes: size,
  modifiedAtMs: timeMs,
});

/** A checkpoint that has no printable path cannot be offered for resuming: it is left out. */
const checkpoints = z.array(z.unknown()).max(1000).transform((items) =>
  items.map((item) => checkpoint.safeParse(item)).flatMap((r) => r.success ? [r.data] : [])
);

const toolOutput = z.union([
  z.object({ csv: z.string() }),
  z.object({ absent: z.literal(true) }),
  z.object({ error: line }),
]);

const pidEntry = z.object({
  alive: z.boolean(),
  run: z.tuple([name, count, count]).nullable(),
});

export const helloReply = z.object({
  protocol: z.literal(1),
  bootId: name,
  hostname: line,
  python: line,
  pid: count,
  home: path,
  workdir: path,
});

export const observeReply = z.object({
  bootId: name,
  cpuCores: count,
  memoryTotalMiB: size,
  memoryAvailableMiB: size,
  diskFreeMiB: size,
  gpus: toolOutput,
  apps: toolOutput,
  pids: z.record(z.string(), pidEntry),
  runs: z.array(runRecord).max(MAX_RUNS),
  checkpoints: z.record(z.string(), checkpoints),
});

export const launchReply = z.object({ run: runRecord, created: z.boolean() });
export const emptyReply = z.object({}).transform(() => undefined);
export const codeHasReply = z.object({ has: z.boolean() });
export const codePutReply = z.object({ received: count });
export const tailReply = z.object({ text: z.string() })
  .transform((reply) => cleanText(reply.text, 1024 * 1024));

/** What the two `nvidia-smi` queries came to. */
export type ToolOutput = z.infer<typeof toolOutput>;
/** A node's raw observation. */
export type RawObservation = z.infer<typeof observeReply>;

/** `field.path: what is wrong`, for the first few things that are. */
export function describeMismatch(error: z.ZodError): string {
  return error.issues.slice(0, 3)
    .map((issue) => cleanLine(`${issue.path.join(".") || "answer"}: ${issue.message}`, 160))
    .join("; ");
}
