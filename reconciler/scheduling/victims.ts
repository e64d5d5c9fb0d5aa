/**
 * The search for victims: in each set of nodes within which a gang may lie, the nodes on which
 * room is cheapest, one after the other; then whoever proved superfluous is left alone.
 *
 * @module
 */
import { type Kind, optionsOn } from "./fit.ts";
import { type Freed, withoutRank } from "./freed.ts";
import { heldGpus, type Ledger } from "./ledger.ts";
import { byPriority, type Grounds, mayEvict, type PolicyInput } from "./preempt_policy.ts";
import type { Holding, Request, Room } from "./types.ts";

/** A node with slots of one kind, of which a job could take some. */
export interface Site extends Kind {
  readonly room: Room;
}

/** A job that may be stopped. */
export interface Candidate {
  /** With the nodes that come free: for an elastic job that is made smaller, not all that it has. */
  readonly holding: Holding;
  /** The job with all its nodes. */
  readonly whole: Holding;
  /** GPU time that would be lost, in milliseconds. */
  readonly cost: number;
  /** Its place among all of them, the cheapest first. */
  readonly rank: number;
}

/** A job that is stopped, and why it may be. */
export interface Victim {
  readonly candidate: Candidate;
  readonly reason: Grounds;
}

/** What the search looks at. */
export interface Search {
  readonly candidates: readonly Candidate[];
  /** With the jobs that are being stopped taken out; the same again afterwards. */
  readonly freed: Freed;
  /** GPUs of each queue that come free anyway. */
  readonly gone: ReadonlyMap<string, number>;
  readonly request: Request;
  readonly ledger: Ledger;
  readonly input: PolicyInput;
}

/** How much a candidate counts for on one node: all that it costs, or its part of it. */
type Price = (candidate: Candidate) => number;

/**
 * Victims after whom the request fits, none of them superfluous; undefined: not even all together
 * would do. A gang counts wholly on each of its nodes, or in parts: where several nodes of it are
 * wanted, the second finds what the first does not. The better result is taken.
 */
export function cheapest(
  sets: readonly (readonly Site[])[],
  search: Search,
): readonly Victim[] | undefined {
  const { nodes } = search.request.need;
  const prices: Price[] = [({ cost }) => cost];
  if (nodes > 1 && search.candidates.some(({ holding }) => holding.placement.length > 1)) {
    prices.push(({ cost, holding }) => cost / Math.min(nodes, holding.placement.length));
  }
  const here = byNode(search.candidates);
  let best: readonly Victim[] | undefined;
  for (const set of sets) {
    for (const price of prices) {
      const found = new Choice(set, here, price, search).make();
      if (found && (!best || compare(found, best, search) < 0)) best = found;
    }
  }
  return best;
}

function byNode(candidates: readonly Candidate[]): Map<string, Candidate[]> {
  const here = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    for (const { node } of candidate.holding.placement) {
      const list = here.get(node);
      if (list) list.push(candidate);
      else here.set(node, [candidate]);
    }
  }
  return here;
}

/** Less GPU time lost, then a lower highest priority, then fewer, then the cheaper ones. */
function compare(a: readonly Victim[], b: readonly Victim[], { input }: Search): number {
  const cost = (victims: readonly Victim[]) =>
    victims.reduce((sum, v) => sum + v.candidate.cost, 0);
  return cost(a) - cost(b) || byHighest(a, b, input) || a.length - b.length ||
    highestRank(a) - highestRank(b);
}

function byHighest(a: readonly Victim[], b: readonly Victim[], input: PolicyInput): number {
  const highest = (victims: readonly Victim[]) =>
    victims.map(({ candidate }) => candidate.holding)
      .reduce<Holding | undefined>((h, v) => h && byPriority(h, v, input) >= 0 ? h : v, undefined);
  const [x, y] = [highest(a), highest(b)];
  return x && y ? byPriority(x, y, input) : (x ? 1 : 0) - (y ? 1 : 0);
}

function highestRank(victims: readonly Victim[]): number {
  return victims.reduce((highest, { candidate }) => Math.max(highest, candidate.rank), -1);
}

/** How one node gets its room. */
interface Offer {
  readonly site: Site;
  readonly price: number;
  readonly victims: readonly Victim[];
}

/** The choice within one set of nodes. */
class Choice {
  readonly #chosen = new Map<string, Victim>();
  readonly #gone: Map<string, number>;
  readonly #sites: ReadonlyMap<string, Site>;
  /** Nodes that have not been taken, as far as they have been looked at. */
  readonly #offers = new Map<string, Offer>();
  /** The others, the dearest first: none is cheaper than the cheapest job on it. */
  readonly #later: { readonly site: Site; readonly least: number }[] = [];
  readonly #taken = new Set<string>();

  constructor(
    set: readonly Site[],
    private readonly here: ReadonlyMap<string, readonly Candidate[]>,
    private readonly price: Price,
    private readonly search: Search,
  ) {
    this.#gone = new Map(search.gone);
    this.#sites = new Map(set.map((site) => [site.room.node.name as string, site]));
    for (const site of set) {
      const { name } = site.room.node;
      if (search.freed.holds(name, site.kind)) {
        this.#offers.set(name, { site, price: 0, victims: [] });
      } else if (here.has(name)) this.#later.push({ site, least: this.#least(name) });
    }
    this.#later.sort((a, b) => b.least - a.least);
  }

  make(): readonly Victim[] | undefined {
    const enough = this.#fill();
    const victims = enough ? this.#prune() : undefined;
    for (const { candidate } of this.#chosen.values()) this.search.freed.keep(candidate.holding);
    return victims;
  }

  /** Takes the cheapest node again and again, until there are enough. */
  #fill(): boolean {
    let missing = this.search.request.need.nodes;
    // An offer may have to be made anew as others use up what a queue can spare; not for ever.
    for (let steps = 4 * (this.#sites.size + missing); missing > 0 && steps > 0; steps--) {
      const best = this.#best();
      if (!best) return false;
      const offer = this.#offer(best.site);
      if (!offer || this.#compare(offer, best) > 0) continue;
      this.#offers.delete(best.site.room.node.name);
      this.#taken.add(best.site.room.node.name);
      missing--;
      for (const victim of offer.victims) this.#choose(victim);
      // What else a gang frees is cheaper now.
      for (const { node } of offer.victims.flatMap((v) => v.candidate.holding.placement)) {
        const site = this.#taken.has(node) ? undefined : this.#sites.get(node);
        if (site) this.#offer(site);
      }
    }
    return missing === 0;
  }

  #best(): Offer | undefined {
    let best: Offer | undefined;
    for (const offer of this.#offers.values()) {
      if (!best || this.#compare(offer, best) < 0) best = offer;
    }
    for (let next = this.#later.at(-1); next; next = this.#later.at(-1)) {
      if (best && next.least > best.price) break;
      this.#later.pop();
      const { name } = next.site.room.node;
      if (this.#taken.has(name) || this.#offers.has(name)) continue;
      const offer = this.#offer(next.site);
      if (offer && (!best || this.#compare(offer, best) < 0)) best = offer;
    }
    return best;
  }

  #least(node: string): number {
    let least = Infinity;
    for (const candidate of this.here.get(node) ?? []) {
      least = Math.min(least, this.price(candidate));
    }
    return least;
  }

  #compare(a: Offer, b: Offer): number {
    return a.price - b.price || byHighest(a.victims, b.victims, this.search.input) ||
      a.victims.length - b.victims.length || highestRank(a.victims) - highestRank(b.victims);
  }

  #choose(victim: Victim): void {
    const { holding } = victim.candidate;
    this.#chosen.set(holding.name, victim);
    this.#gone.set(holding.queue, (this.#gone.get(holding.queue) ?? 0) + heldGpus(holding));
    this.search.freed.stop(holding);
  }

  /** Who must go beside those chosen so that one more rank fits on this node. */
  #offer(site: Site): Offer | undefined {
    const { request, freed, ledger, input } = this.search;
    const { name } = site.room.node;
    const gone = new Map(this.#gone);
    const victims: Victim[] = [];
    let room = freed.room(name) as Room;
    let price = 0;
    const fits = () => optionsOn(room, request.need, Infinity).some((o) => o.kind === site.kind);
    let done = fits();
    for (const candidate of done ? [] : this.#inOrder(site)) {
      const { holding } = candidate;
      const reason = holding === candidate.whole
        ? mayEvict(holding, request, ledger, input, gone)
        : "Resized";
      if (!reason) continue;
      gone.set(holding.queue, (gone.get(holding.queue) ?? 0) + heldGpus(holding));
      victims.push({ candidate, reason });
      price += this.price(candidate);
      for (const rank of holding.placement) {
        if (rank.node === name) room = withoutRank(room, rank, holding.need);
      }
      done = fits();
      if (done) break;
    }
    const offer = done ? { site, price, victims } : undefined;
    if (offer) this.#offers.set(name, offer);
    else this.#offers.delete(name);
    return offer;
  }

  /** Candidates on a node that are not chosen yet, by what one useful slot of theirs costs. */
  #inOrder(site: Site): Candidate[] {
    const { cpuCores, ramGb } = this.search.request.need;
    const found: { readonly candidate: Candidate; readonly each: number }[] = [];
    for (const candidate of this.here.get(site.room.node.name) ?? []) {
      if (this.#chosen.has(candidate.holding.name)) continue;
      const useful = usefulSlots(candidate.holding, site);
      if (useful > 0) found.push({ candidate, each: this.price(candidate) / useful });
      // Its CPUs may be what is missing.
      else if (cpuCores || ramGb) found.push({ candidate, each: Number.MAX_VALUE });
    }
    return found.sort((a, b) => a.each - b.each || a.candidate.rank - b.candidate.rank)
      .map(({ candidate }) => candidate);
  }

  /** Leaves alone who need not go, the dearest first: what is left is minimal. */
  #prune(): readonly Victim[] {
    const { freed } = this.search;
    const dearest = [...this.#chosen.values()].sort((a, b) => b.candidate.rank - a.candidate.rank);
    for (const { candidate: { holding } } of dearest) {
      freed.keep(holding);
      if (freed.fits()) this.#chosen.delete(holding.name);
      else freed.stop(holding);
    }
    return [...this.#chosen.values()];
  }
}

/** Slots of a site's kind that a job has there. */
function usefulSlots({ placement }: Holding, { room, slots }: Site): number {
  let useful = 0;
  for (const { node, gpus, share } of placement) {
    if (node !== room.node.name) continue;
    const among = slots.length === room.slots.size
      ? gpus.length
      : gpus.filter((uuid) => slots.some((slot) => slot.uuid === uuid)).length;
    useful += among * (share ?? 1);
  }
  return useful;
}
