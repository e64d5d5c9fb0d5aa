import assert from "node:assert/strict";
import { queueView } from "./queue_view.ts";
import { ago, attempt, cluster, NOW, running, status } from "./testing/build.ts";

const HOUR = 3_600_000;

Deno.test("users are told as fair share sees them: use that decays, the week, GPUs and share", () => {
  const rules = cluster(["n1"], {
    users: [
      { name: "ada", groups: [], share: 2, maxGpus: 8 },
      { name: "idle", groups: [], share: 0, gpuHoursPerWeek: 5 },
    ],
  });
  const over = attempt(1, ["n1"], {
    startedAt: ago(9 * 24 * HOUR + HOUR),
    endedAt: ago(9 * 24 * HOUR),
    end: "succeeded",
  });
  const view = queueView(rules, [
    running("a", ["n1"], {
      owner: "ada",
      attempts: [attempt(1, ["n1"], { startedAt: ago(2 * HOUR) })],
    }),
    status("b", { attempts: [over], phase: "Succeeded" }),
  ], NOW);
  const [nobody, ada, idle] = view.users;
  assert.equal(nobody?.name, "", "the jobs that name nobody");
  assert.deepEqual([nobody?.gpus, nobody?.weekGpuHours], [0, 0]);
  assert.equal(nobody?.decayedGpuHours, 0.41, "an hour, 9 days ago, with a half-life of 7");
  assert.deepEqual([ada?.gpus, ada?.share, ada?.weekGpuHours, ada?.maxGpus], [1, 2, 2, 8]);
  assert.equal(ada?.score, 1.5, "two hours and the hour ahead of one GPU, by a share of 2");
  assert.deepEqual([idle?.score, idle?.gpuHoursPerWeek], [null, 5], "everybody else is next");
});

Deno.test("queues are those of the cluster and those that jobs name", () => {
  const rules = cluster(["n1"], { queues: [{ name: "z", priority: 3, quotaGpus: 4, maxGpus: 8 }] });
  const { queues } = queueView(rules, [running("a", ["n1", "n2"], { queue: "gone" })], NOW);
  assert.deepEqual(queues, [
    { name: "gone", priority: 0, gpus: 2 },
    { name: "z", priority: 3, gpus: 0, quotaGpus: 4, maxGpus: 8 },
  ]);
});
