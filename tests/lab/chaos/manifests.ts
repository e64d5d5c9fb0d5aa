/**
 * The manifests of a run of chaos.
 *
 * @module
 */
import type { ChaosJob } from "./arrivals.ts";
import { job as manifest } from "../harness.ts";

/** What people have written so far. */
export interface Wish {
  readonly job: ChaosJob;
  readonly state: "running" | "suspended" | "cancelled";
  /** Raised by each edit of what is to run. */
  readonly revision: number;
}

/** Folders that all hosts see. */
export interface Folders {
  readonly witnesses: string;
  readonly checkpoints: string;
}

/** No finite number of faults may use them up: such a job succeeds whatever happens to it. */
const MANY_RETRIES = 1000;

/** Path of a job's manifest. */
export function fileOf(name: string): string {
  return `jobs/${name}.yaml`;
}

/** A wish as text. */
export function manifestOf({ job, state, revision }: Wish, folders: Folders): string {
  const { kind, nodes, gpusPerNode } = job;
  const { witnesses } = folders;
  // The ranks of a gang are at different steps: its nodes must share what they save, or none of
  // their checkpoints may be common to all. A job on one node saves on that node's small disk.
  const shared = nodes > 1 ? { dir: `${folders.checkpoints}/{job}` } : {};
  // An edit asks for one step more, which changes what is to run.
  const steps = job.steps + revision;
  const fails = kind === "fails";
  return manifest({
    state,
    resources: { nodes, gpusPerNode },
    ...(kind === "trains" ? training(steps, witnesses) : {
      script: "scripts/counter.py",
      launcher: "processes",
      args: [String(steps), "--witness", witnesses, ...FLAGS[kind] ?? []],
      checkpoint: { ...shared, pattern: "step-*.txt", resume: "--resume-from {path}" },
      grace: kind === "stubborn" ? "1s" : "3s",
    }),
    recovery: { maxRetries: fails ? 1 : MANY_RETRIES, backoff: "1s", maxBackoff: "2s" },
  });
}

const FLAGS: Readonly<Record<string, readonly string[]>> = {
  saves: ["--on-term", "save"],
  stubborn: ["--on-term", "ignore", "--spawn-orphan"],
  fails: ["--exit", "3"],
};

function training(steps: number, witnesses: string): Record<string, unknown> {
  return {
    script: "scripts/ddp.py",
    training: { steps, "step-time": 0.2, "ckpt-every": 5 },
    args: ["--witness", witnesses],
    checkpoint: { pattern: "step-*.pt", resume: "--resume-from {path}" },
    grace: "5s",
  };
}

/** Not a manifest, and not YAML either. */
export const BROKEN = "resources: {nodes: [1\n  script: {{ nothing closes\n";
