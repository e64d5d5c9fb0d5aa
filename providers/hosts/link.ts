/**
 * Keeps one node connected: a session, and when it ends the next one, with growing pauses. Asking
 * never waits for a connection.
 *
 * @module
 */
import type { z } from "zod";
import type { NodeSpec } from "../../cluster/node.ts";
import { type Reading, slowest } from "../../reconciler/elapsed.ts";
import type {
  CheckpointQuery,
  Claim,
  Clock,
  NodeObservation,
  Outcome,
} from "../../reconciler/ports.ts";
import { within } from "./clock.ts";
import { commandFor, destination, sshEnvironment } from "./command.ts";
import { toReachable } from "./convert.ts";
import { type Ending, explain, explainCut, type Explanation, wantsPin } from "./explain.ts";
import { findPin, type Pin } from "./host_key.ts";
import { toOutcome } from "./outcome.ts";
import { backoffMs, type Gate } from "./pacing.ts";
import { startProcess } from "./process.ts";
import { helloReply, observeReply, type RawObservation } from "./replies.ts";
import { type Reply, Session } from "./session.ts";

export type Log = (
  level: "info" | "warn",
  message: string,
  fields: Record<string, unknown>,
) => void;

/** What the links of a fleet share. */
export interface LinkContext {
  readonly clock: Clock;
  /** A second clock that nobody can set. */
  readonly steady?: Reading;
  readonly gate: Gate;
  readonly source: string;
  readonly sshConfig?: string;
  readonly connectTimeoutMs: number;
  readonly observeTimeoutMs: number;
  readonly log: Log;
  readonly changed: (spec: NodeSpec, what: string) => void;
  readonly claim: () => Claim;
}

/** Silence after which a session with an outstanding request is given up. */
const SILENCE_MS = 10_000;
/** What logging in and starting Python may take on top of the connection itself. */
const LOGIN_MS = 7000;
/** A session that lasted this long shows that the node is fine: pauses start anew. */
const STABLE_MS = 10_000;

export class NodeLink {
  readonly spec: NodeSpec;
  readonly #context: LinkContext;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  readonly #firstTry = Promise.withResolvers<void>();
  #waitForFirst = true;
  #session: Session | undefined;
  #observing = false;
  /** Why there is no session. */
  #why: Explanation;
  /** Time as it passed at least: a clock that is set ahead makes no node lost. */
  readonly #elapsed: Reading;
  /** When the node was last known, on that clock. */
  #knownMs: number;
  #digests = new Set<string>();

  constructor(spec: NodeSpec, context: LinkContext) {
    this.spec = spec;
    this.#context = context;
    const { clock, steady } = context;
    this.#elapsed = slowest([() => clock.now(), ...steady ? [steady] : []]);
    this.#knownMs = this.#elapsed();
    this.#why = { reason: `Connecting to ${spec.name} for the first time` };
    this.#loop = this.#keepConnected();
  }

  /** Digests of the code that this session has seen on the node. */
  get digests(): Set<string> {
    return this.#digests;
  }

  /** Asks for an observation. The first call waits for the first connection, too. */
  async observe(queries: readonly CheckpointQuery[]): Promise<NodeObservation> {
    const { clock, observeTimeoutMs } = this.#context;
    if (this.#waitForFirst) await within(clock, observeTimeoutMs, this.#firstTry.promise);
    this.#waitForFirst = false;
    const session = this.#session;
    if (!session) return this.#unknown(this.#why);
    if (this.#observing) return this.#unknown({ reason: `${this.spec.name} has not answered yet` });
    this.#observing = true;
    let late = false;
    const answer = session.ask("observe", { checkpoints: queries }, observeReply);
    const noted = answer.then((reply) => this.#note(reply, late));
    const reply = await within(clock, observeTimeoutMs, noted);
    if (reply?.kind === "ok") return toReachable(this.spec.name, reply.value);
    late = true;
    return this.#unknown({ reason: whyUnknown(this.spec.name, reply) });
  }

  /** Sends one operation; `retryable` when it certainly did not leave. */
  async ask<T>(
    op: string,
    fields: Readonly<Record<string, unknown>>,
    schema: z.ZodType<T>,
    deadlineMs: number = SILENCE_MS,
  ): Promise<Outcome<T>> {
    const session = this.#session;
    if (!session) return { kind: "retryable", reason: this.#why.reason };
    const asked = session.ask(op, fields, schema, Math.max(deadlineMs, SILENCE_MS));
    return toOutcome(op, await within(this.#context.clock, deadlineMs, asked));
  }

  /** Ends the session and the reconnecting. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#session?.close();
    await this.#loop;
  }

  #note(reply: Reply<RawObservation>, late: boolean): Reply<RawObservation> {
    this.#observing = false;
    if (reply.kind !== "ok") return reply;
    this.#knownMs = this.#elapsed();
    if (late) this.#context.changed(this.spec, "answers again");
    return reply;
  }

  #unknown(why: Explanation): NodeObservation {
    const awayMs = Math.round(this.#elapsed() - this.#knownMs);
    const sinceMs = this.#context.clock.now() - awayMs;
    return { state: "unknown", node: this.spec.name, sinceMs, ...why };
  }

  async #keepConnected(): Promise<void> {
    const { clock, gate } = this.#context;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const startedMs = clock.now();
      const session = await gate.run(() => this.#connect());
      if (session) await this.#serve(session);
      this.#firstTry.resolve();
      failures = session && clock.now() - startedMs >= STABLE_MS ? 1 : failures + 1;
      await clock.sleep(backoffMs(failures, Math.random()), this.#stop.signal);
    }
  }

  async #connect(): Promise<Session | undefined> {
    const { clock, source, claim, connectTimeoutMs, log } = this.#context;
    if (this.#stop.signal.aborted) return;
    const made = commandFor(this.spec, this.#context);
    if ("problem" in made) return this.#down({ reason: made.problem });
    const { name, workdir } = this.spec;
    const session = new Session(startProcess(made.command, clock), {
      clock,
      silenceMs: SILENCE_MS,
      onChanged: (what) => this.#context.changed(this.spec, what),
      onNoise: (reason) => log("warn", "a line that is no frame", { node: name, reason }),
    });
    const abandon = () => void session.close();
    this.#stop.signal.addEventListener("abort", abandon, { once: true });
    session.start(source);
    const patienceMs = connectTimeoutMs + LOGIN_MS;
    const hello = await session.ask("hello", { workdir, ...claim() }, helloReply, patienceMs);
    this.#stop.signal.removeEventListener("abort", abandon);
    if (hello.kind === "ok" && !this.#stop.signal.aborted) return session;
    if (hello.kind !== "refused") return this.#down(await this.#whyNotOpened(session, hello));
    await session.close();
    return this.#down({ reason: `${name} cannot be used: ${hello.message}` });
  }

  async #serve(session: Session): Promise<void> {
    // Closed between the answer to `hello` and here.
    if (this.#stop.signal.aborted) return await session.close();
    this.#session = session;
    this.#why = { reason: "" };
    this.#knownMs = this.#elapsed();
    this.#firstTry.resolve();
    this.#context.log("info", "connected", { node: this.spec.name });
    this.#context.changed(this.spec, "connected");
    const end = await session.ended;
    this.#session = undefined;
    this.#digests = new Set();
    const cut = end.because && `Session to ${this.spec.name}: ${end.because}`;
    this.#down({ reason: cut || explainCut(this.spec, end) });
  }

  /** Why no session came about; ends one whose answer to `hello` was unreadable. */
  async #whyNotOpened(session: Session, hello: Reply<unknown>): Promise<Explanation> {
    if (hello.kind === "lost") await session.close(hello.reason);
    const end = await session.ended;
    if (end.because !== undefined) {
      return { reason: `Cannot connect to ${this.spec.name}: ${end.because}` };
    }
    return explain(this.spec, this.#context.sshConfig, end, await this.#findPin(end));
  }

  /** Where the host's key is pinned, when that is what a person must be told. */
  async #findPin(end: Ending): Promise<Pin | undefined> {
    const { connect } = this.spec;
    const { sshConfig, clock } = this.#context;
    if (connect.kind !== "ssh" || !wantsPin(this.spec, end)) return undefined;
    const { options, host } = destination(connect, sshConfig);
    return await findPin(["ssh", "-G", ...options, "--", host], sshEnvironment(), clock);
  }

  #down(why: Explanation): undefined {
    if (this.#stop.signal.aborted) return;
    const { reason } = why;
    if (reason !== this.#why.reason) {
      this.#context.log("warn", "not connected", { node: this.spec.name, reason });
      this.#why = why;
      this.#context.changed(this.spec, reason);
    }
  }
}

function whyUnknown(name: string, reply: Reply<unknown> | undefined): string {
  if (reply === undefined || reply.kind === "ok") return `${name} did not answer in time`;
  const reason = reply.kind === "refused" ? `${reply.code}: ${reply.message}` : reply.reason;
  return `${name} cannot be observed: ${reason}`;
}
