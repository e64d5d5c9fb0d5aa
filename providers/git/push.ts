/**
 * Pushes one commit onto a branch by compare-and-swap, and finds out what became of it.
 *
 * The status branch gets commits whose parent is `base`, and the push goes through only if the
 * remote stands at `base`: so each is a fast-forward, and history is never rewritten, not even when
 * somebody has rewound the branch. The lease branch is moved with the same care to commits that
 * replace its tip (`lease_branch.ts`).
 *
 * @module
 */
import type { Outcome } from "../../reconciler/ports.ts";
import type { GitBackend, Push, PushAnswer } from "./backend.ts";
import { GitError } from "./error.ts";

/** Pushes, and looks when the answer does not tell. `ok` gives the commit. */
export async function pushCommit(backend: GitBackend, push: Push): Promise<Outcome<string>> {
  const answer = await backend.push(push);
  const { reason } = answer.kind === "accepted" ? { reason: "" } : answer;
  switch (answer.kind) {
    case "accepted":
      return { kind: "ok", value: push.commit };
    case "moved":
      return { kind: "retryable", reason };
    case "refused":
      return { kind: answer.passing ? "retryable" : "terminal", reason };
    case "none":
      return await look(backend, push, answer);
  }
}

/** A push whose answer got lost may have succeeded, and may still succeed. */
async function look(
  backend: GitBackend,
  push: Push,
  answer: Extract<PushAnswer, { kind: "none" }>,
): Promise<Outcome<string>> {
  let head: string | undefined;
  try {
    head = await backend.look(push.ref);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return { kind: "unknown", reason: `${answer.reason}; looking failed too: ${error.message}` };
  }
  if (head === push.commit) return { kind: "ok", value: push.commit };
  if (answer.denied) return { kind: "terminal", reason: answer.reason };
  // Cut off here, a push goes on there: a server that has it all still runs its hooks. And a head
  // that is neither may stand on top of ours.
  const reason = head === push.base ? answer.reason : `${push.ref} has moved on the remote`;
  return { kind: answer.sent ? "unknown" : "retryable", reason };
}
