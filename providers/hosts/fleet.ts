/**
 * The machines of the cluster behind one long-lived session each: through the user's OpenSSH, or
 * started directly on this machine.
 *
 * @example
 * const fleet = new HostFleet();
 * fleet.configure(cluster.nodes, claim);
 * const nodes = await fleet.observe([]);
 * await fleet.close();
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
import { systemClock } from "./clock.ts";
import { type LinkContext, type Log, NodeLink } from "./link.ts";
import { Gate } from "./pacing.ts";
import { emptyReply, launchReply, tailReply } from "./replies.ts";
import { shipCode } from "./shipping.ts";
import RUNNER from "./runner.py" with { type: "text" };

export interface HostFleetOptions {
  /** An ssh_config file instead of the user's own. */
  readonly sshConfig?: string;
  readonly clock?: Clock;
  /** Deadline of an observation, 3 s; a node's first may take that long to connect besides. */
  readonly observeTimeoutMs?: number;
  /** For the TCP connection and the greeting, 8 s; logging in may take 7 s more. */
  readonly connectTimeoutMs?: number;
  readonly log?: Log;
  /** Source of another runner, for tests. */
  readonly runnerSource?: string;
}

const MAX_CONNECTING = 16;
const CLEAN_DEADLINE_MS = 30_000;

export class HostFleet implements Fleet {
  readonly #links = new Map<NodeName, NodeLink>();
  readonly #callbacks: ((node: NodeName, what: string) => void)[] = [];
  readonly #closing = new Set<Promise<void>>();
  readonly #shipping = new Map<string, Promise<Outcome<void>>>();
  readonly #context: LinkContext;
  #claim: Claim = { epoch: 0, repository: "" };

  constructor(options: HostFleetOptions = {}) {
    this.#context = {
      clock: options.clock ?? systemClock,
      ...(options.clock ? {} : { steady: () => performance.now() }),
      gate: new Gate(MAX_CONNECTING),
      source: options.runnerSource ?? RUNNER,
      connectTimeoutMs: options.connectTimeoutMs ?? 8000,
      observeTimeoutMs: options.observeTimeoutMs ?? 3000,
      log: options.log ?? (() => {}),
      claim: () => this.#claim,
      changed: (spec, what) => this.#changed(spec, what),
      ...(options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig }),
    };
  }

  configure(nodes: readonly NodeSpec[], claim: Claim): void {
    this.#claim = claim;
    const wanted = new Map(nodes.map((spec) => [spec.name, spec]));
    for (const [name, link] of this.#links) {
      if (sameSession(link.spec, wanted.get(name))) continue;
      this.#links.delete(name);
      const closed = link.close().finally(() => this.#closing.delete(closed));
      this.#closing.add(closed);
    }
    for (const [name, spec] of wanted) {
      if (!this.#links.has(name)) this.#links.set(name, new NodeLink(spec, this.#context));
    }
  }

  async observe(
    queries: readonly CheckpointQuery[],
  ): Promise<ReadonlyMap<NodeName, NodeObservation>> {
    const links = [...this.#links.values()];
    const seen = await Promise.all(links.map((link) => link.observe(queries)));
    return new Map(seen.map((observation) => [observation.node, observation]));
  }

  launch(
    node: NodeName,
    run: RunId,
    spec: LaunchSpec,
    secrets: Readonly<Record<string, string>> = {},
  ): Promise<Outcome<LaunchReply>> {
    return this.#with(node, async (link) => {
      const fields = { ...this.#mutating(run), spec, secrets };
      const outcome = await link.ask("launch", fields, launchReply);
      // The code may be what is missing: let the next `putCode` look instead of remember.
      if (outcome.kind !== "ok" && spec.code !== null) link.digests.delete(spec.code);
      return outcome;
    });
  }

  stop(node: NodeName, run: RunId, graceMs: number, reason: string): Promise<Outcome<void>> {
    const fields = { ...this.#mutating(run), graceMs, reason };
    return this.#with(node, (link) => link.ask("stop", fields, emptyReply));
  }

  clean(node: NodeName, job: string, throughAttempt: number): Promise<Outcome<void>> {
    const fields = { epoch: this.#claim.epoch, job, throughAttempt };
    return this.#with(node, (link) => link.ask("clean", fields, emptyReply, CLEAN_DEADLINE_MS));
  }

  /** Calls for the same code on the same node at the same time share one transfer. */
  putCode(node: NodeName, archive: CodeArchive): Promise<Outcome<void>> {
    const key = `${node} ${archive.digest}`;
    const running = this.#shipping.get(key);
    if (running) return running;
    const shipped = this.#with(node, (link) => shipCode(link, archive, this.#claim.epoch))
      .finally(() => this.#shipping.delete(key));
    this.#shipping.set(key, shipped);
    return shipped;
  }

  hasCode(node: NodeName, digest: string): boolean {
    return this.#links.get(node)?.digests.has(digest) ?? false;
  }

  tail(
    node: NodeName,
    run: RunId,
    local: number,
    stream: "stdout" | "stderr" | "agent",
    bytes: number,
  ): Promise<Outcome<string>> {
    const fields = { ...idFields(run), local, stream, bytes };
    return this.#with(node, (link) => link.ask("tail", fields, tailReply));
  }

  onChange(callback: (node: NodeName, what: string) => void): void {
    this.#callbacks.push(callback);
  }

  async close(): Promise<void> {
    this.configure([], this.#claim);
    await Promise.all(this.#closing);
  }

  async #with<T>(
    node: NodeName,
    use: (link: NodeLink) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const link = this.#links.get(node);
    return link
      ? await use(link)
      : { kind: "retryable", reason: `${node} is not a node of the cluster` };
  }

  #mutating(run: RunId) {
    return { epoch: this.#claim.epoch, ...idFields(run) };
  }

  #changed(spec: NodeSpec, what: string): void {
    // A link that is on its way out no longer speaks for the node.
    if (this.#links.get(spec.name)?.spec !== spec) return;
    for (const callback of this.#callbacks) {
      try {
        callback(spec.name, what);
      } catch (error) {
        // A listener's fault must not end the session that reported.
        this.#context.log("warn", "a listener failed", { node: spec.name, error: String(error) });
      }
    }
  }
}

function idFields({ job, attempt, rank }: RunId): RunId {
  return { job, attempt, rank };
}

/** What a session is opened with; a cordon or a label is no reason for another login. */
function sameSession(a: NodeSpec, b: NodeSpec | undefined): boolean {
  const session = (spec: NodeSpec) => JSON.stringify([spec.connect, spec.workdir, spec.python]);
  return b !== undefined && session(a) === session(b);
}
