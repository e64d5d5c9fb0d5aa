/**
 * A simulated git: one remote that outlives controllers, and for each controller a
 * {@linkcode GitBackend} on it, below the real logic of `providers/git`.
 *
 * What is simplified: the objects are in one store for all (a controller learns ids only by
 * fetching, but could read any), and the refs of a mirror are never damaged one by one.
 *
 * @module
 */
import type { TreeEntry } from "../../reconciler/ports.ts";
import type {
  GitBackend,
  NewCommit,
  ObjectInfo,
  Push,
  PushAnswer,
  Refs,
  Tracked,
} from "../git/backend.ts";
import { GitError } from "../git/error.ts";
import type { Branch, SimRemote } from "./remote.ts";
import { treeIdOf } from "./store.ts";

/** What goes wrong with the next push. */
export type PushFault =
  /** Somebody else was first. */
  | "lost-race"
  /** Neither the push nor a look after it gets an answer, and nothing happened. */
  | "timeout-undone"
  /** Neither gets an answer, but it happened. */
  | "timeout-done"
  /** No answer, and nothing happened; a look after it gets one. */
  | "unanswered-undone"
  /** No answer, but it happened; a look after it gets one. */
  | "unanswered-done"
  /** No answer; it arrives only when `SimRemote.deliverLate` is called. */
  | "timeout-late"
  /** The branch is protected. */
  | "refused";

/** Awaited before and after each operation that reaches the remote or writes. */
export type Gate = (op: string, phase: "before" | "after") => Promise<void>;

/** One controller's way to the remote, with its faults. */
export class SimLine {
  /** Nothing can be fetched or pushed. */
  unreachable = false;
  readonly #faults: Record<Branch, PushFault[]> = { desired: [], status: [], lease: [] };
  #blind = false;

  constructor(
    readonly remote: SimRemote,
    readonly name: string,
    readonly now: () => number,
    private readonly gate: Gate | undefined,
  ) {}

  /** Makes the next push of a branch fail in a way. */
  failPush(fault: PushFault, branch: Branch): void {
    this.#faults[branch].push(fault);
  }

  /** Does something at the remote, between the two calls of the gate. */
  async through<T>(op: string, effect: () => T): Promise<T> {
    if (this.gate === undefined) return effect();
    await this.gate(op, "before");
    const result = effect();
    await this.gate(op, "after");
    return result;
  }

  /** Throws unless the remote can be reached. */
  reach(): void {
    if (this.unreachable) throw new GitError("Cannot read the simulated remote: no answer", true);
  }

  /** Where a branch stands, asked after a push without an answer. */
  look(branch: Branch): string | undefined {
    const blind = this.#blind;
    this.#blind = false;
    if (blind) throw new GitError("Cannot read the simulated remote: no answer", true);
    this.reach();
    return this.remote.head(branch);
  }

  /** Pushes, with the fault that is due. */
  push(branch: Branch, { base, commit }: Push): PushAnswer {
    const none: PushAnswer = {
      kind: "none",
      sent: true,
      denied: false,
      reason: "Cannot push to the simulated remote: no answer",
    };
    if (this.unreachable) return none;
    const move = () => this.remote.move(branch, base, commit, this.name, this.now());
    const fault = this.#faults[branch].shift();
    this.#blind = fault === "timeout-undone" || fault === "timeout-done";
    switch (fault) {
      case "timeout-undone":
      case "unanswered-undone":
        return none;
      case "timeout-late":
        this.remote.late.push(move);
        return none;
      case "refused":
        return {
          kind: "refused",
          passing: false,
          reason: `the remote refuses pushes to ${branch}`,
        };
      case "lost-race":
        if (!this.remote.touch(branch)) {
          return { kind: "refused", passing: true, reason: `${branch} is locked` };
        }
    }
    if (!move()) {
      if (fault === "timeout-done" || fault === "unanswered-done") return none;
      return { kind: "moved", reason: `the ${branch} branch has moved on the remote` };
    }
    return fault === undefined ? { kind: "accepted" } : none;
  }
}

const MAX_READS = 20_000;

/** {@linkcode GitBackend} in memory. */
export class SimGit implements GitBackend {
  readonly display = "the simulated remote";
  generation = 0;
  /** The last reads of blobs, for those who count them. */
  readonly blobsRead: string[] = [];
  readonly #line: SimLine;
  readonly #local = new Map<string, string>();
  #lost = false;
  #doubted = false;

  constructor(line: SimLine) {
    this.#line = line;
  }

  /** Loses the mirror: what reads it fails, until the logic has doubted and opened it, or fetches. */
  lose(): void {
    this.#lost = true;
    this.#doubted = false;
  }

  /** @inheritDoc */
  open(): Promise<void> {
    if (this.#doubted) this.#makeAnew();
    return Promise.resolve();
  }

  /** @inheritDoc */
  doubt(): void {
    this.#doubted = this.#lost;
  }

  /** @inheritDoc */
  remoteRefs(refs: readonly string[]): Promise<Refs> {
    const [only] = refs.length === 1 ? refs.map(branchOf) : [];
    return this.#line.through(only === "lease" ? "ls-remote:lease" : "ls-remote", () => {
      this.#line.reach();
      return this.#heads(refs);
    });
  }

  /** @inheritDoc */
  look(ref: string): Promise<string | undefined> {
    const branch = branchOf(ref);
    return this.#line.through(`look:${branch}`, () => this.#line.look(branch));
  }

  /** @inheritDoc */
  fetch(tracked: readonly Tracked[]): Promise<boolean> {
    return this.#line.through("fetch", () => {
      this.#line.reach();
      if (this.#lost) this.#makeAnew();
      const heads = this.#heads(tracked.map(({ remote }) => remote));
      if (heads.size < tracked.length) return false;
      for (const { remote, local } of tracked) this.#local.set(local, heads.get(remote) as string);
      return true;
    });
  }

  /** @inheritDoc */
  localRefs(): Promise<Refs> {
    return Promise.resolve(this.#local);
  }

  /** @inheritDoc */
  setLocalRef(ref: string, oid: string | undefined): Promise<void> {
    if (oid === undefined) this.#local.delete(ref);
    else this.#local.set(ref, oid);
    return Promise.resolve();
  }

  /** @inheritDoc */
  async listTree(commit: string): Promise<readonly TreeEntry[]> {
    return await this.#remote().commitAt(commit).files;
  }

  /** @inheritDoc */
  async readBlobs(
    oids: readonly string[],
    maxBytes: number,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    const blobs = new Map<string, Uint8Array>();
    const remote = this.#remote();
    for (const oid of oids) {
      this.blobsRead.push(oid);
      const text = remote.text(oid);
      if (text === undefined) throw new GitError(`Cannot read blob ${oid}: no such blob`, false);
      const bytes = encoder.encode(text);
      if (bytes.length <= maxBytes) blobs.set(oid, bytes);
    }
    if (this.blobsRead.length > MAX_READS) this.blobsRead.splice(0, MAX_READS / 2);
    return await blobs;
  }

  /** @inheritDoc */
  async objects(
    commit: string,
    paths: readonly string[],
  ): Promise<readonly (ObjectInfo | undefined)[]> {
    const found = this.#remote().find(commit);
    return await Promise.resolve(paths.map((path) => {
      if (found === undefined) return undefined;
      const entry = path === "" ? undefined : found.files.find((file) => file.path === path);
      if (entry !== undefined) return { oid: entry.oid, type: "blob", size: entry.size };
      const tree = path === "" ? found.tree : treeIdOf(found.files, `${path}/`);
      return tree === undefined ? undefined : { oid: tree, type: "tree", size: 0 };
    }));
  }

  /** @inheritDoc */
  async parent(commit: string): Promise<string | undefined> {
    return await this.#remote().find(commit)?.parent;
  }

  /** @inheritDoc */
  writeCommit(commit: NewCommit): Promise<string> {
    return this.#line.through("commit", () => this.#remote().write(commit));
  }

  /** @inheritDoc */
  push(push: Push): Promise<PushAnswer> {
    const branch = branchOf(push.ref);
    return this.#line.through(`push:${branch}`, () => this.#line.push(branch, push));
  }

  /** @inheritDoc */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The objects, which are the remote's. */
  #remote(): SimRemote {
    if (this.#lost) throw new GitError("not a git repository: the mirror is lost", false);
    return this.#line.remote;
  }

  #makeAnew(): void {
    this.#lost = false;
    this.#doubted = false;
    this.#local.clear();
    this.generation++;
  }

  #heads(refs: readonly string[]): Map<string, string> {
    const heads = new Map<string, string>();
    for (const ref of refs) {
      const head = this.#line.remote.head(branchOf(ref));
      if (head !== undefined) heads.set(ref, head);
    }
    return heads;
  }
}

const encoder = new TextEncoder();

function branchOf(ref: string): Branch {
  if (ref === "refs/heads/ugro/status") return "status";
  return ref === "refs/heads/ugro/lease" ? "lease" : "desired";
}
