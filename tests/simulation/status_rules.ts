/**
 * Rules about the status branch: each commit of UGRO is checked as it stands on the remote.
 *
 * @module
 */
import { STEPS } from "../../jobs/lifecycle.ts";
import type { Phase } from "../../jobs/status.ts";
import { type Context, wantedBy } from "./context.ts";
import type { Change, StatusMove } from "./ledger.ts";
import { docIn } from "./people.ts";
import type { Life } from "./process.ts";
import { checkQueue } from "./queue_rules.ts";
import { CANARY } from "./scenario.ts";
import type { ToldAttempt } from "./told.ts";
import { isFine, succeeded } from "./truth.ts";

/** What the rules remember from commit to commit. */
export interface StatusMemory {
  epoch: number;
  /** Commits since anything happened. */
  idle: number;
  eventsSeen: number;
}

/** A memory of nothing. */
export function newMemory(): StatusMemory {
  return { epoch: 0, idle: 0, eventsSeen: 0 };
}

/**
 * Checks a commit that a controller pushed. `events` counts everything that happened so far; since
 * the last of it `quietMs` have passed.
 */
export function checkCommit(
  context: Context,
  memory: StatusMemory,
  step: StatusMove,
  events: number,
  quietMs: number,
): void {
  const { move, epoch, changes, texts, removed } = step;
  if (move.commit === undefined || move.parent !== move.from) {
    context.fail("status-is-linear", `${move.by} moved the status branch to ${move.commit}`);
  }
  if (epoch !== undefined && epoch < memory.epoch) {
    const text = `a status commit of epoch ${epoch} follows one of ${memory.epoch}`;
    context.fail("epochs-grow", text);
  }
  memory.epoch = Math.max(memory.epoch, epoch ?? 0);
  if (texts.length === 0 && removed === 0) {
    context.fail("no-commit-loop", `an empty status commit: ${move.message.split("\n")[0]}`);
  }
  memory.idle = events > memory.eventsSeen ? 0 : memory.idle + 1;
  memory.eventsSeen = events;
  // Timers end without an event: a backoff, a lost node, one launch after the other.
  if (memory.idle > 10 + 2 * context.scenario.jobs.length) {
    const text = `${memory.idle} commits since anything happened, now: ${move.message}`;
    context.fail("no-commit-loop", text);
  }
  if (quietMs > quietLimitMs(context)) {
    const what = move.message.split("\n")[0];
    const text = `a commit after nothing had happened for ${quietMs / 1000} s: ${what}`;
    context.fail("unchanged-world", text);
  }
  if (texts.some((text) => text.includes(CANARY)) || move.message.includes(CANARY)) {
    context.fail("no-secret", "a status file holds a secret");
  }
  const life = epoch === undefined ? undefined : context.lives.get(epoch);
  for (const change of changes) checkChange(context, change, life);
  checkQueue(context, step, life);
}

/** After so long nothing more is to come of what happened; Infinity: some time comes by itself. */
function quietLimitMs({ scenario }: Context): number {
  const { policy, jobs, faults } = scenario;
  const hasTimes = jobs.some(({ doc }) =>
    doc.maxDurationS ?? doc.deadlineS ?? doc.startAfterS ?? doc.schedule ?? doc.maxNodes
  );
  const isTimed = hasTimes ||
    faults.some((fault) =>
      fault.kind === "controller-skew" || (fault.kind === "cordon" && fault.expires)
    );
  if (isTimed) return Infinity;
  const protectS = policy.scheduling?.protectS ?? 600;
  return 1000 * (2 * policy.pollS + policy.nodeLostAfterS + protectS + 180);
}

function checkChange(context: Context, change: Change, life: Life | undefined): void {
  const { job, before, after, text } = change;
  if (!after) {
    if (before && !/ManifestDeleted/.test(before.reason)) {
      context.fail("attempts-grow", `the status of ${job} was removed`);
    }
    return;
  }
  const from = (before?.phase ?? "Pending") as Phase;
  const to = after.phase as Phase;
  // Who is wanted again and too late for its deadline goes by way of Pending in one pass.
  const isLate = after.reason === "Deadline" && STEPS[from].includes("Pending");
  if (before && !isStep(context, from, to) && !isLate) {
    context.fail("lifecycle", `${job} went from ${from} to ${to}`);
  }
  if (after.attempt < (before?.attempt ?? 0)) {
    context.fail(
      "attempts-grow",
      `${job} went from attempt ${before?.attempt} to ${after.attempt}`,
    );
  }
  const { attempt, end } = after.attempts.at(-1) ?? { attempt: 0, end: undefined };
  // A number may be used up by a run that nobody vouches for.
  if (attempt > after.attempt || (attempt < after.attempt && !isTampered(context))) {
    context.fail("attempts-grow", `${job} is at attempt ${after.attempt}, but lists ${attempt}`);
  }
  if (after.phase === "Succeeded" && end !== "succeeded") {
    context.fail("ends-are-true", `${job} is Succeeded, its attempt ${attempt} is ${end}`);
  }
  if (text === "") return;
  for (const told of after.attempts) {
    const known = before?.attempts.find((a) => a.attempt === told.attempt);
    if (told.end !== undefined && known?.end !== told.end) checkEnd(context, job, told, life);
    if (known?.end !== undefined && told.end !== known.end) {
      const text = `${job}/${told.attempt} ended ${known.end}, and now ${told.end}`;
      context.fail("ends-are-true", text);
    }
  }
}

/** True once somebody deleted or rewound the status branch. */
function isTampered({ tampered }: Context): boolean {
  return tampered.statusAtMs > -Infinity;
}

/** One step of the lifecycle; two in one commit where an attempt was found that was not recorded. */
function isStep(context: Context, from: Phase, to: Phase): boolean {
  if (from === to || STEPS[from].includes(to)) return true;
  return isTampered(context) && STEPS[from].some((via) => STEPS[via].includes(to));
}

/** An attempt is said to have ended: so it must have, on every node that could be asked. */
function checkEnd(context: Context, job: string, told: ToldAttempt, life: Life | undefined): void {
  const { truth } = context;
  const runs = truth.runsOf(job, told.attempt);
  const key = `${job}/${told.attempt}`;
  const wrong = (why: string) => context.fail("ends-are-true", `${key} ${told.end}, but ${why}`);
  const ranks = told.nodes.map((node, rank) =>
    runs.findLast((placed) => placed.node === node && placed.run.id.rank === rank)
  );
  const here = life && wantedBy(context, life)?.nodes;
  for (const placed of truth.liveOf(job)) {
    const { run, node } = placed;
    if (run.id.attempt !== told.attempt || told.nodes[run.id.rank] !== node) continue;
    if (life && life.shown.reachable.has(node) && here?.has(node)) {
      wrong(`rank ${run.id.rank} lives on ${node}, which is reachable`);
    }
  }
  // What nobody knew of any more may have been cleaned, and then it looks as if it never ran.
  const fine = ranks.every((placed) =>
    placed !== undefined && isFine(placed) && placed.atMs > context.tampered.statusAtMs
  );
  if (told.end === "succeeded") {
    if (!ranks.every((placed) => placed !== undefined && succeeded(placed))) {
      wrong("not every rank exited 0");
    }
  } else if (told.end === "node-lost") {
    const lost = told.nodes.some((node, rank) => {
      const placed = ranks[rank];
      const died = placed && !placed.run.supervisor && !placed.run.exit;
      const rebooted = placed && placed.run.bootId !== context.world.machine(node).bootId;
      // It was away, which is why its gang was stopped, and is back by now.
      const gaveUp = /did not answer|cluster\.yaml/.test(placed?.run.stop?.reason ?? "");
      return died || rebooted || gaveUp || !here?.has(node) || life?.shown.unknown.has(node);
    });
    if (!lost) wrong("every node of it was there all the time");
  } else if (fine) {
    const doc = life && docIn(wantedBy(context, life), job);
    const tooLong = doc !== undefined && doc !== "broken" &&
      (doc.maxDurationS !== undefined || doc.deadlineS !== undefined);
    const knew = life && told.nodes.every((node) => life.shown.reachable.has(node));
    // What cannot be asked may be given up, but it has not failed.
    if (knew || (told.end === "failed" && !tooLong)) wrong("nothing was wrong with it");
  }
}
