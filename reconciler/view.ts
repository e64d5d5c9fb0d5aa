/**
 * Views: what the nodes say about one attempt, rank by rank. Three-valued throughout: a rank whose
 * node cannot be asked is `unknown`, never `absent`.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { RunRecord } from "../jobs/run.ts";
import type { Attempt } from "../jobs/status.ts";
import type { NodeObservation } from "./ports.ts";

/** One run as seen on one reachable node. */
export interface Sighting {
  readonly node: NodeName;
  readonly run: RunRecord;
}

/** What is known of one rank of an attempt. */
export type RankView =
  /** A supervisor lives. */
  | { readonly kind: "live"; readonly node: NodeName; readonly run: RunRecord }
  /** The supervisor is gone, processes of the run are left. */
  | { readonly kind: "leftover"; readonly node: NodeName; readonly run: RunRecord }
  | {
    readonly kind: "ended";
    readonly node: NodeName;
    readonly run: RunRecord;
    /** It did not end by itself: its node went down under it. */
    readonly rebooted: boolean;
  }
  /** The node answered and has no such run. */
  | { readonly kind: "absent"; readonly node: NodeName }
  | {
    readonly kind: "unknown";
    readonly node: NodeName;
    readonly sinceMs: number;
    readonly reason: string;
  }
  /** The node is no longer in cluster.yaml. */
  | { readonly kind: "removed"; readonly node: NodeName };

/** All runs on reachable nodes, by job. */
export function sightingsByJob(
  nodes: ReadonlyMap<NodeName, NodeObservation>,
): Map<string, Sighting[]> {
  const byJob = new Map<string, Sighting[]>();
  for (const observation of nodes.values()) {
    if (observation.state !== "reachable") continue;
    for (const run of observation.runs) {
      const list = byJob.get(run.job);
      if (list) list.push({ node: observation.node, run });
      else byJob.set(run.job, [{ node: observation.node, run }]);
    }
  }
  return byJob;
}

/** True when a run holds processes or may start some. */
export function isAlive(run: RunRecord): boolean {
  return run.state === "starting" || run.state === "running" || run.state === "stopping" ||
    (run.state === "lost" && run.processes > 0);
}

/** True when a run ended by itself with exit code 0 and nobody had asked it to stop. */
export function isSuccess(run: RunRecord): boolean {
  return run.state === "exited" && run.exit?.reason === "exited" && run.exit.code === 0;
}

function viewOfRun(node: NodeName, run: RunRecord, bootId: string): RankView {
  if (run.state !== "exited" && run.state !== "lost") return { kind: "live", node, run };
  if (run.state === "lost" && run.processes > 0) return { kind: "leftover", node, run };
  const died = run.state === "lost" || run.exit?.reason === "lost";
  return { kind: "ended", node, run, rebooted: died && run.bootId !== bootId };
}

/** The ranks of an attempt, in rank order. */
export function viewAttempt(
  attempt: Attempt,
  sightings: readonly Sighting[],
  nodes: ReadonlyMap<NodeName, NodeObservation>,
): RankView[] {
  return attempt.placement.map((placed, rank): RankView => {
    const node = placed.node as NodeName;
    const observation = nodes.get(node);
    if (observation === undefined) return { kind: "removed", node };
    if (observation.state === "unknown") {
      const { sinceMs, problem, reason } = observation;
      // How to mend it stands with the node; a job's status says what is wrong.
      return { kind: "unknown", node, sinceMs, reason: problem?.message ?? reason };
    }
    const seen = sightings.find((s) =>
      s.node === node && s.run.attempt === attempt.attempt && s.run.rank === rank
    );
    return seen ? viewOfRun(node, seen.run, observation.bootId) : { kind: "absent", node };
  });
}
