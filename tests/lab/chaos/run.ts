/**
 * One run of chaos: jobs keep arriving while a schedule of faults goes on; then everything is
 * mended, and in the end every job must have met its fate and the status branch tell the truth.
 *
 * @example
 * const report = await runChaos(lab, { seed: 7, minutes: 5, python, say: console.log });
 * report.problems; // []
 *
 * @module
 */
import type { JobStatus } from "../../../jobs/status.ts";
import { Harness, pause } from "../harness.ts";
import type { Lab } from "../lab.ts";
import { eventually, must } from "../processes.ts";
import { witnesses } from "../witness.ts";
import type { ChaosJob } from "./arrivals.ts";
import { readBranch, watchBranch } from "./branch.ts";
import { Faults } from "./faults.ts";
import { People } from "./people.ts";
import { type ChaosEvent, schedule } from "./schedule.ts";
import { Services } from "./services.ts";
import { type Report, summarize } from "./summary.ts";
import { isMet, unmet, verify } from "./verify.ts";

/** How to run. */
export interface ChaosOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Python with PyTorch. */
  readonly python: string;
  /** Gets the time line, a line an event. */
  readonly say: (line: string) => void;
  /** A folder that gets the state repository, the traces and the services' logs in the end. */
  readonly keep?: string;
}

/** What `startLab` must be told for a run of chaos. */
export const CHAOS_LAB = { hosts: 3, gpusPerHost: 6, diskMiB: 64 } as const;

/** Time after the last fault in which all that can must have ended. */
const SETTLE_MS = 150_000;

/** Time in which a world that has settled must see no mutation and no commit. */
const QUIET_MS = 5_000;

/** Runs, and says what was wrong; throws only when it could not run. */
export async function runChaos(lab: Lab, options: ChaosOptions): Promise<Report> {
  const { seed, minutes, python } = options;
  const [first, ...others] = lab.hosts.map((host) => host.name);
  if (first === undefined) throw new Error("Cannot make chaos: the lab has no host");
  const plan = schedule(seed, minutes, [first, ...others]);
  const { gpusPerHost } = CHAOS_LAB;
  const setup = { python, gpusPerHost, onDisk: true, service: false };
  const harness = await Harness.start(lab, setup);
  const began = Date.now();
  const say = (text: string) => {
    options.say(`[${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s] ${text}`);
  };
  const branch = watchBranch(harness.repo);
  let services: Services | undefined;
  try {
    services = await Services.start(harness, say);
    const hint = services.hint.bind(services);
    const people = new People(harness, harness.clusterYaml(setup), hint);
    const faults = new Faults(harness, services, say);
    await play(plan.events, began, people, faults, say);
    const calmMs = Date.now();
    say("no more faults; everything is mended");
    const problems = await settle(harness, services, plan.jobs, say);
    const settledMs = Date.now() - calmMs;
    problems.push(...await quietProblems(services));
    await services.stop();
    const history = await readBranch(harness.repo, await branch.stop());
    const traces = witnesses(harness.witnessDir);
    const statuses = await harness.statuses();
    problems.push(...await verify({ harness, services, plan, faults, history, traces, statuses }));
    return summarize({
      plan,
      faults,
      services,
      people,
      history,
      traces,
      statuses,
      problems,
      settledMs,
    });
  } finally {
    await Promise.all([branch.stop(), services?.stop()]);
    await harness.close();
    if (options.keep !== undefined) await keep(options.keep, harness, services);
  }
}

/** What one needs to find out why something went wrong. */
async function keep(folder: string, harness: Harness, services?: Services): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await must(["cp", "-r", harness.repo, harness.witnessDir, folder]);
  for (const [index, service] of (services?.all ?? []).entries()) {
    await Deno.writeTextFile(`${folder}/service-${index + 1}.log`, service.tail(5_000));
  }
}

/** Does everything at its time. What lasts goes on beside what follows. */
async function play(
  events: readonly ChaosEvent[],
  began: number,
  people: People,
  faults: Faults,
  say: (text: string) => void,
): Promise<void> {
  const running: Promise<void>[] = [];
  for (const event of events) {
    const waitMs = began + event.atMs - Date.now();
    if (waitMs > 0) await pause(waitMs);
    running.push(act(event, people, faults, say));
  }
  const failed = (await Promise.allSettled(running)).flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : []
  );
  if (failed.length > 0) throw new AggregateError(failed, "Cannot play the schedule");
}

async function act(
  event: ChaosEvent,
  people: People,
  faults: Faults,
  say: (text: string) => void,
): Promise<void> {
  switch (event.kind) {
    case "submit":
      say(`submit ${event.job.name}`);
      return await people.act(event);
    case "edit":
    case "delete":
    case "cancel":
      say(`${event.kind} ${event.name}`);
      return await people.act(event);
    case "suspend":
    case "break":
      say(`${event.kind} ${event.name} for ${(event.forMs / 1000).toFixed(1)} s`);
      return await people.act(event);
    case "break-cluster":
      say(`break cluster.yaml for ${(event.forMs / 1000).toFixed(1)} s`);
      return await people.act(event);
    default:
      return await faults.inject(event);
  }
}

/** Waits until every job has met its fate; gives those that have not. */
async function settle(
  harness: Harness,
  services: Services,
  jobs: readonly ChaosJob[],
  say: (text: string) => void,
): Promise<string[]> {
  let statuses: Map<string, JobStatus> = new Map();
  let left = -1;
  try {
    await eventually("settle", SETTLE_MS, async () => {
      await pause(500);
      statuses = new Map((await harness.statuses()).map((status) => [status.name, status]));
      const waiting = jobs.filter((job) => !isMet(job, statuses.get(job.name)));
      if (waiting.length !== left) say(`${waiting.length} jobs have not met their fate yet`);
      left = waiting.length;
      return left === 0 ? true : undefined;
    });
    return [];
  } catch (error) {
    if (left <= 0) throw error;
    say(services.tail());
    return jobs.flatMap((job) => unmet(job, statuses.get(job.name)));
  }
}

/** A settled world: passes go on, but change nothing. */
async function quietProblems(services: Services): Promise<string[]> {
  await pause(2_000);
  const before = await services.stats();
  await pause(QUIET_MS);
  const after = await services.stats();
  const problems: string[] = [];
  for (const what of ["mutations", "commits"] as const) {
    const more = after[what] - before[what];
    if (more > 0) problems.push(`${more} ${what} in ${QUIET_MS} ms after everything had ended`);
  }
  if (after.passes === before.passes) problems.push("no pass was made in a settled world");
  return problems;
}
