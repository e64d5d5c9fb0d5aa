/**
 * What the state repository needs of git, and no more: the line between decisions and git itself.
 * `system.ts` implements it with the system's git; the simulation implements it in memory, so that
 * everything above this line is the same code in both.
 *
 * Unless it says otherwise, a method throws {@linkcode GitError} when it cannot do its work.
 *
 * @module
 */
import type { Code } from "../../jobs/job.ts";
import type { CodeArchive, Outcome, TreeEntry } from "../../reconciler/ports.ts";

/** A branch of the remote and the mirror's ref that follows it. */
export interface Tracked {
  /** `refs/heads/…` on the remote. */
  readonly remote: string;
  /** `refs/ugro/…` in the mirror. */
  readonly local: string;
}

/** Object ids by the full name of a ref; absent: no such ref. */
export type Refs = ReadonlyMap<string, string>;

/** What an object is. */
export interface ObjectInfo {
  readonly oid: string;
  readonly type: string;
  readonly size: number;
}

/** What a commit changes against its parent. */
export interface Changes {
  /** Path to new contents. */
  readonly written: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

/** A commit to write. */
export interface NewCommit {
  readonly parent: string | undefined;
  readonly changes: Changes;
  readonly message: string;
  /** `Name <address>`. */
  readonly author: string;
  readonly atMs: number;
}

/** One branch to move, if it still stands where it is thought to. */
export interface Push {
  /** Full name of the branch, `refs/heads/…`. */
  readonly ref: string;
  readonly commit: string;
  /** Where the branch must stand; undefined: it must not exist. */
  readonly base: string | undefined;
}

/** What git says of a push. */
export type PushAnswer =
  | { readonly kind: "accepted" }
  /** The branch stood elsewhere. */
  | { readonly kind: "moved"; readonly reason: string }
  /** The remote would not take it; `passing`: trying again may help. */
  | { readonly kind: "refused"; readonly passing: boolean; readonly reason: string }
  /**
   * Nothing that tells whether it was done. `sent`: it may have been sent, and may still arrive
   * while nobody waits for it. `denied`: this user may not push there.
   */
  | {
    readonly kind: "none";
    readonly sent: boolean;
    readonly denied: boolean;
    readonly reason: string;
  };

/** Git, for the branches of one remote: a mirror on this side, and the way to the other. */
export interface GitBackend {
  /** The remote, for people. */
  readonly display: string;
  /** Grows whenever the mirror was made anew: what was fetched before may be gone. */
  readonly generation: number;
  /** Makes the mirror usable; makes it anew if it is damaged. Call before fetching or writing. */
  open(): Promise<void>;
  /** Has the mirror looked at before it is used again: lightly, or `deeply` after a failed read. */
  doubt(deeply: boolean): void;
  /** Where branches of the remote stand, once it has answered in full. */
  remoteRefs(refs: readonly string[]): Promise<Refs>;
  /** Where one branch of the remote stands, asked with a short deadline. */
  look(ref: string): Promise<string | undefined>;
  /** Brings the mirror's refs to the remote's, whatever they were. False: one is not there (now). */
  fetch(tracked: readonly Tracked[]): Promise<boolean>;
  /** Where the mirror's refs stand. */
  localRefs(): Promise<Refs>;
  /** Sets a ref of the mirror, or deletes it. */
  setLocalRef(ref: string, oid: string | undefined): Promise<void>;
  /** All files of a commit of the mirror, recursively, sorted by path. */
  listTree(commit: string): Promise<readonly TreeEntry[]>;
  /** Contents of blobs of the mirror, those larger than `maxBytes` left out. */
  readBlobs(oids: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Uint8Array>>;
  /** What is at paths of a commit ("" is its root); undefined: nothing, or no such commit. */
  objects(commit: string, paths: readonly string[]): Promise<readonly (ObjectInfo | undefined)[]>;
  /** First parent of a commit; undefined: it has none, or is not in the mirror. */
  parent(commit: string): Promise<string | undefined>;
  /** Writes a commit into the mirror and gives its id. */
  writeCommit(commit: NewCommit): Promise<string>;
  /** Pushes by compare-and-swap; fast-forward or not. Never throws because of the remote. */
  push(push: Push): Promise<PushAnswer>;
  /** Ends all processes. Calls in flight end as uncertain errors. */
  close(): Promise<void>;
}

/** Where code comes from that jobs run. */
export interface CodeSource {
  /** Tree id of a revision of a code repository. Never throws because of the remote. */
  resolve(code: Extract<Code, { kind: "git" }>): Promise<Outcome<string>>;
  /** Packs a tree of the state repository or of a resolved one. */
  archive(treeId: string): Promise<CodeArchive>;
  /** Ends all processes. */
  close(): Promise<void>;
}
