/**
 * Serves the queue: which of the jobs that ask to be launched get which GPUs, all of a gang or
 * none; who waits and why; who must make room. Pure, and the same for a live cluster and for a
 * trace that is replayed.
 *
 * Jobs are tried in the order of the policy (`order.ts`). One that does not fit keeps a start time
 * (`reserve.ts`), and later ones may pass it only where they do not push that back. Elastic jobs
 * get their least size first, and what nobody can use afterwards.
 *
 * @example
 * const { placed, waiting } = schedule({ requests, holdings, rooms, ...cluster, now });
 *
 * @module
 */
import type { NodeName } from "../../cluster/node.ts";
import type { Resources } from "../../jobs/job.ts";
import type { PlacedRank } from "../../jobs/status.ts";
import { choose } from "./choose.ts";
import { type Option, partOf, take } from "./fit.ts";
import { forecast } from "./forecast.ts";
import { extraNodes, growing } from "./grow.ts";
import { gpusOf, heldGpus, Ledger } from "./ledger.ts";
import { type Limit, limitOf, sharedBy } from "./limits.ts";
import { Offers } from "./offers.ts";
import { Line } from "./order.ts";
import { passes } from "./policies.ts";
import { makeRoom } from "./preempt.ts";
import { groundsText, inOrder, keptOf, LIMIT, preempting } from "./reasons.ts";
import { type Refusal, refuse } from "./refuse.ts";
import { reserve } from "./reserve.ts";
import { endOf, Timeline, untilMs } from "./timeline.ts";
import type {
  Claimant,
  Evict,
  Expected,
  Holding,
  Placed,
  Request,
  Reservation,
  Room,
} from "./types.ts";
import type { Schedule, ScheduleInput, Waits } from "./types.ts";

/** Most jobs for which one pass looks for others to stop. */
const MAX_ROOM_MADE = 16;

/** A request prefers nodes that hold its newest checkpoint this much (`requests.ts`). */
const HOLDS_CHECKPOINT = 2;

/** Serves the queue once; `input.rooms` is used up. */
export function schedule(input: ScheduleInput): Schedule {
  return new Pass(input).run();
}

/** The name of a need: equal for equal needs, computed once for each. */
function shapeOf(need: Resources): string {
  const known = shapes.get(need);
  if (known !== undefined) return known;
  const shape = JSON.stringify(need);
  shapes.set(need, shape);
  return shape;
}

const shapes = new WeakMap<Resources, string>();

/** A job that does not fit: none that needs the same and ends after that time does either. */
interface Failed {
  readonly refusal: Refusal;
  readonly afterMs: number;
}

class Pass {
  readonly #timeline: Timeline;
  readonly #offers: Offers;
  readonly #ledger: Ledger;
  readonly #failed = new Map<string, Failed>();
  readonly #placed: Placed[] = [];
  readonly #waiting: (Refusal & { request: Request })[] = [];
  readonly #asked = new Set<string>();
  readonly #evictions: Evict[] = [];
  readonly #reservations: Reservation[] = [];
  /** When those for whom room is kept will start, as far as it is known. */
  readonly #starts = new Map<string, Expected>();
  #holdings: readonly Holding[];
  /** False when no policy would stop anybody for anybody. */
  readonly #mayStop: boolean;
  /** Whose limits somebody waits for who has waited too long: what comes free of them is kept. */
  readonly #owed = new Set<string>();
  /** Queue, priority and need of those for whom nobody can make room. */
  readonly #noRoomFor = new Set<string>();
  #launches = 0;
  #roomMade = 0;
  /** Whom nobody may pass any more, when the policy says so. */
  #first: Request | undefined;

  constructor(private readonly input: ScheduleInput) {
    const { queues, holdings, scheduling: { policy, preemption } } = input;
    this.#mayStop = policy !== "fifo" && (preemption.byPriority ||
      preemption.reclaim && queues.some((queue) => queue.quotaGpus !== undefined) ||
      holdings.some(({ need, placement }) => need.maxNodes && placement.length > need.nodes));
    this.#holdings = input.holdings;
    this.#timeline = new Timeline(input.holdings, input.now);
    this.#offers = new Offers(input.rooms);
    this.#ledger = new Ledger(input, input.holdings);
  }

  run(): Schedule {
    const line = new Line(this.input.requests, this.#ledger, this.input);
    const silent = this.input.explain === false;
    for (let next = line.next(); next; next = line.next()) {
      this.#serve(next);
      if (this.#first && silent) break;
    }
    if (!this.#first) this.#grow();
    return {
      placed: this.#placed,
      waiting: silent ? [] : this.#explain(),
      asked: [...this.#asked],
      evictions: this.#evictions,
      reservations: this.#reservations,
    };
  }

  #serve(request: Request): void {
    const { input } = this;
    const gpus = gpusOf(request.need);
    const over = limitOf(request, gpus, this.#ledger, input);
    if (over) return this.#waitForLimit(request, over);
    const owed = sharedBy(request, input).find((whose) => this.#owed.has(whose));
    if (owed !== undefined) return this.#wait(request, keptOf(owed));
    if (this.#first) return this.#wait(request, inOrder(this.#first));
    if (this.#launches >= input.limit) return this.#wait(request, LIMIT);
    const known = this.#failed.get(shapeOf(request.need));
    if (known && untilMs(request, input.now) > known.afterMs) {
      return this.#block(request, known.refusal);
    }
    const found = this.#choose(request);
    if (found) return this.#place(request, found.chosen, found.because);
    const keepers = this.#reservations.map(({ job }) => job);
    this.#block(request, refuse(request, input.rooms, keepers, this.#holdings));
  }

  /** GPUs that will probably have the memory for it go before those that suit on paper. */
  #choose(request: Request) {
    const { need, preferred, likelyGb } = request;
    const options = this.#options(request);
    const among = (some: readonly Option[]) =>
      choose(some, need, need.nodes, preferred, this.input.scheduling.topology);
    if (likelyGb === undefined) return among(options);
    const roomy = options.filter(({ slowest }) => (slowest.memoryMiB ?? 0) >= likelyGb * 1024);
    return among(roomy) ?? among(options);
  }

  /** What is free for a job without being in anybody's way. */
  #options(request: Request): Option[] {
    const until = untilMs(request, this.input.now);
    const whole = (room: Room) => this.#timeline.whole(room, until, request.need);
    return this.#offers.find(shapeOf(request.need), request.need, whole);
  }

  #place(request: Request, chosen: readonly Option[], because: string): void {
    // A part of a GPU is at least as much as its memory is of the GPU's.
    const parts = partsOf(chosen, request.need);
    const over = limitOf(request, parts, this.#ledger, this.input);
    if (over) return this.#waitForLimit(request, over);
    const answer = this.input.confirm(request, chosen.map(nodeOf));
    if (answer.kind === "refused") {
      return this.#waitForCheckpoint(request, answer);
    }
    const order = (answer.kind === "go" ? answer.order : undefined) ?? chosen.map((_, i) => i);
    const placement = order.map((i) => take(chosen[i] as Option, request.need));
    this.#hold(request, placement, answer.kind === "go");
    this.#launches++;
    if (answer.kind === "ask") {
      this.#asked.add(request.name);
      return;
    }
    const note = answer.note ? `; ${answer.note}` : "";
    this.#placed.push({ request, placement, because: because + note });
  }

  #hold(request: Request, placement: readonly PlacedRank[], starts: boolean): void {
    const { now } = this.input;
    this.#ledger.add(request, heldGpus({ placement }));
    const holding = { ...request, placement, startedMs: now, leaving: false, lostMs: 0 };
    const end = endOf(holding, now);
    this.#timeline.stay(request, placement, starts ? end : { ...end, basis: "guess" });
  }

  /** The job does not fit: others make room for it, or room is kept for it. */
  #block(request: Request, refusal: Refusal): void {
    const { scheduling, rooms, now } = this.input;
    const shape = shapeOf(request.need);
    // Only what is kept makes the end of a job count.
    const afterMs = this.#timeline.lastStartBefore(untilMs(request, now));
    const known = this.#failed.get(shape);
    if (!known || afterMs < known.afterMs) this.#failed.set(shape, { refusal, afterMs });
    const possible = refusal.reason !== "Unschedulable";
    const coming = possible ? this.#makeRoom(request) : undefined;
    if (possible) this.#reserve(request, rooms);
    // A job that can never run is in nobody's way.
    if (possible && !passes(scheduling.policy)) this.#first = request;
    this.#wait(request, coming ?? refusal);
  }

  /** Keeps room for a job from the earliest moment on, if it is among the first who wait. */
  #reserve(request: Request, rooms: readonly Room[]): void {
    const { scheduling, now } = this.input;
    if (this.#reservations.length >= scheduling.reservations) return;
    const reserved = reserve(request, rooms, this.#timeline, now, "guess");
    if (!reserved) return;
    const { job, start, nodes } = reserved;
    // What people are told does not rest on guesses, which move, where it need not.
    const known = start.basis === "guess"
      ? reserve(request, rooms, this.#timeline, now, "history")?.start
      : start;
    this.#starts.set(job, known ?? start);
    this.#timeline.keep(request, reserved, reserved.suited);
    this.#reservations.push({ job, start, nodes });
  }

  /** It could run elsewhere, but not go on there: room is kept for it where its checkpoint is. */
  #waitForCheckpoint(request: Request, refusal: { reason: string; message: string }): void {
    const { rooms, scheduling } = this.input;
    this.#reserve(
      request,
      rooms.filter(({ node }) => (request.preferred.get(node.name) ?? 0) >= HOLDS_CHECKPOINT),
    );
    // Where nothing can be kept for it, it would hold up everybody for nothing.
    const isKept = this.#reservations.some(({ job }) => job === request.name);
    if (isKept && !passes(scheduling.policy)) this.#first = request;
    const { reason, message } = refusal;
    this.#wait(request, { reason, message, detail: message, numbers: {} });
  }

  /** Looks for jobs that must stop for this one; gives what is then said of it. */
  #makeRoom(request: Request): Refusal | undefined {
    // Of those of one queue and priority that need the same, nobody fares better than the first.
    const alike = `${request.queue} ${request.priority} ${shapeOf(request.need)}`;
    if (this.#roomMade >= MAX_ROOM_MADE || !this.#mayStop || this.#noRoomFor.has(alike)) {
      return undefined;
    }
    const { rooms } = this.input;
    const found = makeRoom(request, {
      // What is kept for those before it stays theirs.
      rooms: rooms.filter((room) => !this.#timeline.isKept(room.node.name)),
      holdings: this.#holdings,
      ledger: this.#ledger,
      input: this.input,
    });
    if (found.kind === "none") {
      this.#noRoomFor.add(alike);
      return undefined;
    }
    this.#roomMade++;
    if (found.kind === "coming") {
      this.#ledger.add(request, gpusOf(request.need));
      return preempting(found.from);
    }
    if (found.kind === "ask") {
      // Nothing is said of it before it is decided.
      for (const job of found.jobs) this.#asked.add(job);
      return undefined;
    }
    const answer = this.input.confirm(request, found.nodes);
    if (answer.kind === "ask") {
      // What is known of the victims must be known again when the answer is there.
      for (const job of [request.name, ...found.victims.map(nameOf)]) this.#asked.add(job);
    }
    // Nobody is stopped for a place that the job could not go on in.
    if (answer.kind !== "go") return undefined;
    // It counts as had, so that two requests do not both reclaim the same quota.
    this.#ledger.add(request, gpusOf(request.need));
    const victims = new Map(found.victims.map((victim) => [victim.holding.name, victim]));
    for (const { holding, reason } of found.victims) {
      this.#evictions.push({
        job: holding.name,
        reason,
        by: request.name,
        message: groundsText(reason, request),
      });
    }
    this.#holdings = this.#holdings.map((holding) =>
      victims.has(holding.name) ? { ...holding, leaving: true } : holding
    );
    for (const { holding } of found.victims) this.#timeline.leave(holding);
    return preempting([...victims.keys()]);
  }

  /** Gives elastic jobs what nobody else can use now. */
  #grow(): void {
    const { input } = this;
    // Those who were not tried in this pass may use what is left.
    if (this.#waiting.some(({ reason }) => reason === "LaunchLimit")) return;
    for (const [index, { request, placement, because }] of this.#placed.entries()) {
      const { need } = request;
      if (!need.maxNodes || placement.length >= need.maxNodes) continue;
      const here = new Set(placement.map(({ node }) => node));
      const options = this.#options(request).filter(({ room }) => !here.has(room.node.name));
      const extra = extraNodes(placement, options, need, input.rooms)
        .slice(0, this.#allowed(request, need.maxNodes - placement.length));
      if (extra.length === 0) continue;
      const nodes = [...placement.map(({ node }) => node as NodeName), ...extra.map(nodeOf)];
      const answer = input.confirm(request, nodes);
      if (answer.kind !== "go") continue;
      const more = extra.map((option) => take(option, need));
      const all = [...placement, ...more];
      const order = answer.order ?? all.map((_, i) => i);
      this.#ledger.add(request, gpusOf(need, more.length));
      this.#timeline.stay(request, more, { atMs: Infinity, basis: "guess" });
      this.#placed[index] = {
        request,
        placement: order.map((i) => all[i] as PlacedRank),
        because: `${because}; ${more.length} more node(s) that nobody else can use now`,
      };
    }
    const steps = growing({
      rooms: input.rooms,
      holdings: this.#holdings,
      optionsOf: (holding) => this.#options(asRequest(holding)),
      allowed: (holding, nodes) => this.#allowed(holding, nodes),
      confirmed: (holding, nodes) => input.confirm(asRequest(holding), nodes).kind !== "refused",
      input,
    });
    for (const { kind, job, message } of steps) {
      if (kind === "ask") this.#asked.add(job);
      else this.#evictions.push({ job, reason: "Resized", by: job, message });
    }
  }

  /** How many of so many further nodes the limits of queue, user and groups allow. */
  #allowed(claimant: Claimant, nodes: number): number {
    const request = asRequest(claimant);
    let count = nodes;
    while (count > 0 && limitOf(request, gpusOf(request.need, count), this.#ledger, this.input)) {
      count--;
    }
    return count;
  }

  /** Others who share the limit pass only as long as nobody's patience is at its end. */
  #waitForLimit(request: Request, { shared, ...limit }: Limit): void {
    const { now, scheduling } = this.input;
    const isOverdue = now - request.submittedMs > scheduling.patienceMs;
    if (shared !== undefined && isOverdue) this.#owed.add(shared);
    this.#wait(request, { reason: "Quota", ...limit });
  }

  #wait(request: Request, refusal: Refusal): void {
    const { reason, message, detail, numbers } = refusal;
    this.#waiting.push({ request, reason, message, detail, numbers });
  }

  #explain(): Waits[] {
    const { now, rooms } = this.input;
    const counted = this.#waiting.filter(({ reason }) =>
      reason !== "Quota" && reason !== "Unschedulable"
    );
    const expected = new Map(
      forecast(counted.map((w) => w.request), this.#holdings, rooms, now)
        .map((start, i) => [counted[i]?.request.name, start]),
    );
    return this.#waiting.map(({ request, reason, message, detail, numbers }) => ({
      request,
      reason,
      message,
      detail,
      numbers,
      expected: this.#starts.get(request.name) ?? expected.get(request.name),
    }));
  }
}

function nameOf({ holding }: { readonly holding: Holding }): string {
  return holding.name;
}

/** What a job that runs would ask for. */
function asRequest(claimant: Claimant): Request {
  return { ...claimant, submittedMs: 0, preferred: new Map() };
}

/** GPUs that the chosen nodes book. */
function partsOf(chosen: readonly Option[], need: Resources): number {
  let gpus = 0;
  for (const { slots } of chosen) for (const slot of slots) gpus += partOf(slot, need);
  return gpus;
}

function nodeOf({ room }: Option): NodeName {
  return room.node.name;
}
