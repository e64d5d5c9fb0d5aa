/**
 * A controller's sessions to the simulated machines.
 *
 * @module
 */
import type { NodeName, NodeSpec } from "../../cluster/node.ts";
import type { RunId } from "../../jobs/run.ts";
import type {
  CheckpointQuery,
  Claim,
  Clock,
  CodeArchive,
  Fleet,
  LaunchReply,
  LaunchSpec,
  NodeObservation,
  Outcome,
} from "../../reconciler/ports.ts";
import type { SimMachine } from "./machine.ts";
import { type Mutation, SESSION_LOST, type SimWorld } from "./world.ts";

/** How long an observation waits for a machine that does not answer. */
const OBSERVE_DEADLINE_MS = 5_000;

/** `Fleet` over a `SimWorld`. */
export class SimFleet implements Fleet {
  /** Values that launches brought; none of them may show up anywhere. */
  readonly secrets = new Set<string>();
  #nodes: readonly NodeName[] = [];
  #claim: Claim = { epoch: 0, repository: "" };
  readonly #unknownSince = new Map<NodeName, number>();
  readonly #codes = new Set<string>();
  readonly #callbacks: ((node: NodeName, what: string) => void)[] = [];
  readonly #unlisten: () => void;

  /** `clock` is the controller's own, when that may be wrong. */
  constructor(
    private readonly world: SimWorld,
    private readonly clock: Pick<Clock, "now"> = world.clock,
  ) {
    this.#unlisten = world.listen((node, what) => {
      const machine = world.machines.get(node);
      if (machine && isAway(machine) && what !== SESSION_LOST) return;
      for (const callback of this.#callbacks) callback(node, what);
    });
  }

  /** @inheritDoc */
  configure(nodes: readonly NodeSpec[], claim: Claim): void {
    this.#nodes = nodes.map((node) => node.name);
    this.#claim = claim;
  }

  /** @inheritDoc */
  async observe(
    queries: readonly CheckpointQuery[],
  ): Promise<ReadonlyMap<NodeName, NodeObservation>> {
    const machines = this.#nodes.map((name) => this.world.machines.get(name));
    const slowest = Math.max(0, ...machines.map((machine) => machine?.latencyMs ?? 0));
    if (slowest > 0) await this.world.clock.sleep(Math.min(slowest, OBSERVE_DEADLINE_MS));
    return new Map(
      this.#nodes.map((name, i) => [name, this.#observeOne(name, machines[i], queries)]),
    );
  }

  /** @inheritDoc */
  launch(
    node: NodeName,
    run: RunId,
    spec: LaunchSpec,
    secrets: Readonly<Record<string, string>> = {},
  ): Promise<Outcome<LaunchReply>> {
    for (const value of Object.values(secrets)) this.secrets.add(value);
    const missing = spec.secretNames?.find((name) => secrets[name] === undefined);
    if (missing !== undefined) {
      return Promise.resolve({ kind: "terminal", reason: `invalid: no value for ${missing}` });
    }
    return this.#mutate("launch", node, (machine) => machine.launch(this.#claim.epoch, run, spec));
  }

  /** @inheritDoc */
  stop(node: NodeName, run: RunId, graceMs: number, reason: string): Promise<Outcome<void>> {
    return this.#mutate("stop", node, (m) => m.stop(this.#claim.epoch, run, graceMs, reason));
  }

  /** @inheritDoc */
  clean(node: NodeName, job: string, throughAttempt: number): Promise<Outcome<void>> {
    return this.#mutate("clean", node, (m) => m.clean(this.#claim.epoch, job, throughAttempt));
  }

  /** @inheritDoc */
  async putCode(node: NodeName, archive: CodeArchive): Promise<Outcome<void>> {
    const { digest } = archive;
    const outcome = await this.#mutate(
      "putCode",
      node,
      (m) => m.putCode(this.#claim.epoch, digest),
    );
    if (outcome.kind === "ok") this.#codes.add(`${node} ${digest}`);
    return outcome;
  }

  /** @inheritDoc */
  hasCode(node: NodeName, digest: string): boolean {
    return this.#codes.has(`${node} ${digest}`);
  }

  /** @inheritDoc */
  tail(node: NodeName, run: RunId): Promise<Outcome<string>> {
    const machine = this.world.machines.get(node);
    if (!machine || isAway(machine)) {
      return Promise.resolve({ kind: "unknown", reason: `${node} does not answer` });
    }
    const error = machine.records().find((r) =>
      r.job === run.job && r.attempt === run.attempt && r.rank === run.rank
    )?.error;
    return Promise.resolve({ kind: "ok", value: error?.message ?? "" });
  }

  /** @inheritDoc */
  onChange(callback: (node: NodeName, what: string) => void): void {
    this.#callbacks.push(callback);
  }

  /** @inheritDoc */
  close(): Promise<void> {
    this.#unlisten();
    this.#callbacks.length = 0;
    return Promise.resolve();
  }

  #observeOne(
    node: NodeName,
    machine: SimMachine | undefined,
    queries: readonly CheckpointQuery[],
  ): NodeObservation {
    const ours = machine === undefined || isAway(machine) || machine.hello(this.#claim);
    if (machine && ours && !isAway(machine) && machine.latencyMs <= OBSERVE_DEADLINE_MS) {
      this.#unknownSince.delete(node);
      return machine.observe(queries);
    }
    const sinceMs = this.#unknownSince.get(node) ?? this.clock.now();
    this.#unknownSince.set(node, sinceMs);
    const reason = ours ? `${node} does not answer` : `${node} belongs to another repository`;
    return { state: "unknown", node, sinceMs, reason };
  }

  async #mutate<T>(
    kind: Mutation,
    node: NodeName,
    act: (machine: SimMachine) => Outcome<T>,
  ): Promise<Outcome<T>> {
    const machine = this.world.machines.get(node);
    const lost: Outcome<T> = { kind: "unknown", reason: `${node} does not answer` };
    if (!machine || !this.#nodes.includes(node)) return lost;
    if (machine.latencyMs > 0) await this.world.clock.sleep(machine.latencyMs);
    const drop = this.world.takeDrop(kind, node);
    if (!machine.up || machine.requestsCut || drop === "request") return lost;
    this.world.mutations[kind]++;
    const outcome: Outcome<T> = machine.hello(this.#claim)
      ? act(machine)
      : { kind: "terminal", reason: `conflict: ${node} belongs to another repository` };
    return machine.repliesCut || drop === "reply" ? lost : outcome;
  }
}

function isAway(machine: SimMachine): boolean {
  return !machine.up || machine.requestsCut || machine.repliesCut;
}
