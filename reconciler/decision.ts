/**
 * What is asked and answered about one job.
 *
 * @module
 */
import type { DesiredJob } from "../jobs/job.ts";
import type { JobStatus } from "../jobs/status.ts";
import type { Action, InvalidJob, PlanInput } from "./model.ts";
import type { Sighting } from "./view.ts";

/** What is decided about one job before the queue is served. */
export interface Decision {
  readonly status: JobStatus;
  readonly actions: readonly Action[];
  /** Present when the job asks to be launched now. */
  readonly candidate?: DesiredJob;
  readonly wakeAtMs?: number;
}

/** What `decideJob` looks at. */
export interface JobInput {
  readonly plan: PlanInput;
  readonly name: string;
  readonly want: DesiredJob | undefined;
  readonly invalid: InvalidJob | undefined;
  readonly history: JobStatus | undefined;
  readonly sightings: readonly Sighting[];
  readonly networkWorks: boolean;
  /** `NODE UUID` of the GPUs that interrupted launches of other jobs are completed on this pass. */
  readonly claims: Set<string>;
  /** What the template of runs at fixed times waits for, and the word for it. */
  readonly scheduled?: { readonly message: string; readonly reason: string } | undefined;
  /** Set when a guard holds back stops of this kind in this pass, with the reason. */
  readonly hold: { readonly prune: string | undefined; mayStop(): boolean };
}

/** The first line of a text, or the last of a Python traceback; at most 200 characters. */
export function firstLine(text: string): string {
  const lines = text.trim().split("\n");
  const line = lines.length > 1 && text.includes("Traceback") ? lines.at(-1) : lines[0];
  return (line ?? "").trim().slice(0, 200);
}
