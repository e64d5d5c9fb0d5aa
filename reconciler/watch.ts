/**
 * What is seen of live attempts over several passes: how much memory they take, since when their
 * GPUs idle, and what they were launched with, though their manifest may change. Pure; kept by the controller from pass to pass and lost with it, so that a new
 * one begins to count anew and stops nobody too early.
 *
 * @example
 * const watched = watch(before, observed, history.jobs, desired, clock.now());
 *
 * @module
 */
import type { Cluster, IdlePolicy } from "../cluster/cluster.ts";
import { formatDuration } from "../cluster/duration.ts";
import type { Gpu } from "../cluster/gpu.ts";
import type { NodeName } from "../cluster/node.ts";
import type { DesiredJob } from "../jobs/job.ts";
import type { Attempt, JobStatus, PlacedRank } from "../jobs/status.ts";
import type { JobInput } from "./decision.ts";
import { asTemplateSays } from "./instances.ts";
import { newestAttempt } from "./job_status.ts";
import { attemptKey, type Desired, type HostNeed, type Observed, type Watched } from "./model.ts";

/** What is known after this observation; attempts that have ended are forgotten. */
export function watch(
  previous: ReadonlyMap<string, Watched>,
  observed: Observed,
  statuses: ReadonlyMap<string, JobStatus>,
  desired: Desired,
  now: number,
): ReadonlyMap<string, Watched> {
  const watched = new Map<string, Watched>();
  for (const [name, status] of statuses) {
    const attempt = newestAttempt(status);
    if (!attempt || attempt.end) continue;
    const key = attemptKey(name, attempt.attempt);
    const before = previous.get(key);
    const seen = attempt.placement.map((placed) => gpusSeen(name, attempt, placed, observed));
    const peakMiB = Math.max(before?.peakMiB ?? 0, ...usesMiB(name, attempt, seen));
    const policy = idlePolicyOf(desired.jobs.get(name), desired.cluster);
    const isIdle = policy !== undefined && attempt.startedAt !== undefined &&
      isEachBelow(attempt, seen, policy.belowPct);
    const host = hostNeedOf(name, attempt, desired) ?? before?.host;
    if (peakMiB === 0 && !isIdle && !host) continue;
    watched.set(key, {
      // A clock that was set back makes no window longer.
      ...(isIdle ? { idleSinceMs: Math.min(before?.idleSinceMs ?? now, now) } : {}),
      ...(peakMiB > 0 ? { peakMiB } : {}),
      ...(host ? { host } : {}),
    });
  }
  return watched;
}

/**
 * What a launch asked for of each machine, if the manifest is still the one that it was of.
 * undefined: it is gone, broken or changed, and does not say.
 */
export function hostNeedOf(
  name: string,
  { specDigest }: Pick<Attempt, "specDigest">,
  desired: Desired,
): HostNeed | undefined {
  const job = desired.jobs.get(name);
  if (!job || asTemplateSays(job, desired).specDigest !== specDigest) return undefined;
  const { cpuCores, ramGb } = job.spec.resources;
  return {
    ...(cpuCores === undefined ? {} : { cpuCores }),
    ...(ramGb === undefined ? {} : { ramGb }),
  };
}

/** The GPUs of one rank while it runs there; none when that cannot be seen. */
function gpusSeen(
  job: string,
  { attempt }: Attempt,
  placed: PlacedRank,
  observed: Observed,
): readonly Gpu[] {
  const seen = observed.nodes.get(placed.node as NodeName);
  if (seen?.state !== "reachable" || !seen.gpus) return [];
  const runs = seen.runs.some((run) =>
    run.job === job && run.attempt === attempt && run.state === "running"
  );
  return runs ? seen.gpus.filter((gpu) => placed.gpus.includes(gpu.uuid)) : [];
}

/** Memory in use on each GPU; of a shared one, what its own processes hold. */
function usesMiB(job: string, attempt: Attempt, seen: readonly (readonly Gpu[])[]): number[] {
  return seen.flatMap((gpus, rank) =>
    gpus.map((gpu) => {
      if (attempt.placement[rank]?.share === undefined) return gpu.memoryUsedMiB ?? 0;
      const own = gpu.processes.filter(({ owner }) =>
        owner.kind === "run" && owner.job === job && owner.attempt === attempt.attempt
      );
      return own.reduce((sum, process) => sum + (process.usedMiB ?? 0), 0);
    })
  );
}

/** True when every GPU of the attempt is seen, and tells a use below `belowPct`. */
function isEachBelow(
  attempt: Attempt,
  seen: readonly (readonly Gpu[])[],
  belowPct: number,
): boolean {
  const isIdle = ({ utilisationPct }: Gpu) => utilisationPct !== null && utilisationPct < belowPct;
  return attempt.placement.length > 0 &&
    attempt.placement.every(({ gpus }, rank) =>
      gpus.length > 0 && seen[rank]?.length === gpus.length && seen[rank].every(isIdle)
    );
}

/** What the job says of idle GPUs, or else its queue. */
function idlePolicyOf(job: DesiredJob | undefined, cluster: Cluster): IdlePolicy | undefined {
  if (!job) return undefined;
  return job.spec.idle ?? cluster.queues.find(({ name }) => name === job.spec.queue)?.idle;
}

/** An attempt whose GPUs idle now, and when they will have done so for long enough. */
export interface Idleness {
  readonly policy: IdlePolicy;
  readonly overAtMs: number;
}

/** undefined: they do not idle, or nobody can tell, or nothing is said about it. */
export function idleness({ plan, name, want }: JobInput, attempt: Attempt): Idleness | undefined {
  const sinceMs = plan.observed.watched?.get(attemptKey(name, attempt.attempt))?.idleSinceMs;
  const policy = sinceMs === undefined ? undefined : idlePolicyOf(want, plan.desired.cluster);
  if (sinceMs === undefined || !policy) return undefined;
  return { policy, overAtMs: sinceMs + policy.forMs };
}

/** The sentence for people; it does not change while the GPUs idle on. */
export function idleText({ belowPct, forMs }: IdlePolicy): string {
  return `all of its GPUs have been used less than ${belowPct} % for ${formatDuration(forMs)}`;
}
