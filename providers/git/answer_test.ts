import assert from "node:assert/strict";
import { noAnswer, readAnswer } from "./answer.ts";
import { GitError } from "./error.ts";

const A = "a".repeat(40);

Deno.test("git push's answers are told apart", () => {
  const answer = (line: string, stderr = "") =>
    readAnswer({
      ending: "exited",
      code: 1,
      stdout: new TextEncoder().encode(`To x\n${line}\nDone\n`),
      stderr,
    }, "refs/heads/s");
  const kind = (line: string) => {
    const told = answer(line);
    return told?.kind === "refused" ? { passing: told.passing } : told?.kind;
  };
  assert.equal(kind(` \t${A}:refs/heads/s\ta..b`), "accepted");
  assert.equal(kind(`*\t${A}:refs/heads/s\t[new branch]`), "accepted");
  assert.equal(kind(`=\t${A}:refs/heads/s\t[up to date]`), "accepted");
  assert.equal(kind(`!\t${A}:refs/heads/s\t[rejected] (stale info)`), "moved");
  for (const because of ["incorrect old value provided", "unpacker error"]) {
    const told = kind(`!\t${A}:refs/heads/s\t[remote rejected] (${because})`);
    assert.deepEqual(told, { passing: true }, because);
  }
  assert.equal(
    kind(`!\t${A}:refs/heads/s\t[remote failure] (remote failed to report status)`),
    undefined,
  );
  assert.equal(kind(` \t${A}:refs/heads/other\ta..b`), undefined);
  assert.deepEqual(
    answer(
      `!\t${A}:refs/heads/s\t[remote rejected] (pre-receive hook declined)`,
      "remote: no entry \nremote: ask Bob\n",
    ),
    {
      kind: "refused",
      passing: false,
      reason: "the remote refuses pushes to refs/heads/s: pre-receive hook declined: " +
        "no entry; ask Bob",
    },
  );
});

Deno.test("a push without an answer has been sent, unless it is plain that it was not", () => {
  const told = (stderr: string, ending: "exited" | "timeout" = "exited") => {
    const result = { ending, code: 128, stdout: new Uint8Array(), stderr };
    const answer = noAnswer(result, new GitError("Cannot push", true));
    return answer.kind === "none" ? [answer.sent, answer.denied] : answer;
  };
  assert.deepEqual(told("ssh: connect to host x port 22: Connection refused"), [false, false]);
  assert.deepEqual(told("fatal: could not resolve host: x"), [false, false]);
  assert.deepEqual(told("git@x: Permission denied (publickey)."), [false, true]);
  const away =
    "fatal: '/x' does not appear to be a git repository\nPlease make sure you have the " +
    "correct access rights and the repository exists.";
  assert.deepEqual(told(away), [false, false], "a repository that is away comes back");
  assert.deepEqual(told("fatal: the remote end hung up unexpectedly"), [true, false]);
  assert.deepEqual(told("error: RPC failed; HTTP 504"), [true, false]);
  assert.deepEqual(told("", "timeout"), [true, false]);
  assert.deepEqual(told("Connection refused", "timeout"), [true, false]);
});
