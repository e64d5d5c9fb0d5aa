/**
 * Rules about whom the queue serves, checked at each commit of the status branch: what is recorded
 * there is decided, and nothing is launched or stopped before it is.
 *
 * @module
 */
import type { Context } from "./context.ts";
import type { Change, StatusMove } from "./ledger.ts";
import { checkEviction } from "./eviction_rules.ts";
import { docIn, dueOf, namesOf, templateOf, type Wanted } from "./people.ts";
import type { Life } from "./process.ts";
import type { Dependency, JobDoc } from "./scenario.ts";
import { heldBy, liveAttempt, type Told, type ToldAttempt } from "./told.ts";
import { checkTurn } from "./turn_rules.ts";

/** A millionth of a GPU is nothing. */
const EPSILON = 1e-6;
const FINAL = ["Succeeded", "Failed", "Cancelled"];

/** Checks what a commit says of the queue. */
export function checkQueue(context: Context, step: StatusMove, life: Life | undefined): void {
  for (const change of step.changes) {
    const { job, before, after } = change;
    if (!after) continue;
    // One that ends and is to be run again does both in one pass.
    const isAnew = after.reason === "Rerun" || after.rerun > (before?.rerun ?? 0);
    if (before && !isAtRest(before) && !isAnew && after.submittedAtMs > before.submittedAtMs) {
      context.fail("eviction-costs-nothing", `${job} has lost its place in the queue`);
    }
    const newest = after.attempts.at(-1);
    if (!newest) continue;
    const known = before?.attempts.find(({ attempt }) => attempt === newest.attempt);
    if (!known && !newest.found) checkNew(context, step, job, after, newest);
    if (newest.evicted && !known?.evicted && life) {
      checkEviction(context, step, life, job, after, newest);
    }
    checkEvicted(context, change);
  }
}

/** A job that had come to rest goes to the end of the queue when it is wanted again. */
function isAtRest({ phase }: Told): boolean {
  return FINAL.includes(phase) || phase === "Suspended" || phase === "Invalid";
}

/** An eviction uses up no retry. */
function checkEvicted(context: Context, { job, before, after }: Change): void {
  for (const { attempt, end } of after?.attempts ?? []) {
    if (end !== "evicted") continue;
    const known = before?.attempts.find((a) => a.attempt === attempt);
    if (!before || known?.end !== undefined) continue;
    if ((after?.retries ?? 0) <= before.retries) continue;
    const text = `${job}/${attempt} was evicted, which used up a retry (${after?.retries})`;
    context.fail("eviction-costs-nothing", text);
  }
}

/** A new attempt: so it was allowed to begin. */
function checkNew(
  context: Context,
  step: StatusMove,
  job: string,
  told: Told,
  attempt: ToldAttempt,
): void {
  const wanted = context.people.at(attempt.commit);
  const doc = docIn(wanted, job);
  checkLimits(context, step, job, told);
  if (!doc || doc === "broken") return;
  checkTimes(context, job, doc, attempt);
  for (const dependency of hasStarted(told) ? [] : doc.after ?? []) {
    const open = unmet(dependency, wanted, step.after);
    if (open) context.fail("waits-for-others", `${job} was launched although ${open}`);
  }
  checkParallel(context, step, wanted, job, doc);
  checkRun(context, step, job, attempt);
  checkTurn(context, step, job, told, attempt, wanted);
}

/** Who has been launched since it was submitted is not asked again whom it waits for. */
function hasStarted({ attempts, resumed, submittedAtMs }: Told): boolean {
  return resumed || attempts.slice(0, -1).some(({ recordedAtMs }) => recordedAtMs >= submittedAtMs);
}

function checkTimes(context: Context, job: string, doc: JobDoc, { recordedAtMs }: ToldAttempt) {
  const atS = (recordedAtMs - context.startMs) / 1000;
  if (doc.startAfterS !== undefined && atS < doc.startAfterS) {
    context.fail("waits-for-others", `${job} was launched at ${atS} s, before its \`startAfter\``);
  }
  if (doc.deadlineS !== undefined && atS >= doc.deadlineS) {
    context.fail("waits-for-others", `${job} was launched at ${atS} s, after its deadline`);
  }
}

/** What a dependency still waits for. */
export function unmet(
  { job, when }: Dependency,
  wanted: Wanted,
  statuses: ReadonlyMap<string, Told>,
): string | undefined {
  for (const name of membersOf(job, wanted)) {
    const told = statuses.get(name);
    const phases = {
      success: ["Succeeded"],
      failure: ["Failed"],
      any: FINAL,
    }[when];
    const isMet = told && told.reason !== "ManifestDeleted" && phases.includes(told.phase);
    if (!isMet) return `${name}, which it waits for (${when}), is ${told?.phase}`;
  }
  return undefined;
}

/** The jobs that a name in `after` means. */
function membersOf(name: string, { jobs }: Wanted): readonly string[] {
  if (jobs.has(name)) return [name];
  const first = jobs.get(`${name}-1`);
  return first && first !== "broken" ? namesOf(name, first) : [name];
}

/** No more of one manifest at once than it says. */
function checkParallel(
  context: Context,
  { after }: StatusMove,
  { jobs }: Wanted,
  job: string,
  doc: JobDoc,
): void {
  const parent = doc.matrix === undefined ? templateOf(job) : job.replace(/-\d+$/, "");
  if (doc.maxParallel === undefined || parent === undefined) return;
  const isSibling = (name: string) =>
    templateOf(name) === parent || (jobs.get(name) === doc && doc.matrix !== undefined);
  const live = [...after].filter(([name, told]) => isSibling(name) && liveAttempt(told));
  if (live.length <= doc.maxParallel) return;
  const text = `${live.map(([name]) => name).join(", ")} run at once; ` +
    `maxParallel is ${doc.maxParallel}`;
  context.fail("within-limits", text);
}

/** Neither its queue nor its user nor a group of hers has more than is allowed. */
function checkLimits(context: Context, { after }: StatusMove, job: string, told: Told): void {
  const { queues = [], users = [], groups = [] } = context.scenario.policy;
  if (queues.length + users.length === 0) return;
  const limits: [string, number | undefined, (other: Told) => boolean][] = [];
  const queue = queues.find(({ name }) => name === told.queue);
  if (queue) {
    const inQueue = (other: Told) => other.queue === queue.name;
    limits.push([`queue ${queue.name}`, queue.maxGpus, inQueue]);
    const own = queue.borrow === false ? queue.quota ?? 0 : undefined;
    const hasQuotas = queues.some(({ quota }) => quota !== undefined);
    if (hasQuotas) limits.push([`queue ${queue.name} (no borrowing)`, own, inQueue]);
  }
  const user = users.find(({ name }) => name === told.owner);
  if (user) {
    limits.push([`user ${user.name}`, user.maxGpus, (other) => other.owner === user.name]);
    for (const group of groups.filter(({ name }) => user.groups?.includes(name))) {
      const members = users.filter((u) => u.groups?.includes(group.name)).map((u) => u.name);
      limits.push([`group ${group.name}`, group.maxGpus, (o) => members.includes(o.owner)]);
    }
  }
  for (const [who, most, counts] of limits) {
    if (most === undefined) continue;
    const has = sumHeld(after, counts);
    if (has <= most + EPSILON) continue;
    context.fail("within-limits", `${who} has ${has} GPUs with ${job}, and may have ${most}`);
  }
}

/** GPUs of all jobs that are meant. */
export function sumHeld(jobs: ReadonlyMap<string, Told>, counts: (told: Told) => boolean): number {
  let sum = 0;
  for (const told of jobs.values()) {
    const live = liveAttempt(told);
    if (live && counts(told)) sum += heldBy(live);
  }
  return sum;
}

/** A run of a schedule has its one time, and what has ended stays so; `forbid` lets no two be. */
function checkRun(
  context: Context,
  { before }: StatusMove,
  job: string,
  { attempt, commit }: ToldAttempt,
): void {
  const template = templateOf(job);
  const made = template && context.people.at(commit).jobs.get(template);
  if (!made || made === "broken" || !made.schedule) return;
  const wrong = (why: string) => context.fail("one-run-a-time", `${job}/${attempt} ${why}`);
  const dueMs = (dueOf(job) ?? 0) - context.startMs;
  if (dueMs % (made.schedule.everyMin * 60_000) !== 0) wrong("was launched, which is not due");
  const told = before.get(job);
  if (told && FINAL.includes(told.phase)) wrong(`was launched after it had ${told.phase}`);
  if (made.schedule.concurrency !== "forbid" || context.tampered.statusAtMs > -Infinity) return;
  const beside = [...before].find(([name, other]) =>
    name !== job && templateOf(name) === template && liveAttempt(other)
  );
  if (beside) wrong(`was launched beside ${beside[0]}, and concurrency is forbid`);
}
