import assert from "node:assert/strict";
import { renderJob } from "../../reconciler/status_files.ts";
import type { Attempt, JobStatus } from "../../jobs/status.ts";
import { heldBy, liveAttempt, readStatus } from "./told.ts";

const T = "2026-01-01T00:00:00.000Z";

const ATTEMPT: Attempt = {
  attempt: 2,
  commit: "1234567890",
  specDigest: "d",
  codeDigest: null,
  placement: [{ node: "n1", gpus: ["GPU-1"], share: 0.5 }, { node: "n2", gpus: ["GPU-2"] }],
  because: "found on the nodes",
  recordedAt: T,
  evicted: { reason: "Preempted", by: "job-2", message: "x: y", at: T },
};

const STATUS: JobStatus = {
  name: "job-1",
  file: "jobs/job-1.yaml",
  commit: "c",
  specDigest: "d",
  owner: "ada",
  queue: "fast",
  priority: -3,
  phase: "Pending",
  reason: "Resources",
  message: "needs 2 GPUs; not enough are free",
  since: T,
  submittedAt: T,
  attempt: 2,
  retries: 1,
  rerun: 0,
  conditions: [{ type: "Idle", status: "True", reason: "LowUtilisation", message: "m", since: T }],
  attempts: [{ ...ATTEMPT, attempt: 1, end: "node-lost", endedAt: T }, ATTEMPT],
};

Deno.test("the oracle reads what UGRO writes", () => {
  const told = readStatus(renderJob(STATUS));
  const { phase, reason, queue, owner, priority, retries, submittedAtMs } = told;
  assert.deepEqual(
    { phase, reason, queue, owner, priority, retries, submittedAtMs },
    {
      ...{ phase: "Pending", reason: "Resources", queue: "fast", owner: "ada", priority: -3 },
      ...{ retries: 1, submittedAtMs: Date.parse(T) },
    },
  );
  assert.deepEqual(told.attempts.map(({ attempt, end }) => [attempt, end]), [
    [1, "node-lost"],
    [2, undefined],
  ]);
  const live = liveAttempt(told);
  assert.ok(live);
  assert.equal(live.commit, "1234567890");
  assert.equal(live.found, true);
  assert.deepEqual(live.evicted, { reason: "Preempted", by: "job-2", atMs: Date.parse(T) });
  assert.deepEqual(live.placed, [
    { node: "n1", gpus: ["GPU-1"], share: 0.5 },
    { node: "n2", gpus: ["GPU-2"], share: 1 },
  ]);
  assert.equal(heldBy(live), 1.5);
});
