import assert from "node:assert/strict";
import { plan } from "./plan.ts";
import { ago, attempt, gpu, job, reachable, status, world } from "./testing/build.ts";

/** A card of 12 GB on n1, and one of 80 GB on n2. */
const CARDS = [
  reachable("n1", { gpus: [{ ...gpu("n1"), model: "RTX 3060", memoryTotalMiB: 12_288 }] }),
  reachable("n2"),
];

Deno.test("a job goes where its memory will probably do, although both cards suit on paper", () => {
  const small = plan(world({ jobs: [job("a", { estimatedGb: 8 })], nodes: CARDS }));
  const large = plan(world({ jobs: [job("a", { estimatedGb: 28 })], nodes: CARDS }));
  const where = (p: typeof small) => p.statuses.get("a")?.attempts[0]?.placement[0]?.node;
  assert.deepEqual([where(small), where(large)], ["n1", "n2"]);
  assert.deepEqual(large.statuses.get("a")?.conditions, []);
});

Deno.test("where there is no other card it is launched, and its status says that it may not fit", () => {
  const result = plan(world({ jobs: [job("a", { estimatedGb: 28 })], nodes: CARDS.slice(0, 1) }));
  const [condition] = result.statuses.get("a")?.conditions ?? [];
  assert.deepEqual([condition?.type, condition?.reason], ["MemoryRisk", "MayNotFit"]);
  assert.match(condition?.message ?? "", /about 28 GB of each GPU; the GPUs chosen have 12 GB/);
  assert.equal(result.actions.length, 1);
});

Deno.test("what earlier attempts used counts more than what was declared", () => {
  const used = attempt(1, ["n2"], {
    startedAt: ago(9000),
    endedAt: ago(1000),
    end: "succeeded",
    peakMiB: 10 * 1024,
  });
  const before = status("a", { phase: "Succeeded", attempt: 1, attempts: [used] });
  const result = plan(world({
    jobs: [job("a", { estimatedGb: 28, rerun: 1 })],
    history: [before],
    nodes: CARDS.slice(0, 1),
    checkpointsOf: ["a"],
  }));
  assert.deepEqual(result.statuses.get("a")?.conditions, []);
});
