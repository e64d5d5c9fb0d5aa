import assert from "node:assert/strict";
import { plan } from "./plan.ts";
import {
  attempt,
  job,
  reachable,
  run,
  running,
  status,
  STOPPED,
  type World,
  world,
} from "./testing/build.ts";

const NAMES = ["a", "b", "c", "d"];
const nodes = NAMES.map((name) =>
  reachable(`n-${name}`, { runs: [run(name, 1, 0, [`n-${name}`])] })
);
const history = NAMES.map((name) => running(name, [`n-${name}`]));

function stopped(given: Omit<World, "nodes">, at = nodes): string[] {
  const result = plan(world({ nodes: at, history, ...given }));
  return result.actions.flatMap((a) => a.kind === "stop" ? [a.run.job] : []);
}

Deno.test("deleting more running jobs than allowed stops none of them, and says why", () => {
  const given = { jobs: [job("a")], policy: { maxStopsPerPass: 2 } };
  assert.deepEqual(stopped(given), []);
  const result = plan(world({ nodes, history, ...given }));
  assert.match(result.held[0] ?? "", /^3 running jobs have no manifest any more \(b, c, d…\)/);
  const held = result.statuses.get("b")?.conditions[0];
  assert.deepEqual([held?.type, held?.status, held?.message], ["StopHeld", "True", result.held[0]]);
});

Deno.test("deleting as many as allowed stops them", () => {
  assert.deepEqual(stopped({ jobs: [job("a")], policy: { maxStopsPerPass: 3 } }), ["b", "c", "d"]);
});

Deno.test("a branch without any job file stops nothing when several jobs run", () => {
  assert.deepEqual(stopped({ policy: { maxStopsPerPass: 100 } }), []);
});

Deno.test("the last job file may be deleted while one job runs", () => {
  const one = { nodes: nodes.slice(0, 1), history: history.slice(0, 1) };
  const result = plan(world(one));
  assert.deepEqual(result.actions.map((a) => a.kind), ["stop"]);
});

Deno.test("deletions that were begun before do not count again", () => {
  const begun = history.map((s) =>
    s.name === "b" || s.name === "c" ? { ...s, reason: "Stopping" } : s
  );
  const at = nodes.map((node, i) =>
    i === 1 || i === 2
      ? {
        ...node,
        runs: node.runs.map((r) => ({ ...r, state: "stopping" as const, stop: STOPPED })),
      }
      : node
  );
  const given = { jobs: [job("a")], history: begun, policy: { maxStopsPerPass: 1 } };
  assert.deepEqual(stopped(given, at), ["d"]);
});

Deno.test("a job whose manifest broke and then vanished counts as running", () => {
  const invalid = history.map((s) => ({ ...s, phase: "Invalid" as const }));
  const given = { jobs: [job("a")], history: invalid, policy: { maxStopsPerPass: 2 } };
  assert.deepEqual(stopped(given), []);
});

Deno.test("runs that neither branch knows count too: the status branch may be gone with the manifests", () => {
  const given = { jobs: [job("x")], history: [], lost: true, policy: { maxStopsPerPass: 2 } };
  assert.deepEqual(stopped(given), []);
});

Deno.test("changes that stop many jobs go in portions, always the same ones", () => {
  const jobs = NAMES.map((name) => job(name, { specDigest: "d2" }));
  const given = { jobs, policy: { maxStopsPerPass: 2 } };
  assert.deepEqual(stopped(given), ["a", "b"]);
  const result = plan(world({ nodes, history, ...given }));
  assert.match(result.statuses.get("c")?.conditions[0]?.message ?? "", /waits its turn/);
  assert.deepEqual(stopped({ ...given, history: history.toReversed() }), ["a", "b"]);
});

Deno.test("a stop that is held back adds no rank to the gang either", () => {
  const gang = ["n1", "n2"];
  const before = status("a", { phase: "Launching", attempts: [attempt(1, gang)] });
  const result = plan(world({
    jobs: [job("a", { specDigest: "d2", resources: { nodes: 2 } })],
    history: [before],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, gang)] }), reachable("n2")],
    policy: { maxStopsPerPass: 0 },
  }));
  assert.deepEqual(result.actions, []);
});
