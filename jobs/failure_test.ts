import assert from "node:assert/strict";
import { cleanText, countsAsRetry, diagnose, isTerminal } from "./failure.ts";
import type { RunError, RunExit, RunRecord } from "./run.ts";

function ended(rank: number, exit: Partial<RunExit>, changes: Partial<RunRecord> = {}) {
  const run: RunRecord = {
    job: "a",
    attempt: 1,
    rank,
    state: "exited",
    epoch: 1,
    meta: { commit: "c", specDigest: "d", nodes: ["n0", "n1"], gpus: [[], []] },
    gpus: [],
    masterPort: 1,
    createdAtMs: 0,
    startedAtMs: 0,
    bootId: "b",
    processes: 0,
    stop: null,
    exit: { code: 1, signal: null, reason: "exited", endedAtMs: 100, ...exit },
    error: null,
    ...changes,
  };
  return { node: `n${rank}`, run };
}

function error(message: string, timestampMs: number, source: RunError["source"] = "error-file") {
  return { error: { rank: null, message, timestampMs, source } };
}

Deno.test("the earliest error file is the root, whichever rank ended first", () => {
  const failure = diagnose([
    ended(0, { endedAtMs: 10 }, error("RuntimeError: peer", 60)),
    ended(1, { endedAtMs: 20 }, error("ValueError: the root", 50)),
  ]);
  assert.deepEqual(failure, {
    class: "exit-code",
    node: "n1",
    rank: 1,
    message: "ValueError: the root",
  });
});

Deno.test("an error file counts more than a log, and a log more than an exit code", () => {
  const file = ended(1, {}, error("file", 90));
  const log = ended(0, {}, error("log", 10, "log"));
  assert.equal(diagnose([log, file])?.message, "file");
  assert.equal(diagnose([ended(1, { endedAtMs: 1 }), log])?.message, "log");
});

Deno.test("ranks that were told to stop are symptoms, unless there is nothing else", () => {
  const stop = { reason: "x", requestedAtMs: 1, graceMs: 1 };
  const told = ended(0, { endedAtMs: 1 }, { stop });
  assert.equal(diagnose([told, ended(1, { endedAtMs: 9 })])?.node, "n1");
  assert.equal(diagnose([told])?.node, "n0");
  assert.equal(diagnose([]), undefined);
});

Deno.test("how a run ended decides its class", () => {
  const classOf = (...given: Parameters<typeof ended>) => diagnose([ended(...given)])?.class;
  assert.equal(classOf(0, {}), "exit-code");
  assert.equal(classOf(0, { code: null, signal: 9 }), "killed");
  assert.equal(classOf(0, { code: null, reason: "start-failed" }), "start-failed");
  const startFailed = (message: string) =>
    classOf(0, { code: null, reason: "start-failed", message });
  assert.equal(startFailed("Cannot start: [Errno 28] No space left on device"), "disk-full");
  assert.equal(startFailed("Cannot start: /x cannot be made: [Errno 5] I/O"), "node-trouble");
  assert.equal(startFailed("Cannot start: [Errno 2] No such file: 'train'"), "start-failed");
  assert.equal(classOf(0, { code: null, reason: "lost" }), "supervisor-lost");
  assert.equal(classOf(0, {}, { state: "lost", exit: null }), "supervisor-lost");
});

Deno.test("an empty error is told as the exit code, not as nothing", () => {
  const silent = ended(0, { code: 3 }, error(" \n", 5, "log"));
  assert.equal(
    diagnose([silent])?.message,
    "the agent ended with exit code 3 and printed no error",
  );
  const none = ended(0, { code: 3 });
  assert.equal(diagnose([none])?.message, "the agent ended with exit code 3");
});

Deno.test("ties go to the lowest rank, in whatever order the runs come", () => {
  const runs = [ended(0, {}), ended(1, {})];
  assert.equal(diagnose(runs)?.rank, 0);
  assert.equal(diagnose(runs.toReversed())?.rank, 0);
});

Deno.test("what cannot get better is terminal, and what is not the job's fault costs no retry", () => {
  for (const name of ["start-failed", "launch-refused", "max-duration", "deadline", "idle"]) {
    assert.ok(isTerminal({ class: name, message: "" }));
  }
  for (const name of ["node-lost", "gpu-busy"]) {
    assert.ok(!countsAsRetry({ class: name, message: "" }));
  }
  assert.ok(countsAsRetry({ class: "exit-code", message: "" }));
});

Deno.test("messages are bounded, and hold no control characters but tabs and lines", () => {
  assert.equal(cleanText("a\u0000b\u001b[31mc\u202ed\te\nf"), "a�b�[31mc�d\te\nf");
  assert.equal(cleanText("x".repeat(5000)).length, 2000);
});
