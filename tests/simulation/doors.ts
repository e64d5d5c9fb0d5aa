/**
 * The doors of a controller under test: the simulated ones behind its gate, and a note of what it
 * was shown, which is what its decisions may be based on.
 *
 * @module
 */
import type { NodeName, NodeSpec } from "../../cluster/node.ts";
import type { RunId } from "../../jobs/run.ts";
import { SimFleet } from "../../providers/sim/fleet.ts";
import { type SimRemote, SimRepository } from "../../providers/sim/repository.ts";
import type { SimWorld } from "../../providers/sim/world.ts";
import type {
  CheckpointQuery,
  Claim,
  Clock,
  CodeArchive,
  Fleet,
  Heads,
  LaunchReply,
  LaunchSpec,
  NodeObservation,
  Outcome,
  StatusCommit,
} from "../../reconciler/ports.ts";
import type { Gate } from "./gate.ts";

/** What one life of a controller has been shown, in true time. */
export class Shown {
  /** The last desired commit that a fetch showed it. */
  desired: string | undefined;
  /** When the observation that it acts on was made. */
  observedAtMs = -Infinity;
  /** When it last reached each node. */
  readonly reachedAtMs = new Map<string, number>();
  /** Nodes that its last observation reached, and those that it could not. */
  readonly reachable = new Set<string>();
  readonly unknown = new Set<string>();

  constructor(readonly bornAtMs: number) {}

  /** For how long it has not reached a node; one that it never reached: since `otherwiseMs`. */
  awayMs(node: string, now: number, otherwiseMs = this.bornAtMs): number {
    return now - (this.reachedAtMs.get(node) ?? otherwiseMs);
  }
}

/** Says when a controller changes something although it may not. */
export type Forbidden = (what: string) => void;

/** The state repository as one controller sees it. */
export class GatedRepository extends SimRepository {
  constructor(
    remote: SimRemote,
    clock: Clock,
    gate: Gate,
    name: string,
    private readonly shown: Shown,
    private readonly forbidden: Forbidden,
  ) {
    super(remote, { now: () => clock.now(), gate: gate.around, name });
  }

  /** @inheritDoc */
  override async refresh(): Promise<Outcome<Heads>> {
    const heads = await super.refresh();
    if (heads.kind === "ok") this.shown.desired = heads.value.desired ?? this.shown.desired;
    return heads;
  }

  /** @inheritDoc */
  override commitStatus(commit: StatusCommit): Promise<Outcome<string>> {
    this.forbidden("commitStatus");
    return super.commitStatus(commit);
  }
}

/** The machines as one controller sees them. */
export class GatedFleet implements Fleet {
  readonly #fleet: SimFleet;

  constructor(
    private readonly world: SimWorld,
    private readonly gate: Gate,
    private readonly shown: Shown,
    private readonly forbidden: Forbidden,
    clock: Clock,
  ) {
    this.#fleet = new SimFleet(world, clock);
  }

  /** @inheritDoc */
  configure(nodes: readonly NodeSpec[], claim: Claim): void {
    this.#fleet.configure(nodes, claim);
  }

  /** @inheritDoc */
  async observe(
    queries: readonly CheckpointQuery[],
  ): Promise<ReadonlyMap<NodeName, NodeObservation>> {
    await this.gate.around("observe", "before");
    const seen = await this.#fleet.observe(queries);
    const { shown } = this;
    shown.observedAtMs = this.world.clock.now();
    shown.reachable.clear();
    shown.unknown.clear();
    for (const [node, { state }] of seen) {
      if (state === "reachable") {
        shown.reachable.add(node);
        shown.reachedAtMs.set(node, shown.observedAtMs);
      } else shown.unknown.add(node);
    }
    await this.gate.pass();
    return seen;
  }

  /** @inheritDoc */
  launch(
    node: NodeName,
    run: RunId,
    spec: LaunchSpec,
    secrets?: Readonly<Record<string, string>>,
  ): Promise<Outcome<LaunchReply>> {
    const before = this.gate.beforeLaunch;
    this.gate.beforeLaunch = undefined;
    before?.(node, spec.gpus);
    return this.#effect("launch", () => this.#fleet.launch(node, run, spec, secrets));
  }

  /** @inheritDoc */
  stop(node: NodeName, run: RunId, graceMs: number, reason: string): Promise<Outcome<void>> {
    return this.#effect("stop", () => this.#fleet.stop(node, run, graceMs, reason));
  }

  /** @inheritDoc */
  clean(node: NodeName, job: string, throughAttempt: number): Promise<Outcome<void>> {
    return this.#effect("clean", () => this.#fleet.clean(node, job, throughAttempt));
  }

  /** @inheritDoc */
  putCode(node: NodeName, archive: CodeArchive): Promise<Outcome<void>> {
    return this.#effect("putCode", () => this.#fleet.putCode(node, archive));
  }

  /** @inheritDoc */
  hasCode(node: NodeName, digest: string): boolean {
    return this.#fleet.hasCode(node, digest);
  }

  /** @inheritDoc */
  async tail(node: NodeName, run: RunId): Promise<Outcome<string>> {
    await this.gate.pass();
    return await this.#fleet.tail(node, run);
  }

  /** @inheritDoc */
  onChange(callback: (node: NodeName, what: string) => void): void {
    this.#fleet.onChange(callback);
  }

  /** @inheritDoc */
  close(): Promise<void> {
    return this.#fleet.close();
  }

  async #effect<T>(op: string, act: () => Promise<T>): Promise<T> {
    this.forbidden(op);
    await this.gate.around(op, "before");
    const outcome = await act();
    await this.gate.around(op, "after");
    return outcome;
  }
}
