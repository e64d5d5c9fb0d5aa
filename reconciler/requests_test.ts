import assert from "node:assert/strict";
import { holdingsOf } from "./requests.ts";
import { ago, attempt, job, reachable, run, running, world } from "./testing/build.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";

const EVICTED = { reason: "Preempted" as const, by: "b", message: "b goes first", at: ago(20_000) };

function holdingOf(changes: Partial<JobStatus>) {
  const status = running("a", ["n1"], changes);
  const input = world({
    jobs: [job("a", { graceMs: 10_000 })],
    history: [status],
    nodes: [reachable("n1", { runs: [run("a", status.attempt, 0, ["n1"])] })],
  });
  return holdingsOf(input, [status], () => [])[0];
}

const evictedAt = (ms: number, changes: Partial<Attempt> = {}) =>
  attempt(1, ["n1"], { startedAt: ago(9e6), evicted: { ...EVICTED, at: ago(ms) }, ...changes });

Deno.test("a job that is asked to stop is expected to go, but not for ever", () => {
  const soon = holdingOf({ attempts: [evictedAt(20_000)] });
  assert.deepEqual([soon?.leaving, soon?.fixed], [true, true]);
  // Stuck in the driver: whoever waits for room looks for others.
  const stuck = holdingOf({ attempts: [evictedAt(311_000)] });
  assert.deepEqual([stuck?.leaving, stuck?.fixed], [false, true]);
});

Deno.test("a job that was stopped to grow and has not grown is not stopped for that again", () => {
  const { by: _, ...alone } = { ...EVICTED, reason: "Resized" as const };
  const grown = (nodes: readonly string[]) =>
    holdingOf({
      attempt: 2,
      attempts: [
        attempt(1, ["n1"], { evicted: alone, end: "evicted", endedAt: ago(10_000) }),
        attempt(2, nodes, { startedAt: ago(9000) }),
      ],
    })?.grewInVain;
  assert.deepEqual([grown(["n1"]), grown(["n1", "n2"])], [true, undefined]);
});
