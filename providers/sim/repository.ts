/**
 * A simulated state repository: commits are maps of files, and a push is a compare-and-swap.
 *
 * @example
 * const remote = new SimRemote();
 * remote.push({ "cluster.yaml": "nodes: [{name: a}]", "jobs/hello.yaml": "command: [echo]" });
 * const repository = new SimRepository(remote);
 *
 * @module
 */
import type { Code } from "../../jobs/job.ts";
import type {
  Claim,
  CodeArchive,
  Heads,
  Outcome,
  StateRepository,
  StatusCommit,
  TreeEntry,
} from "../../reconciler/ports.ts";

/** A file that is more than its text: a symlink, say, or one that is too large. */
export interface SimFile {
  readonly text: string;
  readonly mode?: string;
}

type Files = ReadonlyMap<string, TreeEntry>;

/** Commits that are kept; older ones cannot be read any more. */
const KEPT_COMMITS = 500;

/** The remote: it outlives controllers. */
export class SimRemote {
  /** Names the repository for ever. */
  readonly id: string = "repository-1";
  desired: string | undefined;
  status: string | undefined;
  epoch = 0;
  /** Messages of the status commits, oldest first. */
  readonly messages: string[] = [];
  readonly #commits = new Map<string, Files>();
  readonly #oids = new Map<string, string>();
  readonly #texts = new Map<string, string>();
  #serial = 0;

  /** Commits a whole new desired branch; gives its head. */
  push(files: Readonly<Record<string, string | SimFile>>): string {
    this.desired = this.commit(
      new Map(Object.entries(files).map(([path, file]) => [path, this.entry(path, file)])),
    );
    return this.desired;
  }

  /** Commits the desired branch with some files changed; undefined removes one. */
  edit(changes: Readonly<Record<string, string | SimFile | undefined>>): string {
    const files = new Map(this.desired === undefined ? [] : this.files(this.desired));
    for (const [path, file] of Object.entries(changes)) {
      if (file === undefined) files.delete(path);
      else files.set(path, this.entry(path, file));
    }
    this.desired = this.commit(files);
    return this.desired;
  }

  /** Changes the status branch behind UGRO's back. */
  tamper(changes: Readonly<Record<string, string | undefined>>): void {
    const files = new Map(this.status === undefined ? [] : this.files(this.status));
    for (const [path, text] of Object.entries(changes)) {
      if (text === undefined) files.delete(path);
      else files.set(path, this.entry(path, text));
    }
    this.status = this.commit(files);
  }

  /** Text of a file at the head of the status branch. */
  statusFile(path: string): string | undefined {
    if (this.status === undefined) return undefined;
    const entry = this.files(this.status).get(path);
    return entry && this.text(entry.oid);
  }

  /** Files of a commit, sorted by path. Throws when it is not there. */
  files(commit: string): Files {
    const files = this.#commits.get(commit);
    if (!files) throw new Error(`Cannot read commit ${commit}: it is not in the repository`);
    return files;
  }

  /** Text of a blob. */
  text(oid: string): string | undefined {
    return this.#texts.get(oid);
  }

  /** Makes a commit that no branch names yet. */
  commit(files: ReadonlyMap<string, TreeEntry>): string {
    const sorted = new Map([...files].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
    const oid = this.#newId();
    this.#commits.set(oid, sorted);
    for (const old of this.#commits.keys()) {
      if (this.#commits.size <= KEPT_COMMITS) break;
      if (old !== this.desired && old !== this.status) this.#commits.delete(old);
    }
    return oid;
  }

  /** The entry of a file; equal texts have equal ids. */
  entry(path: string, file: string | SimFile): TreeEntry {
    const { text, mode = "100644" } = typeof file === "string" ? { text: file } : file;
    return { mode, oid: this.idOf(text), size: text.length, path };
  }

  /** The id of a text. */
  idOf(text: string): string {
    const known = this.#oids.get(text);
    if (known !== undefined) return known;
    const oid = this.#newId();
    this.#oids.set(text, oid);
    this.#texts.set(oid, text);
    return oid;
  }

  #newId(): string {
    return (++this.#serial).toString(16).padStart(40, "0");
  }
}

/** What goes wrong with the next push. */
export type PushFault =
  /** Somebody else was first. */
  | "lost-race"
  /** No answer, and nothing happened. */
  | "timeout-undone"
  /** No answer, but it happened. */
  | "timeout-done";

/** One controller's way to the remote, with its faults. */
export class SimRepository implements StateRepository {
  /** Nothing can be fetched or pushed. */
  unreachable = false;
  /** Code of other repositories cannot be fetched. */
  codeUnreachable = false;
  /** Reads of blobs, for those who count them. */
  readonly blobsRead: string[] = [];
  readonly #pushFaults: PushFault[] = [];

  constructor(private readonly remote: SimRemote) {}

  /** Makes the next push fail in a way. */
  failPush(fault: PushFault): void {
    this.#pushFaults.push(fault);
  }

  /** @inheritDoc */
  refresh(): Promise<Outcome<Heads>> {
    if (this.unreachable) {
      return answer({ kind: "retryable", reason: "the remote does not answer" });
    }
    const { desired, status } = this.remote;
    return answer({ kind: "ok", value: { desired, status } });
  }

  /** @inheritDoc */
  listTree(commit: string): Promise<readonly TreeEntry[]> {
    return Promise.resolve().then(() => [...this.remote.files(commit).values()]);
  }

  /** @inheritDoc */
  readBlobs(oids: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Uint8Array>> {
    const blobs = new Map<string, Uint8Array>();
    const encoder = new TextEncoder();
    for (const oid of oids) {
      this.blobsRead.push(oid);
      const text = this.remote.text(oid);
      if (text === undefined) continue;
      const bytes = encoder.encode(text);
      if (bytes.length <= maxBytes) blobs.set(oid, bytes);
    }
    return Promise.resolve(blobs);
  }

  /** @inheritDoc */
  commitStatus(commit: StatusCommit): Promise<Outcome<string>> {
    const { remote } = this;
    if (this.unreachable) {
      return answer({ kind: "retryable", reason: "the remote does not answer" });
    }
    const fault = this.#pushFaults.shift();
    if (fault === "lost-race") {
      remote.tamper({ "touched-by-somebody.txt": String(remote.messages.length) });
    }
    if (remote.status !== commit.base) {
      return answer({ kind: "retryable", reason: "the status branch has moved" });
    }
    const timeout: Outcome<string> = { kind: "unknown", reason: "the push got no answer" };
    if (fault === "timeout-undone") return answer(timeout);
    const old = commit.base === undefined ? undefined : remote.files(commit.base);
    const files = new Map<string, TreeEntry>();
    for (const path of commit.keep ?? []) {
      const entry = old?.get(path);
      if (entry) files.set(path, entry);
    }
    for (const [path, text] of commit.files) {
      const known = old?.get(path);
      files.set(path, known?.oid === remote.idOf(text) ? known : remote.entry(path, text));
    }
    if (old && sameFiles(old, files)) return answer({ kind: "ok", value: commit.base as string });
    remote.status = remote.commit(files);
    remote.messages.push(commit.message);
    return answer(fault === "timeout-done" ? timeout : { kind: "ok", value: remote.status });
  }

  /** @inheritDoc */
  claimEpoch(_owner: string): Promise<Outcome<Claim>> {
    if (this.unreachable) {
      return answer({ kind: "retryable", reason: "the remote does not answer" });
    }
    return answer({
      kind: "ok",
      value: { epoch: ++this.remote.epoch, repository: this.remote.id },
    });
  }

  /** @inheritDoc */
  treeId(commit: string, path: string): Promise<string | undefined> {
    const prefix = path === "" ? "" : `${path}/`;
    const inside = [...this.remote.files(commit).values()].filter((e) => e.path.startsWith(prefix));
    if (inside.length === 0 && path !== "") return Promise.resolve(undefined);
    return Promise.resolve(
      this.remote.idOf(`tree\n${inside.map((e) => `${e.oid} ${e.path}`).join("\n")}`),
    );
  }

  /** @inheritDoc */
  resolveCode(code: Extract<Code, { kind: "git" }>): Promise<Outcome<string>> {
    if (this.codeUnreachable) return answer({ kind: "retryable", reason: "no answer" });
    return answer({ kind: "ok", value: this.remote.idOf(`tree of ${code.url} at ${code.rev}`) });
  }

  /** @inheritDoc */
  archive(treeId: string): Promise<CodeArchive> {
    return Promise.resolve({ digest: treeId, tar: new Uint8Array() });
  }
}

function answer<T>(outcome: Outcome<T>): Promise<Outcome<T>> {
  return Promise.resolve(outcome);
}

function sameFiles(a: Files, b: Files): boolean {
  if (a.size !== b.size) return false;
  for (const [path, entry] of b) if (a.get(path)?.oid !== entry.oid) return false;
  return true;
}
