/**
 * The people of a run of chaos: which jobs they push, and what they do with them later.
 *
 * @module
 */
import type { Random } from "./random.ts";

/**
 * - `counts`: a few seconds on one host or several, resumes; dies of SIGTERM
 * - `saves`: the same, but saves on SIGTERM and exits 0
 * - `stubborn`: ignores SIGTERM and leaves a process in a session of its own
 * - `fails`: ends with exit code 3, every time
 * - `endless`: runs until people take it away
 * - `trains`: a DDP training with torchrun
 */
export type JobKind = "counts" | "saves" | "stubborn" | "fails" | "endless" | "trains";

/** What must have become of a job in the end, whatever happened to it. */
export type Fate =
  | "succeeded"
  | "failed"
  /** People took it away: cancelled, unless it had ended before. */
  | "gone";

/** A job as the schedule plans it. */
export interface ChaosJob {
  readonly name: string;
  readonly kind: JobKind;
  readonly nodes: number;
  readonly gpusPerNode: number;
  /** Of 0.2 s each. */
  readonly steps: number;
  readonly fate: Fate;
}

/** Something that people do, by a push. Those with `forMs` are taken back after that time. */
export type PeopleEvent =
  & { readonly atMs: number }
  & (
    | { readonly kind: "submit"; readonly job: ChaosJob }
    | { readonly kind: "edit" | "delete" | "cancel"; readonly name: string }
    | { readonly kind: "suspend" | "break"; readonly name: string; readonly forMs: number }
    | { readonly kind: "break-cluster"; readonly forMs: number }
  );

/** Kinds of jobs as often as they come, dealt like the faults. */
const KINDS: readonly JobKind[] = [
  ...["counts", "counts", "counts", "counts", "saves", "saves"] as const,
  ...["counts", "stubborn", "fails", "endless", "trains"] as const,
];
/** What people do with a job after its submission; nothing with most. */
const DEEDS = ["", "", "edit", "suspend", "break", "delete", "", "cancel"] as const;
const SHAPES = [[1, 1], [1, 1], [2, 1], [3, 1], [1, 2], [2, 2]] as const;
const BREAK_CLUSTER_EVERY_MS = 45_000;

/** Jobs that arrive until shortly before `endMs`, and what becomes of them. */
export function arrivals(
  random: Random,
  endMs: number,
): { jobs: ChaosJob[]; events: PeopleEvent[] } {
  const jobs: ChaosJob[] = [];
  const events: PeopleEvent[] = [];
  let kinds: JobKind[] = [];
  let deeds: string[] = [];
  for (let atMs = 500; atMs < endMs - 3_000; atMs += random.between(1_200, 5_000)) {
    if (kinds.length === 0) kinds = random.shuffled(KINDS);
    if (deeds.length === 0) deeds = random.shuffled(DEEDS);
    const kind = kinds.pop() as JobKind;
    const deed = kind === "endless" ? random.pick(["delete", "cancel"]) : deeds.pop() ?? "";
    const job = draw(random, kind, jobs.length + 1, deed);
    jobs.push(job);
    events.push({ atMs, kind: "submit", job });
    const laterMs = atMs + random.between(1_500, kind === "endless" ? 15_000 : 7_000);
    events.push(...deedOf(deed, job.name, laterMs, random.between(1_500, 8_000)));
  }
  const first = random.between(5_000, 20_000);
  for (let atMs = first; atMs < endMs; atMs += BREAK_CLUSTER_EVERY_MS) {
    events.push({ atMs, kind: "break-cluster", forMs: random.between(1_500, 6_000) });
  }
  return { jobs, events };
}

function draw(random: Random, kind: JobKind, number: number, deed: string): ChaosJob {
  const [nodes, gpusPerNode] = kind === "trains"
    ? [2, 1] as const
    : kind === "stubborn"
    ? [1, 1] as const
    : random.pick(SHAPES);
  const steps = kind === "endless" ? 10_000 : random.between(8, 40);
  const removed = deed === "delete" || deed === "cancel";
  return {
    name: `${kind}-${String(number).padStart(3, "0")}`,
    kind,
    nodes,
    gpusPerNode,
    steps,
    fate: removed ? "gone" : kind === "fails" ? "failed" : "succeeded",
  };
}

function deedOf(deed: string, name: string, atMs: number, forMs: number): PeopleEvent[] {
  switch (deed) {
    case "edit":
    case "delete":
    case "cancel":
      return [{ atMs, kind: deed, name }];
    case "suspend":
    case "break":
      return [{ atMs, kind: deed, name, forMs }];
    default:
      return [];
  }
}
