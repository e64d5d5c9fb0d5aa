/**
 * {@linkcode GitBackend} with the system's git and a bare mirror, read by objects. There is no work
 * tree and no index.
 *
 * @module
 */
import type { Code } from "../../jobs/job.ts";
import type { CodeArchive, Outcome, TreeEntry } from "../../reconciler/ports.ts";
import { noAnswer, readAnswer } from "./answer.ts";
import { archiveTree } from "./archive.ts";
import type {
  CodeSource,
  GitBackend,
  NewCommit,
  ObjectInfo,
  Push,
  PushAnswer,
  Refs,
  Tracked,
} from "./backend.ts";
import type { CodeMirrors } from "./code.ts";
import { GitError } from "./error.ts";
import { writeCommit } from "./fast_import.ts";
import { failure, type Git } from "./git.ts";
import { Mirror, type MirrorOptions } from "./mirror.ts";
import { mustBeOid, parseTree } from "./tree.ts";

/** Writes and fetches between two looks at whether the mirror wants packing. */
const TIDY_EVERY = 500;
const MAX_TREE_LISTING = 256 * 1024 * 1024;
/** Longest look after a push without an answer. */
const LOOK_MS = 15_000;

/** One mirror of a remote. */
export class SystemGit implements GitBackend {
  readonly #git: Git;
  readonly #networkMs: number;
  readonly #mirror: Mirror;
  #sinceTidy = TIDY_EVERY;

  constructor(options: MirrorOptions) {
    this.#git = options.git;
    this.#networkMs = options.networkMs;
    this.#mirror = new Mirror(options);
  }

  /** @inheritDoc */
  get display(): string {
    return this.#mirror.remote.display;
  }

  /** @inheritDoc */
  get generation(): number {
    return this.#mirror.generation;
  }

  /** @inheritDoc */
  async open(): Promise<void> {
    await this.#mirror.open();
    if (this.#sinceTidy++ < TIDY_EVERY) return;
    this.#sinceTidy = 0;
    await this.#mirror.tidy();
  }

  /** @inheritDoc */
  doubt(deeply: boolean): void {
    this.#mirror.doubt(deeply);
  }

  /** @inheritDoc */
  remoteRefs(refs: readonly string[]): Promise<Refs> {
    return this.#mirror.remoteRefs(["--heads", ...refs]);
  }

  /** @inheritDoc */
  async look(ref: string): Promise<string | undefined> {
    const deadlineMs = Math.min(LOOK_MS, this.#networkMs);
    return (await this.#mirror.remoteRefs(["--heads", ref], deadlineMs)).get(ref);
  }

  /** @inheritDoc */
  async fetch(tracked: readonly Tracked[]): Promise<boolean> {
    try {
      await this.#mirror.fetch(tracked.map(({ remote, local }) => `+${remote}:${local}`));
      return true;
    } catch (error) {
      if (error instanceof GitError && /couldn't find remote ref/.test(error.stderr)) return false;
      throw error;
    }
  }

  /** @inheritDoc */
  localRefs(): Promise<Refs> {
    return this.#mirror.refs();
  }

  /** @inheritDoc */
  setLocalRef(ref: string, oid: string | undefined): Promise<void> {
    return this.#mirror.setRef(ref, oid);
  }

  /** @inheritDoc */
  async listTree(commit: string): Promise<readonly TreeEntry[]> {
    const { stdout } = await this.#git.mustRun({
      gitDir: this.#mirror.dir,
      args: ["ls-tree", "-r", "-l", "-z", "--full-tree", commit],
      maxOutput: MAX_TREE_LISTING,
    }, `Cannot list commit ${commit.slice(0, 12)}`);
    return parseTree(stdout);
  }

  /** @inheritDoc */
  readBlobs(oids: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Uint8Array>> {
    return this.#mirror.cat.read(oids, maxBytes);
  }

  /** @inheritDoc */
  objects(commit: string, paths: readonly string[]): Promise<readonly (ObjectInfo | undefined)[]> {
    const names = paths.map((path) => path === "" ? `${commit}^{tree}` : `${commit}:${path}`);
    return this.#mirror.cat.check(names);
  }

  /** @inheritDoc */
  async parent(commit: string): Promise<string | undefined> {
    const [found] = await this.#mirror.cat.check([`${commit}^1`]);
    return found?.oid;
  }

  /** @inheritDoc */
  writeCommit(commit: NewCommit): Promise<string> {
    return writeCommit(this.#git, this.#mirror.dir, commit);
  }

  /** @inheritDoc */
  async push({ ref, base, commit }: Push): Promise<PushAnswer> {
    const { remote, dir } = this.#mirror;
    const deadlineMs = this.#networkMs;
    const result = await this.#git.run({
      gitDir: dir,
      args: [
        "push",
        "--porcelain",
        "--no-verify",
        "--no-follow-tags",
        "--no-signed",
        `--force-with-lease=${ref}:${base ?? ""}`,
        remote.url,
        `${commit}:${ref}`,
      ],
      protocols: remote.protocols,
      deadlineMs,
    });
    return readAnswer(result, ref) ??
      noAnswer(result, failure(result, `Cannot push to ${remote.display}`, deadlineMs));
  }

  /** The mirror's folder, when it holds a tree. */
  async folderOf(treeId: string): Promise<string | undefined> {
    const [here] = await this.#mirror.cat.check([`${treeId}^{tree}`]).catch(() => []);
    return here && this.#mirror.dir;
  }

  /** @inheritDoc */
  async close(): Promise<void> {
    await this.#git.close();
    await this.#mirror.cat.close();
  }
}

/** Code of the state repository and of others. */
export class SystemCode implements CodeSource {
  constructor(
    private readonly git: Git,
    private readonly state: SystemGit,
    private readonly mirrors: CodeMirrors,
    private readonly maxArchive: number,
  ) {}

  /** @inheritDoc */
  resolve(code: Extract<Code, { kind: "git" }>): Promise<Outcome<string>> {
    return this.mirrors.resolve(code.url, code.rev);
  }

  /** @inheritDoc */
  async archive(treeId: string): Promise<CodeArchive> {
    mustBeOid(treeId);
    const gitDir = await this.state.folderOf(treeId) ?? await this.mirrors.find(treeId);
    if (gitDir === undefined) {
      throw new GitError(`Cannot pack code ${treeId.slice(0, 12)}: no mirror holds it`, false);
    }
    return await archiveTree(this.git, gitDir, treeId, this.maxArchive);
  }

  /** @inheritDoc */
  close(): Promise<void> {
    return this.mirrors.close();
  }
}
