/**
 * The line of waiting jobs: gives them one by one in the order of the cluster's policy.
 *
 * Jobs of one queue, priority, size and user stand in a lane, first come, first served; only the
 * heads of the lanes are compared. (Of size too: a large job that borrows does not hide a small one
 * that is within its quota.) What the caller adds to the ledger between two calls counts in the next
 * one: a user whose job has been placed falls behind the others at once, so that equal users take
 * turns within one pass.
 *
 * Patience: a job that has waited too long goes before fair share while its user has fewer GPUs than
 * it asks for. So everybody gets one job sooner or later, and a wide one does not wait for ever while
 * small ones keep its user's use up; beyond that, shares decide. If age alone decided, ten thousand
 * jobs submitted on one day would all go before whatever others submit on the next.
 *
 * @example
 * const line = new Line(input.requests, ledger, input);
 * for (let next = line.next(); next; next = line.next()) {
 *   if (place(next)) ledger.add(next, gpusOf(next.need));
 * }
 *
 * @module
 */
import type { Queue } from "../../cluster/cluster.ts";
import { byName, gpusOf, type Ledger } from "./ledger.ts";
import type { Request, ScheduleInput } from "./types.ts";

const ALIKE: Keys = { borrows: 0, queue: 0, priority: 0, patience: 0, score: 0 };

type LineInput = Pick<ScheduleInput, "queues" | "scheduling" | "now">;

/** Where the head of a lane stands; of two, the one with less in the first that differs goes first. */
interface Keys {
  readonly borrows: number;
  /** Priorities with their sign turned. */
  readonly queue: number;
  readonly priority: number;
  /** 0: it has waited too long, and its user has less than it asks for. */
  readonly patience: number;
  readonly score: number;
}

/** Jobs of one queue, priority and user, oldest first. */
interface Lane {
  readonly requests: readonly Request[];
  /** Of the head in `requests`. */
  index: number;
  head: Request;
  keys: Keys;
}

/** The waiting jobs in the order in which they are tried. The order of the input never matters. */
export class Line {
  /** A binary heap: the first is the one to give next, once its keys have been looked at again. */
  readonly #lanes: Lane[] = [];
  readonly #queues: ReadonlyMap<string, Queue>;
  /** The lane whose head was given last; it is still the first. */
  #given: Lane | undefined;

  constructor(
    requests: readonly Request[],
    private readonly ledger: Ledger,
    private readonly input: LineInput,
  ) {
    this.#queues = byName(input.queues);
    for (const lane of lanesOf(requests, input)) {
      const head = lane[0];
      if (head) this.#lanes.push({ requests: lane, index: 0, head, keys: this.#keys(head) });
    }
    for (let i = (this.#lanes.length >> 1) - 1; i >= 0; i--) this.#sink(i);
  }

  /**
   * The next job; undefined: all have been given. During a pass the ledger only grows, so that the
   * keys of a lane that waits only get worse: it is enough to look again at the one that comes
   * first. Whatever is taken off the ledger between two calls may count a little later.
   */
  next(): Request | undefined {
    if (this.#given) this.#advance(this.#given);
    for (let lane = this.#lanes[0]; lane; lane = this.#lanes[0]) {
      const keys = this.#keys(lane.head);
      const isStale = compareKeys(keys, lane.keys) > 0;
      lane.keys = keys;
      if (!isStale) {
        this.#given = lane;
        return lane.head;
      }
      this.#sink(0);
    }
    return undefined;
  }

  /** Only when the next one is asked for: by then the ledger knows what became of the last one. */
  #advance(lane: Lane): void {
    this.#given = undefined;
    const follower = lane.requests[++lane.index];
    if (follower) {
      lane.head = follower;
      lane.keys = this.#keys(follower);
    } else {
      const last = this.#lanes.pop();
      if (last && last !== lane) this.#lanes[0] = last;
    }
    this.#sink(0);
  }

  #keys(request: Request): Keys {
    const { scheduling: { policy, patienceMs }, now } = this.input;
    if (policy === "fifo") return ALIKE;
    const isFair = policy === "fairshare" || policy === "default";
    const isOverdue = now - request.submittedMs > patienceMs &&
      this.ledger.userGpus(request.user) < gpusOf(request.need);
    return {
      borrows: this.ledger.isWithinQuota(request, gpusOf(request.need)) ? 0 : 1,
      queue: -(this.#queues.get(request.queue)?.priority ?? 0),
      priority: -request.priority,
      patience: isFair && !isOverdue ? 1 : 0,
      score: isFair ? this.ledger.score(request.user) : 0,
    };
  }

  /** Puts the lane at `index` where it belongs among those below it. */
  #sink(index: number): void {
    const lanes = this.#lanes;
    const lane = lanes[index];
    if (!lane) return;
    for (;;) {
      let at = 2 * index + 1;
      let child = lanes[at];
      const other = lanes[at + 1];
      if (child && other && isBefore(other, child)) {
        child = other;
        at++;
      }
      if (!child || !isBefore(child, lane)) break;
      lanes[index] = child;
      index = at;
    }
    lanes[index] = lane;
  }
}

/** With fifo there is one lane for all. */
function lanesOf(requests: readonly Request[], input: LineInput): Iterable<readonly Request[]> {
  if (input.scheduling.policy === "fifo") return [requests.toSorted(bySubmission)];
  const lanes = new Map<string, Request[]>();
  for (const request of requests) {
    // The name of a queue holds no space.
    const gpus = gpusOf(request.need);
    const lane = `${request.queue} ${request.priority} ${gpus} ${request.user}`;
    const others = lanes.get(lane);
    if (others) others.push(request);
    else lanes.set(lane, [request]);
  }
  for (const lane of lanes.values()) lane.sort(bySubmission);
  return lanes.values();
}

function bySubmission(a: Request, b: Request): number {
  return a.submittedMs - b.submittedMs || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

function compareKeys(a: Keys, b: Keys): number {
  return compare(a.borrows, b.borrows) || compare(a.queue, b.queue) ||
    compare(a.priority, b.priority) || compare(a.patience, b.patience) ||
    compare(a.score, b.score);
}

/** Not the difference, which is no number for two Infinities. */
function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A total order, so that the heap gives the same line whatever the order of the input. */
function isBefore(a: Lane, b: Lane): boolean {
  return (compareKeys(a.keys, b.keys) || bySubmission(a.head, b.head)) < 0;
}
