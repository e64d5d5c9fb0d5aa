import assert from "node:assert/strict";
import { room } from "../../reconciler/scheduling/testing.ts";
import { needsOn, workloadOf } from "./workload.ts";

const eights = [room("n1", { gpus: 8 }), room("n2", { gpus: 8 }), room("n3", { gpus: 4 })];

Deno.test("a job takes one node if one is large enough, else the fewest whole nodes", () => {
  const needOf = needsOn(eights);
  for (
    const [gpus, nodes, gpusPerNode] of [
      [1, 1, 1],
      [8, 1, 8],
      [9, 2, 8],
      [16, 2, 8],
      // No set of nodes can hold it: it will never start, and is told so by the scheduler.
      [17, 3, 8],
      [12, 2, 8],
    ] as const
  ) assert.deepEqual(needOf({ gpus }), { nodes, gpusPerNode, nodeSelector: {} }, `${gpus} GPUs`);
  // There is one node with eight only: three with four or more do.
  const mixed = needsOn([
    room("n1", { gpus: 8 }),
    room("n2", { gpus: 4 }),
    room("n3", { gpus: 4 }),
  ]);
  assert.deepEqual(mixed({ gpus: 12 }), { nodes: 3, gpusPerNode: 4, nodeSelector: {} });
});

Deno.test("a job that names its nodes is spread over them", () => {
  const need = needsOn(eights)({ gpus: 4, nodes: 2 });
  assert.deepEqual(need, { nodes: 2, gpusPerNode: 2, nodeSelector: {} });
});

Deno.test("only nodes with enough memory count", () => {
  const rooms = [room("big", { gpus: 8, memoryMiB: 24 * 1024 }), room("n2", { gpus: 2 })];
  assert.deepEqual(needsOn(rooms)({ gpus: 2, vramGb: 40 }).nodes, 1);
  assert.deepEqual(needsOn(rooms)({ gpus: 4, vramGb: 40 }).gpusPerNode, 2);
});

Deno.test("equal needs are one object, and jobs stand in the order of submission", () => {
  const row = { durationSeconds: 60, gpus: 1, user: "", priority: 0 };
  const jobs = workloadOf(
    [{ ...row, submitSeconds: 9 }, { ...row, submitSeconds: 0.5 }],
    eights,
    "none",
  );
  assert.deepEqual(jobs.map((job) => [job.name, job.submitMs]), [["job-1", 500], ["job-2", 9000]]);
  assert.equal(jobs[0]?.need, jobs[1]?.need);
});

Deno.test("the scheduler knows of a length what people write, the truth, or nothing", () => {
  const known = (seconds: number, estimates: "rounded" | "exact" | "none") => {
    const row = { submitSeconds: 0, durationSeconds: seconds, gpus: 1, user: "", priority: 0 };
    return workloadOf([row], eights, estimates)[0]?.length;
  };
  const HOUR = 3600;
  for (
    const [seconds, written] of [
      [1, HOUR / 4],
      [HOUR / 4, HOUR / 4],
      [HOUR / 4 + 1, HOUR],
      [13 * HOUR, 24 * HOUR],
      [8 * 24 * HOUR, 720 * HOUR],
      [721 * HOUR, 1440 * HOUR],
    ] as const
  ) assert.deepEqual(known(seconds, "rounded"), { ms: written * 1000, basis: "limit" });
  assert.deepEqual(known(77, "exact"), { ms: 77_000, basis: "limit" });
  assert.equal(known(77, "none"), undefined);
});
