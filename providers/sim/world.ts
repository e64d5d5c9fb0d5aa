/**
 * The simulated outside: machines, what runs on them, and the faults between them and a
 * controller. It outlives controllers; each of those has a `SimFleet` of its own.
 *
 * @example
 * const world = new SimWorld(new VirtualClock());
 * world.add("a");
 * const fleet = new SimFleet(world);
 *
 * @module
 */
import type { NodeName } from "../../cluster/node.ts";
import type { RunId } from "../../jobs/run.ts";
import type { LaunchSpec } from "../../reconciler/ports.ts";
import { type Behaviour, DEFAULT_BEHAVIOUR } from "./behaviour.ts";
import { CheckpointStore } from "./checkpoints.ts";
import type { VirtualClock } from "./clock.ts";
import type { MachineEvent } from "./events.ts";
import { SimGang } from "./gang.ts";
import { type MachineOptions, SimMachine, type Surroundings } from "./machine.ts";
import { holdsMachine, type SimRun } from "./run.ts";

/** Operations that change something on a machine. */
export type Mutation = "launch" | "stop" | "clean" | "putCode";

/** Where a message is lost: before its effect, or after. */
export type Loss = "request" | "reply";

/** What listeners are told when a machine is cut off; nothing else comes through then. */
export const SESSION_LOST = "session lost";

interface Drop {
  readonly kind: Mutation;
  readonly loss: Loss;
  readonly node: string | undefined;
}

/** All machines. */
export class SimWorld implements Surroundings {
  readonly machines = new Map<NodeName, SimMachine>();
  readonly shared = new CheckpointStore();
  /** How often each kind of operation reached a machine. */
  readonly mutations: Record<Mutation, number> = { launch: 0, stop: 0, clean: 0, putCode: 0 };
  readonly #behaviours = new Map<string, Partial<Behaviour>>();
  readonly #gangs = new Map<string, SimGang>();
  readonly #listeners = new Set<(node: NodeName, what: string) => void>();
  /** Told of everything that happens on any machine, at once; for those who check or record. */
  witness: (node: NodeName, event: MachineEvent) => void = () => {};
  #drops: Drop[] = [];

  constructor(readonly clock: VirtualClock) {}

  /** Adds a machine. */
  add(name: string, options?: MachineOptions): SimMachine {
    const machine = new SimMachine(name as NodeName, this, options);
    this.machines.set(machine.name, machine);
    return machine;
  }

  /** The machine of that name. Throws when there is none. */
  machine(name: string): SimMachine {
    const machine = this.machines.get(name as NodeName);
    if (!machine) throw new Error(`Cannot find machine ${name}: it was not added`);
    return machine;
  }

  /** Says what a job does; what is left out is as in `DEFAULT_BEHAVIOUR`. */
  behave(job: string, behaviour: Partial<Behaviour>): void {
    this.#behaviours.set(job, behaviour);
  }

  /** @inheritDoc */
  behaviourOf(job: string): Behaviour {
    return { ...DEFAULT_BEHAVIOUR, ...this.#behaviours.get(job) };
  }

  /** @inheritDoc */
  gangOf(run: RunId, spec: LaunchSpec): SimGang {
    const key = gangKey(run, spec);
    const known = this.#gangs.get(key);
    if (known) return known;
    const gang = new SimGang(this.clock, spec.nodes, this.behaviourOf(run.job), spec.resumeStep);
    this.#gangs.set(key, gang);
    return gang;
  }

  /** @inheritDoc */
  changed(node: NodeName, what: string): void {
    for (const listener of this.#listeners) listener(node, what);
  }

  /** @inheritDoc */
  happened(node: NodeName, event: MachineEvent): void {
    if (event.kind === "removed") {
      // The number may come again, where the status branch was lost.
      const key = gangKey(event.run.id, event.run.spec);
      if (this.#gangs.get(key)?.empty) this.#gangs.delete(key);
    }
    this.witness(node, event);
  }

  /** Calls back at each change of a machine; the answer takes that back. */
  listen(callback: (node: NodeName, what: string) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  /** Cuts a machine off; `ways` says what is lost. Its runs go on. */
  cut(name: string, ways: readonly Loss[] = ["request", "reply"]): void {
    const machine = this.machine(name);
    machine.requestsCut = ways.includes("request");
    machine.repliesCut = ways.includes("reply");
    this.changed(machine.name, SESSION_LOST);
  }

  /** Mends what `cut` did. */
  restore(name: string): void {
    const machine = this.machine(name);
    machine.requestsCut = machine.repliesCut = false;
    this.changed(machine.name, "session up");
  }

  /** Loses the next operation of a kind (on a node): its outcome is `unknown`. */
  drop(kind: Mutation, loss: Loss, node?: string): void {
    this.#drops.push({ kind, loss, node });
  }

  /** Takes back what `drop` did and has not been met yet. */
  forgetDrops(): void {
    this.#drops = [];
  }

  /** What is to be lost of an operation that is made now. */
  takeDrop(kind: Mutation, node: string): Loss | undefined {
    const found = this.#drops.find((d) => d.kind === kind && (d.node ?? node) === node);
    if (found) this.#drops = this.#drops.filter((d) => d !== found);
    return found?.loss;
  }

  /** For assertions: everything that lives anywhere, whatever a controller can see. */
  liveRuns(): SimRun[] {
    return [...this.machines.values()].flatMap((machine) =>
      [...machine.runs.values()].filter(holdsMachine)
    );
  }
}

/** Where the status branch was lost, two gangs may have one number; never on the same nodes. */
function gangKey({ job, attempt }: RunId, { meta }: LaunchSpec): string {
  return `${job}/${attempt} ${meta.nodes.join(" ")}`;
}
