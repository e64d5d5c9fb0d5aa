/**
 * Rules about what is done on the machines: launches, starts and stops. Each is checked at the
 * event, against the truth and against what the controller that caused it had been shown.
 *
 * @module
 */
import type { MachineEvent } from "../../providers/sim/events.ts";
import type { RunId } from "../../jobs/run.ts";
import { runKey, type SimRun } from "../../providers/sim/run.ts";
import { type Context, wantedBy } from "./context.ts";
import type { Life } from "./process.ts";
import { decisive } from "./manifest_text.ts";
import { docIn, dueOf, templateOf } from "./people.ts";
import { CANARY } from "./scenario.ts";
import { isFine, type Placed } from "./truth.ts";

/** Faults after which a job may begin anew. */
const TOUCHING: ReadonlySet<string> = new Set([
  ...["edit", "delete", "move", "broken", "desired-rewound", "desired-deleted"],
  "desired-emptied",
]);
/** How long a node that vanishes while its gang fails may take to confirm. */
const CONFIRM_MS = 5000;
/** How long a gang may take from its record until every rank has been started. */
const LAUNCH_TIMEOUT_MS = 60_000;
/** How far the clocks of two controllers are apart at most. */
const SLACK_MS = 25_000;

/** Checks what an event on a machine shows. */
export function checkRun(context: Context, node: string, event: MachineEvent, placed?: Placed) {
  if (event.kind === "asked") return;
  if (event.kind === "epoch" || !placed) return;
  if (event.kind === "created") checkLaunch(context, placed);
  else if (event.kind === "started") checkStart(context, placed);
  else if (event.kind === "stopping") checkStop(context, node, event, placed);
}

function checkStart(context: Context, { run }: Placed): void {
  const { job, attempt, rank } = run.id;
  const first = context.truth.runsOf(job, attempt).find((placed) => placed.run.id.rank === rank);
  // Somebody deleted or rewound the status branch: numbers that nobody knows begin anew.
  if (first && first.atMs < context.tampered.statusAtMs) return;
  const key = runKey(run.id);
  const count = context.truth.starts.get(key) ?? 0;
  if (count > 1) context.fail("started-once", `the agent of ${key} was started ${count} times`);
}

function checkLaunch(context: Context, placed: Placed): void {
  const { run, node } = placed;
  const key = runKey(run.id);
  const life = context.lives.get(run.epoch);
  if (!life) {
    context.fail("launch-is-wanted", `${key} was launched by nobody who ever led`);
    return;
  }
  const doc = docIn(wantedBy(context, life), run.id.job);
  if (doc && doc !== "broken" && doc.schedule) {
    context.fail("launch-is-wanted", `${key} was launched, which is a template of runs`);
  }
  if (!doc || doc === "broken" || (doc.state ?? "running") !== "running") {
    const why = doc === "broken" ? "a broken manifest" : doc ? doc.state : "no manifest";
    context.fail("launch-is-wanted", `${key} was launched, but its controller knew of ${why}`);
  }
  if (JSON.stringify(run.spec).includes(CANARY)) {
    context.fail("no-secret", `what is recorded of ${key} holds a secret`);
  }
  const { job, attempt } = run.id;
  if (!context.ledger.recorded.has(`${job}/${attempt}`)) {
    context.fail("recorded-first", `${key} was launched on ${node} before it was recorded`);
  }
  const told = context.ledger.jobs.get(job);
  const rewritten = context.tampered.statusAtMs > life.shown.observedAtMs;
  if (told && !rewritten && told.retries > context.people.mostRetries(job)) {
    context.fail("retries-are-bounded", `${key} was launched after ${told.retries} retries`);
  }
  for (const other of context.truth.liveOf(job)) {
    if (other !== placed) checkBeside(context, life, placed, other);
  }
  for (const uuid of run.spec.gpus) checkGpu(context, life, placed, uuid);
  checkResume(context, placed);
  checkRetries(context, placed);
}

/** What it goes on from must be whole where it is read. */
function checkResume({ world, people, fail }: Context, { run, node }: Placed): void {
  const { resumeFrom, resumeStep, checkpointDir, meta } = run.spec;
  const doc = docIn(people.at(meta.commit), run.id.job);
  const needless = doc !== "broken" && doc?.neededBy === "rank0" && run.id.rank !== 0;
  if (resumeFrom === null || needless) return;
  const seen = [...world.machine(node).checkpoints.list(checkpointDir)];
  const found = [...seen, ...world.shared.list(checkpointDir)].filter((c) => c.step === resumeStep);
  if (found.length === 0 || found.some((c) => c.complete)) return;
  fail("resumes-from-whole", `${runKey(run.id)} goes on from step ${resumeStep}, which is torn`);
}

/** A job that nobody touched is not tried more often than its manifest allows. */
function checkRetries(context: Context, { run }: Placed): void {
  const { scenario, truth, people, tampered, ledger, fail } = context;
  const { job, attempt } = run.id;
  const touched = tampered.statusAtMs > -Infinity ||
    scenario.faults.some(({ kind }) => TOUCHING.has(kind));
  if (touched) return;
  let failed = 0;
  for (const told of ledger.jobs.get(job)?.attempts ?? []) {
    if (told.end !== "failed" || told.attempt >= attempt) continue;
    if (truth.runsOf(job, told.attempt).some((p) => p.run.error?.source === "error-file")) failed++;
  }
  if (failed <= people.mostRetries(job)) return;
  fail("retries-are-bounded", `${runKey(run.id)} was launched after ${failed} failed attempts`);
}

/** A run of the same job lives: another rank of the gang, or an attempt that was given up. */
function checkBeside(context: Context, life: Life, placed: Placed, other: Placed): void {
  const { id } = placed.run;
  if (other.run.id.attempt === id.attempt && other.run.id.rank !== id.rank) return;
  const what = `${runKey(id)} was launched on ${placed.node} while ${runKey(other.run.id)} lives ` +
    `on ${other.node}`;
  const wanted = wantedBy(context, life);
  const left = wanted !== undefined && !wanted.nodes.has(other.node);
  // Somebody took the record of it away, and it is where nobody can or may look.
  const unseen = left || life.shown.unknown.has(other.node);
  if (unseen && context.tampered.rewoundAtMs > other.atMs) return;
  const forgotten = context.tampered.statusAtMs > other.atMs;
  if (other.run.id.attempt >= id.attempt && !forgotten) {
    context.fail("one-live-attempt", what);
    return;
  }
  if (left) return;
  const { nodeLostAfterS } = context.scenario.policy;
  const needMs = gangIsFine(context, other) ? nodeLostAfterS * 1000 : CONFIRM_MS;
  const awayMs = awayWhenDecided(context, life, id, other);
  const longEnough = awayMs >= Math.min(needMs, nodeLostAfterS * 1000) || clockWasSet(context);
  if (life.shown.unknown.has(other.node) && longEnough) return;
  const seen = life.shown.unknown.has(other.node)
    ? `has not been reached for ${awayMs / 1000} s only`
    : "is reachable";
  context.fail("one-live-attempt", `${what}, which ${seen}`);
}

/** For how long a node had not been reached; an earlier leader may have given it up, or decided. */
function awayWhenDecided(
  { ledger, lives, clock }: Context,
  { shown }: Life,
  id: RunId,
  { run, node }: Placed,
): number {
  const now = clock.now();
  const recordedMs = ledger.recorded.get(`${id.job}/${id.attempt}`) ?? now;
  const givenUpMs = ledger.ended.get(`${run.id.job}/${run.id.attempt}`) ?? now;
  if (Math.min(recordedMs, givenUpMs) >= shown.bornAtMs) return shown.awayMs(node, now);
  return Math.min(...[...lives.values()].map((life) => life.shown.awayMs(node, now, 0)));
}

/** When a controller's clock is set, it takes every node that is away for lost. */
function clockWasSet({ scenario }: Context): boolean {
  return scenario.faults.some(({ kind }) => kind === "controller-skew");
}

/** True when every rank of an attempt is there and nothing is wrong with it. */
function gangIsFine({ truth }: Context, { run }: Placed): boolean {
  const runs = truth.runsOf(run.id.job, run.id.attempt);
  return runs.length >= run.spec.nodes && runs.every(isFine);
}

function checkGpu(context: Context, life: Life, placed: Placed, uuid: string): void {
  const { run, node } = placed;
  let sum = shareOf(context, run);
  for (const other of context.truth.holders.get(`${node} ${uuid}`) ?? []) {
    if (other.run.id.job === run.id.job) continue;
    sum += shareOf(context, other.run);
    if (sum <= 1 + 1e-6) continue;
    const both = `${runKey(run.id)} and ${runKey(other.run.id)}`;
    context.fail("one-job-a-gpu", `${both} have ${uuid} of ${node}`);
  }
  const since = context.takenSinceMs.get(`${node} ${uuid}`);
  if (since !== undefined && since < life.shown.observedAtMs) {
    const text = `${runKey(run.id)} was launched on ${uuid} of ${node}, which was taken or gone`;
    context.fail("no-taken-gpu", text);
  }
}

/** The part of its GPU that a run may use. */
function shareOf({ people }: Context, { id, spec }: SimRun): number {
  const doc = docIn(people.at(spec.meta.commit), id.job);
  return doc && doc !== "broken" ? doc.share ?? 1 : 1;
}

function checkStop(
  context: Context,
  node: string,
  { run, epoch }: { readonly run: SimRun; readonly epoch: number },
  placed: Placed,
): void {
  const life = context.lives.get(epoch);
  if (life && stopCause(context, life, placed)) return;
  const who = life ? "" : " by nobody who ever led";
  const text = `${
    runKey(run.id)
  } on ${node} was stopped${who} without a cause: ${run.stop?.reason}`;
  context.fail("stop-has-cause", text);
}

/** Why a run may be stopped; undefined: it may not. */
function stopCause(context: Context, life: Life, placed: Placed): string | undefined {
  const { truth, ledger, people } = context;
  const { run, node } = placed;
  const { job, attempt } = run.id;
  const wanted = wantedBy(context, life);
  const doc = docIn(wanted, job);
  if (wanted && !doc) return "deleted";
  if (doc && doc !== "broken") {
    if ((doc.state ?? "running") !== "running") return doc.state;
    const was = docIn(people.at(run.spec.meta.commit), job);
    if (was && was !== "broken" && decisive(was) !== decisive(doc)) return "changed";
    // A node's clock may be slow, but nothing starts before it is recorded.
    const sinceMs = ledger.recorded.get(`${job}/${attempt}`) ?? placed.atMs;
    const ranMs = context.clock.now() - Math.min(sinceMs, placed.atMs);
    if (doc.maxDurationS && ranMs >= doc.maxDurationS * 1000 - SLACK_MS) return "too long";
    const atMs = context.clock.now() - context.startMs;
    if (doc.deadlineS && atMs >= doc.deadlineS * 1000 - SLACK_MS) return "too late";
    if (isReplaced(context, life, job)) return "replaced";
  }
  const told = ledger.jobs.get(job);
  if ((truth.newest.get(job) ?? 0) > attempt || (told?.attempt ?? 0) > attempt) return "older";
  const recorded = told?.attempts.find((a) => a.attempt === attempt);
  if (recorded?.end !== undefined) return "ended";
  if (recorded?.evicted) return "evicted";
  if (recorded && recorded.nodes[run.id.rank] !== node) return "misplaced";
  // Which attempt counts is another question once somebody has rewritten the record of it.
  if (context.tampered.statusAtMs > placed.atMs && isFencing(run)) return "forgotten";
  return gangTrouble(context, life, placed);
}

/** A newer run of its schedule takes its place. */
function isReplaced(context: Context, life: Life, job: string): boolean {
  const template = templateOf(job);
  const made = wantedBy(context, life)?.jobs.get(template ?? "");
  if (!made || made === "broken" || made.schedule?.concurrency !== "replace") return false;
  return [...context.ledger.jobs.keys()].some((name) =>
    templateOf(name) === template && (dueOf(name) ?? 0) > (dueOf(job) ?? 0)
  );
}

function isFencing({ stop }: SimRun): boolean {
  return stop?.graceMs === 0;
}

function gangTrouble(context: Context, life: Life, placed: Placed): string | undefined {
  const { truth, scenario, clock } = context;
  const { run } = placed;
  const { job, attempt } = run.id;
  const ranks = truth.runsOf(job, attempt);
  const others = ranks.filter((other) => other.run !== run);
  if (others.some((other) => !isFine(other))) return "a rank failed";
  if (!run.supervisor) return "its supervisor is gone";
  const launched = new Set(ranks.map((other) => other.run.id.rank));
  const nodes = run.spec.meta.nodes;
  for (const [rank, node] of nodes.entries()) {
    if (!wantedBy(context, life)?.nodes.has(node)) return "its node left";
    const away = life.shown.unknown.has(node) ? life.shown.awayMs(node, clock.now()) : 0;
    if (away >= scenario.policy.nodeLostAfterS * 1000) return "a node is lost";
    if (away > 0 && clockWasSet(context)) return "a node is lost";
    if (launched.has(rank)) continue;
    if (life.shown.reachable.has(node) && launchIsHopeless(context, life, placed, rank)) {
      return "hopeless";
    }
  }
  const started = ranks.length === nodes.length && ranks.every((p) => p.run.agentStarts > 0);
  const recordedMs = context.ledger.recorded.get(`${job}/${attempt}`) ?? placed.atMs;
  const slow = clock.now() - recordedMs >= LAUNCH_TIMEOUT_MS / 2 || clockWasSet(context);
  if (!started && slow) return "too slow a launch";
  return undefined;
}

/** A rank that is not there: its GPUs were taken, its node has no disk, or it takes too long. */
function launchIsHopeless(
  context: Context,
  life: Life,
  { run, atMs }: Placed,
  rank: number,
): boolean {
  const node = run.spec.meta.nodes[rank] ?? "";
  const machine = context.world.machine(node);
  const gpus = run.spec.meta.gpus[rank] ?? [];
  const taken = gpus.some((uuid) =>
    context.takenSinceMs.has(`${node} ${uuid}`) || context.truth.holders.has(`${node} ${uuid}`)
  );
  return taken || machine.diskFull || life.shown.observedAtMs < atMs ||
    context.clock.now() - atMs >= LAUNCH_TIMEOUT_MS / 2;
}
