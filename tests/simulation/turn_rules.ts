/**
 * The rule about turns: nobody passes a job of the same lane that has waited longer, and stays for
 * nobody knows how long, where that job needs the room. So no wide job is starved.
 *
 * @module
 */
import type { Context } from "./context.ts";
import type { StatusMove } from "./ledger.ts";
import { cardsOf } from "./manifest_text.ts";
import { docIn, templateOf, type Wanted } from "./people.ts";
import type { JobDoc, ScenarioNode } from "./scenario.ts";
import type { Told, ToldAttempt } from "./told.ts";

/** Waiting jobs beyond these keep no start time. */
const RESERVATIONS = 16;

/** Checks that a job that has just been placed takes nobody's turn. */
export function checkTurn(
  context: Context,
  step: StatusMove,
  job: string,
  told: Told,
  attempt: ToldAttempt,
  wanted: Wanted,
): void {
  // With quotas the one that borrows nothing goes first, whoever came first.
  if (context.scenario.policy.queues?.some(({ quota }) => quota !== undefined)) return;
  const doc = docIn(wanted, job);
  if (!doc || doc === "broken" || isOfKnownLength(job, doc, told)) return;
  const waiting = [...step.after].filter(([, other]) => waits(other));
  if (waiting.length > RESERVATIONS) return;
  for (const [name, other] of waiting) {
    if (!waitsForRoom(other)) continue;
    const before = step.before.get(name);
    if (!before || !waitsForRoom(before) || !isBefore(other, told)) continue;
    // What is left of it is still being stopped: it does not ask for room in this pass.
    if (context.truth.liveOf(name).size > 0) continue;
    const need = docIn(wanted, name);
    if (!need || need === "broken" || (need.state ?? "running") !== "running") continue;
    if (!isInTheWay(context, wanted, need, attempt)) continue;
    const text = `${job} was placed on ${attempt.nodes.join(", ")} for as long as it likes, ` +
      `which ${name} has waited for longer`;
    context.fail("keeps-its-turn", text);
  }
}

/** How long it will run can be told from its limit, earlier runs or its siblings. */
function isOfKnownLength(job: string, doc: JobDoc, { attempts }: Told): boolean {
  return doc.maxDurationS !== undefined || doc.matrix !== undefined ||
    templateOf(job) !== undefined || attempts.some(({ end }) => end === "succeeded");
}

function waits({ phase }: Told): boolean {
  return phase === "Pending" || phase === "Recovering";
}

function waitsForRoom(told: Told): boolean {
  return waits(told) && (told.reason === "Resources" || told.reason === "Priority");
}

/** True when every policy tries the one before the other. */
function isBefore(a: Told, b: Told): boolean {
  return a.queue === b.queue && a.owner === b.owner && a.priority >= b.priority &&
    a.submittedAtMs < b.submittedAtMs;
}

/** True when every node is as it should be, and the job fits only where the other is not. */
function isInTheWay(
  context: Context,
  wanted: Wanted,
  need: JobDoc,
  { placed }: ToldAttempt,
): boolean {
  const cards = cardsOf(need);
  let fitting = 0;
  let left = 0;
  for (const node of wanted.nodes.values()) {
    if (sizeOf(node) < cards) continue;
    if (!isSound(context, wanted, node)) return false;
    const taken = placed.filter((rank) => rank.node === node.name)
      .reduce((sum, rank) => sum + rank.gpus.length, 0);
    fitting++;
    if (sizeOf(node) - taken >= cards) left++;
  }
  return need.share === undefined && isOfOneKind(wanted, cards) &&
    fitting >= need.nodes && left < need.nodes;
}

function sizeOf({ gpus, cpuSlots = 0 }: ScenarioNode): number {
  return gpus || cpuSlots;
}

function isOfOneKind({ nodes }: Wanted, cards: number): boolean {
  const fitting = [...nodes.values()].filter((node) => sizeOf(node) >= cards);
  return new Set(fitting.map(({ gpus, old }) => gpus === 0 ? "cpu" : old ?? "new")).size === 1;
}

/** Nothing is wrong with a node, whoever looks at it. */
function isSound(
  { world, takenSinceMs, processes }: Context,
  { cordoned, clusterBroken }: Wanted,
  { name }: ScenarioNode,
): boolean {
  const machine = world.machine(name);
  const reached = processes.every(({ life }) => !life || !life.shown.unknown.has(name));
  return reached && !clusterBroken && !cordoned.has(name) && machine.up &&
    machine.gpus.every(({ uuid, present }) => present && !takenSinceMs.has(`${name} ${uuid}`)) &&
    machine.observe([]).gpus !== undefined;
}
