/**
 * Settings of the state repository, and their checks.
 *
 * @module
 */

/** Settings of {@linkcode GitStateRepository}. */
export interface GitStateOptions {
  /** A whole path, `file:///`, `ssh://`, `user@host:path`, `https://` or `http://`. */
  readonly remote: string;
  /** Branch of the desired state. Default: `main`. */
  readonly branch?: string;
  /** Folder of the mirror; absent, empty, or a mirror of ours. */
  readonly mirrorDir: string;
  /** Folder of the mirrors of code repositories. */
  readonly codeDir: string;
  /** Author and committer of our commits. Default: `UGRO <ugro@localhost>`. */
  readonly author?: string;
  /** An ssh configuration file instead of the user's. */
  readonly sshConfig?: string;
  /** Deadline of a call that reaches the remote. Default: 60 s. */
  readonly networkMs?: number;
  /** Deadline of a local call. Default: 30 s. */
  readonly localMs?: number;
  /** Whether `code.git` may be a path on this machine. Default: if `remote` is one. */
  readonly allowCodePaths?: boolean;
  /** Largest code archive in bytes. Default: 512 MiB. */
  readonly maxArchive?: number;
  /** The caller's environment. Default: the process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch, for commit dates. Default: `Date.now`. */
  readonly now?: () => number;
}

/** A branch that may hold the desired state. Throws TypeError. */
export function checkBranch(branch: string): string {
  const valid = /^[A-Za-z0-9_][A-Za-z0-9_.\/+@#=-]{0,200}$/.test(branch) &&
    !/\.\.|@\{|\/\/|\/\.|\/$|\.$|\.lock(\/|$)/.test(branch);
  if (valid && !/^ugro(\/|$)/.test(branch)) return branch;
  throw new TypeError(
    `Cannot use branch ${JSON.stringify(branch)}: not a branch name, or under ugro/`,
  );
}

/** A name and address that a commit can carry. Throws TypeError. */
export function checkAuthor(author: string): string {
  if (/^[^<>\n\0]* <[^<>\n\0]*>$/.test(author)) return author;
  throw new TypeError(`Cannot use author ${JSON.stringify(author)}: write NAME <ADDRESS>`);
}
