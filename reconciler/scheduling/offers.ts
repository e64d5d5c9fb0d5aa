/**
 * What the rooms offer to each need, remembered during one pass: of two jobs that need the same,
 * the second one finds changed only the few rooms in which something was placed since.
 *
 * @example
 * const offers = new Offers(rooms);
 * offers.find("2x8", need, (room) => timeline.whole(room, until));
 *
 * @module
 */
import type { Slot } from "../../cluster/capacity.ts";
import type { Resources } from "../../jobs/job.ts";
import { type Option, optionsOn } from "./fit.ts";
import type { Room } from "./types.ts";

/** Needs that are remembered at once; the one that was asked for longest ago goes first. */
const MAX_NEEDS = 32;

/** What a room offered, and what was free in it then: whoever takes something makes a new array. */
interface Offer {
  free: readonly Slot[];
  /** What nobody's kept room forbade. */
  whole: number;
  options: readonly Option[];
}

/** The options of one pass; `rooms` stay the same, what is free in them does not. */
export class Offers {
  readonly #known = new Map<string, Offer[]>();

  constructor(private readonly rooms: readonly Room[]) {}

  /** All options on all rooms; `shape` is the same for equal needs, and for no other. */
  find(shape: string, need: Resources, wholeOf: (room: Room) => number): Option[] {
    const offers = this.#offersOf(shape);
    const found: Option[] = [];
    const { rooms } = this;
    for (let i = 0; i < rooms.length; i++) {
      const room = rooms[i] as Room;
      const { free } = room;
      if (free.length === 0) continue;
      const whole = wholeOf(room);
      let offer = offers[i];
      if (!offer) {
        offer = { free, whole, options: optionsOn(room, need, whole) };
        offers[i] = offer;
      } else if (offer.free !== free || offer.whole !== whole) {
        offer.free = free;
        offer.whole = whole;
        offer.options = optionsOn(room, need, whole);
      }
      for (const option of offer.options) found.push(option);
    }
    return found;
  }

  #offersOf(shape: string): Offer[] {
    let offers = this.#known.get(shape);
    if (offers) this.#known.delete(shape);
    else offers = new Array<Offer>(this.rooms.length);
    this.#known.set(shape, offers);
    if (this.#known.size > MAX_NEEDS) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    }
    return offers;
  }
}
