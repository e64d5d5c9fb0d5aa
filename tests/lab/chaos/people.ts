/**
 * People who push: one after the other, and again and again while the repository is away.
 *
 * @module
 */
import { type Harness, pause } from "../harness.ts";
import { eventually } from "../processes.ts";
import type { PeopleEvent } from "./arrivals.ts";
import { BROKEN, fileOf, manifestOf, type Wish } from "./manifests.ts";

/** Longest time that a push is tried for. */
const PATIENCE_MS = 60_000;

/** Does what the schedule says of people. */
export class People {
  readonly #harness: Harness;
  readonly #cluster: string;
  readonly #hint: () => void;
  readonly #wishes = new Map<string, Wish>();
  #last: Promise<void> = Promise.resolve();
  /** Pushes that arrived. */
  pushes = 0;

  /** `cluster` is the text of `cluster.yaml`, to put back after it was broken; `hint` tells. */
  constructor(harness: Harness, cluster: string, hint: () => void) {
    this.#harness = harness;
    this.#cluster = cluster;
    this.#hint = hint;
  }

  /** Resolves once the event's pushes have arrived, the one that takes it back included. */
  async act(event: PeopleEvent): Promise<void> {
    switch (event.kind) {
      case "submit":
        return await this.#write({ job: event.job, state: "running", revision: 0 });
      case "edit": {
        const wish = this.#wish(event.name);
        return await this.#write({ ...wish, revision: wish.revision + 1 });
      }
      case "cancel":
        return await this.#write({ ...this.#wish(event.name), state: "cancelled" });
      case "delete":
        return await this.#push({ [fileOf(event.name)]: null }, `delete ${event.name}`);
      case "suspend": {
        await this.#write({ ...this.#wish(event.name), state: "suspended" });
        await pause(event.forMs);
        return await this.#write({ ...this.#wish(event.name), state: "running" });
      }
      case "break":
        await this.#push({ [fileOf(event.name)]: BROKEN }, `break ${event.name}`);
        await pause(event.forMs);
        return await this.#write(this.#wish(event.name));
      case "break-cluster":
        await this.#push({ "cluster.yaml": BROKEN }, "break cluster.yaml");
        await pause(event.forMs);
        return await this.#push({ "cluster.yaml": this.#cluster }, "mend cluster.yaml");
    }
  }

  #wish(name: string): Wish {
    const wish = this.#wishes.get(name);
    if (wish === undefined) throw new Error(`Cannot change ${name}: nobody submitted it`);
    return wish;
  }

  async #write(wish: Wish): Promise<void> {
    const { name } = wish.job;
    this.#wishes.set(name, wish);
    const { witnessDir: witnesses, lab } = this.#harness;
    const text = manifestOf(wish, { witnesses, checkpoints: `${lab.shared}/checkpoints` });
    await this.#push({ [fileOf(name)]: text }, `${name}: ${wish.state}, revision ${wish.revision}`);
  }

  #push(files: Readonly<Record<string, string | null>>, message: string): Promise<void> {
    return this.#last = this.#last.then(async () => {
      await this.#harness.commit(files, message);
      await eventually(
        `push ${message}`,
        PATIENCE_MS,
        () => this.#harness.publish().then(() => true as const, () => pause(200)) as Promise<true>,
      );
      this.pushes++;
      this.#hint();
    });
  }
}
