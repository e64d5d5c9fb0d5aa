/**
 * A simulated state repository: the real logic of `providers/git` on a simulated git.
 *
 * @example
 * const remote = new SimRemote();
 * remote.push({ "cluster.yaml": "nodes: [{name: a}]", "jobs/hello.yaml": "command: [echo]" });
 * const repository = new SimRepository(remote);
 *
 * @module
 */
import { hash } from "node:crypto";
import { GitState } from "../git/state.ts";
import { type Gate, type PushFault, SimGit, SimLine } from "./git.ts";
import type { SimRemote } from "./remote.ts";

export type { Gate, PushFault } from "./git.ts";
export { SimRemote } from "./remote.ts";

/** Settings of {@linkcode SimRepository}. */
export interface SimRepositoryOptions {
  /** Dates commits. Default: a constant. */
  readonly now?: () => number;
  readonly gate?: Gate;
  /** Who it is, in the logs of the remote. Default: `controller`. */
  readonly name?: string;
}

/** One controller's state repository. */
export class SimRepository extends GitState {
  /** Code of other repositories cannot be fetched. */
  codeUnreachable = false;
  readonly #line: SimLine;
  readonly #mirrors: { readonly state: SimGit; readonly lease: SimGit };

  constructor(remote: SimRemote, options: SimRepositoryOptions = {}) {
    const { now = () => 0, gate, name = "controller" } = options;
    const line = new SimLine(remote, name, now, gate);
    const mirrors = { state: new SimGit(line), lease: new SimGit(line) };
    const code = {
      resolve: ({ url, rev }: { readonly url: string; readonly rev: string }) =>
        line.through(
          "resolve",
          () =>
            line.unreachable || this.codeUnreachable
              ? { kind: "retryable" as const, reason: "the code repository does not answer" }
              : { kind: "ok" as const, value: hash("sha1", `tree of ${url} at ${rev}`) },
        ),
      archive: (treeId: string) => Promise.resolve({ digest: treeId, tar: new Uint8Array() }),
      close: () => Promise.resolve(),
    };
    super({ ...mirrors, code }, "main", { author: "UGRO <ugro@localhost>", now });
    this.#line = line;
    this.#mirrors = mirrors;
  }

  /** Nothing can be fetched or pushed. */
  get unreachable(): boolean {
    return this.#line.unreachable;
  }

  set unreachable(unreachable: boolean) {
    this.#line.unreachable = unreachable;
  }

  /** The last reads of blobs of the state, for those who count them. */
  get blobsRead(): string[] {
    return this.#mirrors.state.blobsRead;
  }

  /** Makes the next push of a branch fail in a way. */
  failPush(fault: PushFault, branch: "status" | "lease" = "status"): void {
    this.#line.failPush(fault, branch);
  }

  /** Loses the mirrors, which are made anew at their next use. */
  loseMirror(): void {
    this.#mirrors.state.lose();
    this.#mirrors.lease.lose();
  }
}
