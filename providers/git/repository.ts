/**
 * The state repository, by the system's git: bare mirrors that are read by objects and written by
 * compare-and-swap pushes.
 *
 * @example
 * ```ts
 * const state = new GitStateRepository({
 *   remote: "git@forge.example:lab/state.git",
 *   mirrorDir: "/var/lib/ugro/state.git",
 *   codeDir: "/var/lib/ugro/code",
 * });
 * const heads = await state.refresh();
 * ```
 *
 * @module
 */
import { MAX_ARCHIVE } from "./archive.ts";
import { CodeMirrors } from "./code.ts";
import { Git } from "./git.ts";
import { checkAuthor, checkBranch, type GitStateOptions } from "./options.ts";
import { parseRemote, type Remote } from "./remote.ts";
import { GitState } from "./state.ts";
import { SystemCode, SystemGit } from "./system.ts";

/** Longest wait for the remote in matters of the lease: an answer that comes later is of no use. */
const LEASE_NETWORK_MS = 15_000;

/** {@linkcode GitState} with the system's git. */
export class GitStateRepository extends GitState {
  /** The checked address; `display` is safe to print. */
  readonly remote: Remote;

  /** Checks the settings and starts nothing. Throws `RemoteError`, or `TypeError` on a bad name. */
  constructor(options: GitStateOptions) {
    const remote = parseRemote(options.remote);
    const author = checkAuthor(options.author ?? "UGRO <ugro@localhost>");
    const branch = checkBranch(options.branch ?? "main");
    const git = new Git({
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig }),
      deadlineMs: options.localMs ?? 30_000,
    });
    const shared = { git, networkMs: options.networkMs ?? 60_000 };
    const state = new SystemGit({ ...shared, dir: options.mirrorDir, remote });
    const lease = new SystemGit({
      git,
      networkMs: Math.min(shared.networkMs, LEASE_NETWORK_MS),
      dir: leaseDir(options.mirrorDir),
      remote,
    });
    const allowPaths = options.allowCodePaths ?? remote.kind === "path";
    const mirrors = new CodeMirrors({ ...shared, dir: options.codeDir, allowPaths });
    const code = new SystemCode(git, state, mirrors, options.maxArchive ?? MAX_ARCHIVE);
    super({ state, lease, code }, branch, { author, now: options.now ?? Date.now });
    this.remote = remote;
  }
}

/** Beside the mirror of the state: `state.git` has `state-lease.git`. */
function leaseDir(mirrorDir: string): string {
  return `${mirrorDir.replace(/(\.git)?\/*$/, "")}-lease.git`;
}
