/**
 * Chooses the checkpoint that an attempt goes on from: the newest complete one that every node of
 * the gang that needs it can see.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Checkpoint } from "../jobs/run.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { Observed } from "./model.ts";

/** Go on from here. `order` gives the chosen nodes in rank order. */
export interface Resume {
  readonly kind: "resume";
  readonly path: string;
  readonly step: number;
  readonly order: readonly number[];
}

/** What to do about checkpoints. */
export type ResumeChoice =
  | Resume
  | { readonly kind: "fresh" }
  | { readonly kind: "refused"; readonly message: string };

/** The folder of a job's checkpoints: absolute, `~/…`, or relative to each node's work directory. */
export function checkpointDir(job: DesiredJob): string {
  const { name, rerun, checkpoint } = job.spec;
  const own = rerun > 0 ? `${name}-rerun-${rerun}` : name;
  return checkpoint.dir?.replaceAll("{job}", name).replaceAll("{rerun}", String(rerun)) ??
    `checkpoints/${own}`;
}

/** Chooses for a gang on `nodes`. A job that never ran starts fresh. */
export function chooseResume(
  job: DesiredJob,
  status: JobStatus,
  nodes: readonly NodeName[],
  observed: Observed,
): ResumeChoice {
  if (status.attempt === 0) return { kind: "fresh" };
  const per = nodes.map((node) => completeOn(job, node, observed));
  const needed = job.spec.checkpoint.neededBy;
  const order = nodes.map((_, i) => i);
  if (needed === "rank0") {
    const steps = per.map((list) => list[0]?.step ?? -1);
    const best = Math.max(...steps);
    const first = steps.indexOf(best);
    if (best >= 0) {
      const others = order.filter((i) => i !== first);
      return resumeFrom(job, per[first]?.[0] as Checkpoint, [first, ...others]);
    }
  } else {
    const common = (per[0] ?? []).find((c) =>
      per.every((list) => list.some((other) => name(other) === name(c)))
    );
    if (common) return resumeFrom(job, common, order);
  }
  const elsewhere = newestAnywhere(job, observed);
  if (!elsewhere) return withoutAny(job, status, observed);
  const mayHelp = needed !== "rank0" && nodes.length > 1;
  return {
    kind: "refused",
    message:
      `its checkpoint of step ${elsewhere.step} is on ${elsewhere.nodes} only, and starting ` +
      `over would lose it: use a folder that all nodes share (\`checkpoint.dir\`)` +
      (mayHelp
        ? ", save on every node, or set `checkpoint.neededBy: rank0` if only rank 0 loads it"
        : ""),
  };
}

/** Most nodes that a sentence names. */
const NAMED = 5;

/** The newest complete checkpoint that is seen anywhere, and where. */
function newestAnywhere(job: DesiredJob, observed: Observed) {
  const steps = [...observed.nodes.keys()].flatMap((node) => {
    const newest = completeOn(job, node, observed)[0];
    return newest ? [{ node, step: newest.step }] : [];
  });
  if (steps.length === 0) return undefined;
  const step = steps.reduce((most, found) => Math.max(most, found.step), 0);
  const nodes = steps.filter((found) => found.step === step).map(({ node }) => node).toSorted();
  const more = nodes.length > NAMED ? ` and ${nodes.length - NAMED} more` : "";
  return { step, nodes: nodes.slice(0, NAMED).join(", ") + more };
}

/** No checkpoint is seen anywhere. If there was one, a node that cannot be asked may hold it. */
function withoutAny(job: DesiredJob, status: JobStatus, observed: Observed): ResumeChoice {
  const silent = status.attempts.at(-1)?.placement.find((placed) => {
    const seen = observed.nodes.get(placed.node as NodeName);
    return seen?.state === "reachable" && !seen.checkpoints.has(job.spec.name);
  });
  if (silent) {
    const message = `its checkpoints on ${silent.node} cannot be listed, and starting over ` +
      "would lose them";
    return { kind: "refused", message };
  }
  const had = status.attempts.findLast((attempt) => attempt.resumedFrom)?.resumedFrom;
  const away = status.attempts.at(-1)?.placement.find((placed) =>
    observed.nodes.get(placed.node as NodeName)?.state === "unknown"
  );
  if (!had || !away) return { kind: "fresh" };
  return {
    kind: "refused",
    message: `it had a checkpoint of step ${had.step}, which is on no node that answers; ` +
      `${away.node} cannot be asked`,
  };
}

function name(checkpoint: Checkpoint): string {
  return checkpoint.path.split("/").at(-1) ?? "";
}

function completeOn(job: DesiredJob, node: NodeName, observed: Observed): readonly Checkpoint[] {
  const seen = observed.nodes.get(node);
  if (seen?.state !== "reachable") return [];
  return (seen.checkpoints.get(job.spec.name) ?? []).filter((c) => c.complete);
}

function resumeFrom(job: DesiredJob, checkpoint: Checkpoint, order: readonly number[]): Resume {
  return {
    kind: "resume",
    path: `${checkpointDir(job)}/${name(checkpoint)}`,
    step: checkpoint.step,
    order,
  };
}
