/**
 * Reads what `git push --porcelain` says.
 *
 * @module
 */
import type { PushAnswer } from "./backend.ts";
import type { GitError } from "./error.ts";
import type { GitResult } from "./git.ts";
import { reasonOf, redact } from "./redact.ts";

/** The remote's own word for "somebody was faster", or for a passing trouble of its own. */
const PASSING =
  /incorrect old value|failed to (?:update|lock)|cannot lock|already exists|unpack|internal|time/i;
/** git's own hint about "the correct access rights" says nothing: a repository that is away has it too. */
const NOT_ALLOWED =
  /denied|authentication failed|could not read username|read.?only|\b40[13]\b|not allowed/i;

/** Ends before anything is sent; any other end without an answer may have sent it all. */
const NOT_SENT =
  /could not resolve host|connection refused|no route to host|network is unreachable|permission denied|host key verification failed|authentication failed|could not read (?:username|password)|does not appear to be a git repository|repository .*not found|\b40[134]\b/i;

/** What an answer says of `ref`; undefined: it does not tell. */
export function readAnswer(result: GitResult, ref: string): PushAnswer | undefined {
  const line = new TextDecoder().decode(result.stdout).split("\n")
    .map((text) => text.split("\t"))
    .find(([flag, refs]) => flag?.length === 1 && refs?.endsWith(`:${ref}`));
  if (line === undefined) return undefined;
  const [flag, , summary = ""] = line;
  if (flag !== "!") return { kind: "accepted" };
  const because = /\((.*)\)\s*$/.exec(summary)?.[1] ?? summary;
  if (summary.startsWith("[rejected]")) {
    return { kind: "moved", reason: `${ref} has moved on the remote (${because})` };
  }
  if (!summary.startsWith("[remote rejected]")) return undefined;
  if (PASSING.test(because)) {
    const reason = `the remote could not take the push: ${redact(because)}`;
    return { kind: "refused", passing: true, reason };
  }
  const reason = `the remote refuses pushes to ${ref}: ${redact(because)}`;
  return { kind: "refused", passing: false, reason: reason + remoteSays(result.stderr) };
}

/** The answer of a push that ended without one; `error` says how. */
export function noAnswer(result: GitResult, error: GitError): PushAnswer {
  const exited = result.ending === "exited";
  return {
    kind: "none",
    sent: !(exited && NOT_SENT.test(result.stderr)),
    denied: exited && NOT_ALLOWED.test(result.stderr),
    reason: error.message,
  };
}

function remoteSays(stderr: string): string {
  const said = stderr.split(/[\r\n]+/).filter((line) => line.startsWith("remote:")).join("\n");
  return said === "" ? "" : `: ${reasonOf(said)}`;
}
