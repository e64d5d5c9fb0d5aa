/**
 * Pushes one commit onto a branch by compare-and-swap, and finds out what became of it.
 *
 * The commit's parent is `base`, and `--force-with-lease=REF:BASE` lets the push through only if
 * the remote stands at `base`: so a push is always a fast-forward, and history is never rewritten,
 * not even when somebody has rewound the branch.
 *
 * @module
 */
import type { Outcome } from "../../reconciler/ports.ts";
import { failure, type Git, GitError, type GitResult } from "./git.ts";
import type { Mirror } from "./mirror.ts";
import { reasonOf, redact } from "./redact.ts";

/** A push to make. */
export interface Push {
  /** Full name of the branch, `refs/heads/…`. */
  readonly ref: string;
  readonly commit: string;
  /** Where the branch must stand; undefined: it must not exist. */
  readonly base: string | undefined;
  readonly deadlineMs: number;
}

/** Longest look after a push without an answer. */
const LOOK_MS = 15_000;
/** The remote's own word for "somebody was faster", or for a passing trouble of its own. */
const PASSING =
  /incorrect old value|failed to (?:update|lock)|cannot lock|already exists|unpack|internal|time/i;
const NOT_ALLOWED =
  /denied|authentication failed|could not read username|read.?only|\b40[13]\b|not allowed|access rights/i;

/** Pushes, and looks when the answer does not tell. `ok` gives the commit. */
export async function pushCommit(git: Git, mirror: Mirror, push: Push): Promise<Outcome<string>> {
  const result = await git.run({
    gitDir: mirror.dir,
    args: [
      "push",
      "--porcelain",
      "--no-verify",
      "--no-follow-tags",
      "--no-signed",
      `--force-with-lease=${push.ref}:${push.base ?? ""}`,
      mirror.remote.url,
      `${push.commit}:${push.ref}`,
    ],
    protocols: mirror.remote.protocols,
    deadlineMs: push.deadlineMs,
  });
  const told = readAnswer(result, push.ref);
  if (told === "accepted") return { kind: "ok", value: push.commit };
  return told ?? await look(mirror, push, result);
}

/** What git's answer says; undefined when it does not tell. */
export function readAnswer(
  result: GitResult,
  ref: string,
): "accepted" | Outcome<never> | undefined {
  const line = new TextDecoder().decode(result.stdout).split("\n")
    .map((text) => text.split("\t"))
    .find(([flag, refs]) => flag?.length === 1 && refs?.endsWith(`:${ref}`));
  if (line === undefined) return undefined;
  const [flag, , summary = ""] = line;
  if (flag !== "!") return "accepted";
  const because = /\((.*)\)\s*$/.exec(summary)?.[1] ?? summary;
  if (summary.startsWith("[rejected]")) {
    return { kind: "retryable", reason: `${ref} has moved on the remote (${because})` };
  }
  if (!summary.startsWith("[remote rejected]")) return undefined;
  if (PASSING.test(because)) {
    return { kind: "retryable", reason: `the remote could not take the push: ${redact(because)}` };
  }
  return {
    kind: "terminal",
    reason: `the remote refuses pushes to ${ref}: ${redact(because)}${remoteSays(result.stderr)}`,
  };
}

function remoteSays(stderr: string): string {
  const said = stderr.split(/[\r\n]+/).filter((line) => line.startsWith("remote:")).join("\n");
  return said === "" ? "" : `: ${reasonOf(said)}`;
}

/** A push whose answer got lost may have succeeded. */
async function look(mirror: Mirror, push: Push, result: GitResult): Promise<Outcome<string>> {
  const error = failure(result, `Cannot push to ${mirror.remote.display}`, push.deadlineMs);
  let head: string | undefined;
  try {
    const deadline = Math.min(LOOK_MS, push.deadlineMs);
    head = (await mirror.remoteRefs(["--heads", push.ref], deadline)).get(push.ref);
  } catch (lookError) {
    if (!(lookError instanceof GitError)) throw lookError;
    return {
      kind: "unknown",
      reason: `${error.message}; looking failed too: ${lookError.message}`,
    };
  }
  if (head === push.commit) return { kind: "ok", value: push.commit };
  if (head !== push.base) {
    return { kind: "retryable", reason: `${push.ref} has moved on the remote` };
  }
  const terminal = result.ending === "exited" && NOT_ALLOWED.test(result.stderr);
  return { kind: terminal ? "terminal" : "retryable", reason: error.message };
}
