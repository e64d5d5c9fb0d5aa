/**
 * Which jobs of a trace never started, and why: each is tried once more, alone, on the empty
 * cluster.
 *
 * @module
 */
import type { Usage } from "../../reconciler/scheduling/types.ts";
import { safe } from "../text.ts";
import { requestOf, type Run, type World } from "./replay.ts";
import type { SimJob } from "./workload.ts";

/** Most jobs that are told. */
const TOLD = 5;

/** What a policy left. */
export interface Left {
  readonly policy: string;
  readonly run: Run;
  readonly world: World;
}

const NO_USAGE: Usage = { decayed: new Map(), week: new Map() };

/** Lines for people, none when all started; `trace`: the file with the jobs. */
export function neverStarted(all: readonly Left[], trace: string | undefined): string[] {
  const found = new Map<SimJob, Left[]>();
  for (const left of all) {
    for (const { job, startMs } of left.run.outcomes) {
      if (startMs === undefined) found.set(job, [...found.get(job) ?? [], left]);
    }
  }
  if (found.size === 0) return [];
  const lines = [...found].slice(0, TOLD).map(([job, lefts]) => {
    const place = job.line === undefined || trace === undefined ? job.name : `${trace}:${job.line}`;
    const policies = lefts.map(({ policy }) => policy).join(", ");
    const under = lefts.length < all.length ? ` (under ${policies})` : "";
    return safe(`  ${place}${under}: ${whyNever(job, (lefts[0] as Left).world)}`);
  });
  const more = found.size > TOLD ? [`  and ${found.size - TOLD} more`] : [];
  return ["", "never started:", ...lines, ...more];
}

function whyNever(job: SimJob, world: World): string {
  const { waiting } = world.schedule({
    ...world,
    requests: [requestOf(job)],
    holdings: [],
    rooms: world.rooms.map((room) => ({ ...room })),
    usage: NO_USAGE,
    now: job.submitMs,
    limit: Infinity,
    confirm: () => ({ kind: "go" }),
  });
  return waiting[0]?.message ?? "others were always before it; alone it could start";
}
