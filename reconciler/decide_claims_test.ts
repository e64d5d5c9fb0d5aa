/** What a node may make the controller believe about jobs that run elsewhere. */
import assert from "node:assert/strict";
import type { RunRecord } from "../jobs/run.ts";
import { plan } from "./plan.ts";
import { cluster, job, nodeSpec, reachable, run, running, world } from "./testing/build.ts";

const two = cluster([nodeSpec("n1"), nodeSpec("n2")]);

function ended(record: RunRecord): RunRecord {
  const exit = { code: 0, signal: null, reason: "exited" as const, endedAtMs: 1 };
  return { ...record, state: "exited", processes: 0, exit };
}

/** Attempt 1 of `a` is on record and runs on n1; n2 claims something else. */
function claimed(record: RunRecord) {
  return plan(world({
    jobs: [job("a")],
    history: [running("a", ["n1"])],
    cluster: two,
    nodes: [
      reachable("n1", { runs: [run("a", 1, 0, ["n1"])] }),
      reachable("n2", { runs: [record] }),
    ],
  }));
}

Deno.test("no claim of another node ends an attempt that runs as it is on record", () => {
  for (
    const record of [
      run("a", 2, 0, ["n2"]),
      run("a", 999, 0, ["n2", "n1"]),
      run("a", Number.MAX_SAFE_INTEGER, 0, ["n2"]),
      { ...run("a", 2, 0, ["n2"]), meta: { commit: "", specDigest: "", nodes: [], gpus: [] } },
      ended(run("a", 2, 0, ["n2"])),
    ]
  ) {
    const { actions, statuses } = claimed(record);
    assert.equal(statuses.get("a")?.phase, "Running");
    assert.equal(statuses.get("a")?.attempt, 1);
    assert.deepEqual(actions.filter((action) => !("node" in action) || action.node !== "n2"), []);
  }
});

/** `a` has no attempt; n2 claims to run one. */
function found(record: RunRecord, others: readonly RunRecord[] = []) {
  return plan(world({
    jobs: [job("a", { resources: { nodes: 2 } })],
    cluster: two,
    nodes: [reachable("n1", { runs: others }), reachable("n2", { runs: [record] })],
  }));
}

Deno.test("a gang counts as found when no node that answers denies its part", () => {
  const gang = ["n2", "n1"];
  const whole = found(run("a", 5, 0, gang), [run("a", 5, 1, gang)]);
  assert.equal(whole.statuses.get("a")?.phase, "Running");
  assert.deepEqual(whole.actions, []);
  const denied = found(run("a", 5, 0, gang));
  assert.deepEqual(denied.actions.map(({ kind }) => kind), ["stop"], "n1 is told nothing");
  assert.equal(denied.statuses.get("a")?.attempt, 5, "the number is used up");
});

Deno.test("a node speaks for itself only, and a number beyond reason counts for nothing", () => {
  for (const record of [run("a", 5, 0, ["n1"]), run("a", 2 ** 40, 0, ["n2"])]) {
    const { actions, statuses } = found(record);
    assert.deepEqual(actions.filter((action) => action.kind !== "stop" && "node" in action), []);
    assert.ok((statuses.get("a")?.attempt ?? 0) <= 1);
  }
});
