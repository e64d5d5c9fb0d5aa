/**
 * A simulated remote: three branches, their objects, and what people do to them.
 *
 * @module
 */
import type { TreeEntry } from "../../reconciler/ports.ts";
import type { NewCommit } from "../git/backend.ts";
import { LEASE_FILE } from "../git/lease.ts";
import { blobId } from "../git/tree.ts";
import { type SimCommit, SimStore } from "./store.ts";

/** A file that is more than its text: a symlink, say. */
export interface SimFile {
  readonly text: string;
  readonly mode?: string;
}

/** The branches of a state repository. */
export type Branch = "desired" | "status" | "lease";

/** A branch moved. */
export interface RefMove {
  /** Where it stands now; undefined: deleted. */
  readonly commit: string | undefined;
  /** Where it stood just before. */
  readonly from: string | undefined;
  /** First parent of `commit`. */
  readonly parent: string | undefined;
  readonly message: string;
  readonly atMs: number | undefined;
  /** Name of the controller, or `person`. */
  readonly by: string;
}

type Changed = Readonly<Record<string, string | SimFile | undefined>>;

const PERSON = "person";
/** Moves of a branch that are kept. */
const MAX_LOG = 50_000;

/** The remote: it outlives controllers. */
export class SimRemote {
  /** Pushes that are still on their way. */
  readonly late: (() => boolean)[] = [];
  readonly #heads = new Map<Branch, string>();
  readonly #store: SimStore = new SimStore((commit) => this.#isReachable(commit));
  readonly #logs: Record<"status" | "lease", RefMove[]> = { status: [], lease: [] };
  #serial = 0;

  /** `now` dates what people do. */
  constructor(private readonly now?: () => number) {}

  /** Head of the desired branch; undefined: it does not exist. */
  get desired(): string | undefined {
    return this.#heads.get("desired");
  }

  set desired(commit: string | undefined) {
    this.#set("desired", commit, PERSON, this.now?.());
  }

  /** Head of the status branch. */
  get status(): string | undefined {
    return this.#heads.get("status");
  }

  set status(commit: string | undefined) {
    this.#set("status", commit, PERSON, this.now?.());
  }

  /** Head of the lease branch. */
  get lease(): string | undefined {
    return this.#heads.get("lease");
  }

  set lease(commit: string | undefined) {
    this.#set("lease", commit, PERSON, this.now?.());
  }

  /** The last moves of the status branch, oldest first. */
  get statusLog(): readonly RefMove[] {
    return this.#logs.status;
  }

  /** The last moves of the lease branch, oldest first. */
  get leaseLog(): readonly RefMove[] {
    return this.#logs.lease;
  }

  /** Messages of the status commits that controllers made, oldest first. */
  get messages(): readonly string[] {
    return this.#logs.status.filter(({ by }) => by !== PERSON).map(({ message }) => message);
  }

  // ── what people do ──────────────────────────────────────────────────────────────────────────

  /** Commits a whole new desired branch; gives its head. */
  push(files: Readonly<Record<string, string | SimFile>>): string {
    return this.desired = this.#changed(undefined, files, this.desired);
  }

  /** Commits the desired branch with some files changed; undefined removes one. */
  edit(changes: Changed): string {
    return this.desired = this.#changed(this.desired, changes);
  }

  /** Changes the status branch behind UGRO's back. */
  tamper(changes: Changed): void {
    this.status = this.#changed(this.status, changes);
  }

  /** Changes the lease branch behind UGRO's back. */
  tamperLease(changes: Changed): void {
    this.lease = this.#changed(this.lease, changes);
  }

  /** A commit that no branch names and that has no history. */
  unrelated(files: Readonly<Record<string, string | SimFile>>): string {
    return this.#changed(undefined, files);
  }

  /** A commit of exactly these files on top of another, which no branch names. */
  child(parent: string, files: Readonly<Record<string, string | SimFile>>): string {
    return this.#changed(undefined, files, parent);
  }

  /** Force-pushes the desired branch to any commit. Throws when it is not there (any more). */
  rewrite(commit: string): void {
    this.commitAt(commit);
    this.desired = commit;
  }

  /** Force-pushes the status branch to an older commit. Throws when it is not there any more. */
  rewindStatus(commit: string): void {
    this.commitAt(commit);
    this.status = commit;
  }

  /** Force-pushes the lease branch to an older commit. Throws when it is not there any more. */
  rewindLease(commit: string): void {
    this.commitAt(commit);
    this.lease = commit;
  }

  /** Deletes the desired branch. */
  deleteDesired(): void {
    this.desired = undefined;
  }

  /** Deletes the status branch. */
  deleteStatus(): void {
    this.status = undefined;
  }

  /** Deletes the lease branch. */
  deleteLease(): void {
    this.lease = undefined;
  }

  /** Lets late pushes arrive; gives how many were still in time. */
  deliverLate(): number {
    return this.late.splice(0).filter((move) => move()).length;
  }

  // ── what is there ───────────────────────────────────────────────────────────────────────────

  /** Text of a file at the head of the status branch. */
  statusFile(path: string): string | undefined {
    return this.#textAt(this.status, path);
  }

  /** Text of the lease at the head of its branch. */
  leaseFile(): string | undefined {
    return this.#textAt(this.lease, LEASE_FILE);
  }

  /** Files of a commit, sorted by path. Throws when it is not there. */
  files(commit: string): ReadonlyMap<string, TreeEntry> {
    return new Map(this.commitAt(commit).files.map((entry) => [entry.path, entry]));
  }

  /** Text of a blob. */
  text(oid: string): string | undefined {
    return this.#store.text(oid);
  }

  /** The blob id that a text has. */
  idOf(text: string): string {
    return blobId(text);
  }

  /** A commit; throws GitError when it is not there (any more). */
  commitAt(commit: string): SimCommit {
    return this.#store.get(commit);
  }

  /** A commit, if it is there. */
  find(commit: string): SimCommit | undefined {
    return this.#store.find(commit);
  }

  // ── what a git does ─────────────────────────────────────────────────────────────────────────

  /** Where a branch stands. */
  head(branch: Branch): string | undefined {
    return this.#heads.get(branch);
  }

  /** Takes the objects of a commit; no branch names it yet. */
  write(commit: NewCommit): string {
    return this.#store.write(commit);
  }

  /** Moves a branch by compare-and-swap; a branch that is there already is fine, as with git. */
  move(
    branch: Branch,
    base: string | undefined,
    commit: string,
    by: string,
    atMs: number,
  ): boolean {
    const head = this.head(branch);
    if (head === commit) return true;
    if (head !== base) return false;
    this.#set(branch, commit, by, atMs);
    return true;
  }

  /** Moves a branch so that a push loses its race; false: it cannot, for there is no lease. */
  touch(branch: Branch): boolean {
    if (branch !== "lease") this.tamper({ "touched-by-somebody.txt": String(++this.#serial) });
    else if (this.lease !== undefined) this.tamperLease({});
    return branch !== "lease" || this.lease !== undefined;
  }

  /** True for heads, and for their parents: a renewed lease goes on from the parent of its claim. */
  #isReachable(commit: string): boolean {
    for (const head of this.#heads.values()) {
      if (head === commit || this.#store.find(head)?.parent === commit) return true;
    }
    return false;
  }

  #changed(base: string | undefined, changes: Changed, parent = base): string {
    const files = new Map(base === undefined ? [] : this.files(base));
    for (const [path, file] of Object.entries(changes)) {
      if (file === undefined) files.delete(path);
      else if (typeof file === "string") files.set(path, this.#store.entry(path, file));
      else files.set(path, this.#store.entry(path, file.text, file.mode));
    }
    return this.#store.commit([...files.values()], parent, "by hand\n", `person ${++this.#serial}`);
  }

  #textAt(commit: string | undefined, path: string): string | undefined {
    const found = commit && this.commitAt(commit).files.find((entry) => entry.path === path);
    return found ? this.text(found.oid) : undefined;
  }

  #set(branch: Branch, commit: string | undefined, by: string, atMs: number | undefined): void {
    const from = this.#heads.get(branch);
    if (commit === from) return;
    if (commit === undefined) this.#heads.delete(branch);
    else this.#heads.set(branch, commit);
    if (branch === "desired") return;
    const { parent, message = "" } = commit === undefined ? {} : this.find(commit) ?? {};
    const log = this.#logs[branch];
    log.push({ commit, from, parent, message, atMs, by });
    if (log.length > MAX_LOG) log.splice(0, MAX_LOG / 10);
  }
}
