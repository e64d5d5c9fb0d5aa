import assert from "node:assert/strict";
import type { Eviction, JobStatus } from "../jobs/status.ts";
import type { History, Plan, Snapshot } from "./model.ts";
import { plan } from "./plan.ts";
import { commitMessage, statusFiles } from "./status_files.ts";
import {
  ago,
  attempt,
  broken,
  cluster,
  job,
  nodeSpec,
  NOW,
  reachable,
  run,
  running,
  status,
  unknown,
  type World,
  world,
} from "./testing/build.ts";

function snapshot(given: World): Snapshot {
  const input = world(given);
  return { ...input, plan: plan(input) };
}

/** The message of the commit that turns some statuses into others. */
function between(old: readonly JobStatus[], next: readonly JobStatus[]): string {
  const byName = (all: readonly JobStatus[]) => new Map(all.map((one) => [one.name, one]));
  const { history, plan } = snapshot({ jobs: [], nodes: [] });
  const before: History = { ...history, jobs: byName(old) };
  const after: Plan = { ...plan, statuses: byName(next) };
  return commitMessage(before, after);
}

const evicted = (by?: string): Eviction => ({
  reason: by === undefined ? "Resized" : "Reclaimed",
  ...(by === undefined ? {} : { by }),
  message: "the queue production takes back its quota",
  at: ago(0),
});

Deno.test("a commit that records an eviction names who makes room, for whom and why", () => {
  const old = running("gr4", ["n1"]);
  const next = { ...old, attempts: [attempt(1, ["n1"], { evicted: evicted("pr1") })] };
  const text = "makes room for pr1 (Reclaimed)";
  const why = "the queue production takes back its quota";
  assert.equal(between([old], [next]), `gr4: ${text}: ${why}\n\ngr4: ${text}: ${why}\n`);
  const waits = status("pr1", { reason: "Preempting", message: "others save" });
  const both = between([old, status("pr1")], [waits, next]).split("\n");
  assert.equal(both[0], `2 jobs: gr4 ${text}, pr1 Pending`);
  assert.match(both[3] ?? "", /^pr1: Pending -> Pending \(Preempting\)/);
});

Deno.test("an eviction for nobody's sake is told as well, and the end of one says what it was", () => {
  const old = running("el", ["n1"]);
  const resized = { ...old, attempts: [attempt(1, ["n1"], { evicted: evicted() })] };
  assert.match(between([old], [resized]), /^el: asked to save \(Resized\): /);
  const asked = { ...old, attempts: [attempt(1, ["n1"], { evicted: evicted("pr1") })] };
  const ended = status("el", {
    reason: "Resources",
    message: "not enough are free",
    attempt: 1,
    attempts: [attempt(1, ["n1"], { evicted: evicted("pr1"), end: "evicted" })],
  });
  assert.match(
    between([asked], [ended]),
    /^el: Running -> Pending \(Resources\): attempt 1 made room for pr1 \(Reclaimed\); not enough/m,
  );
});

Deno.test("a manifest that breaks when its job is over is news, and so is its repair", () => {
  const done = status("el", { phase: "Failed", attempt: 1 });
  const view = snapshot({
    jobs: [],
    nodes: [reachable("n1")],
    history: [done],
    invalid: { el: broken("jobs/el.yaml") },
  });
  const next = view.plan.statuses.get("el") as JobStatus;
  assert.match(
    commitMessage(view.history, view.plan),
    /^el: its manifest has problems: jobs\/el\.yaml:1: `nodes` must be a number\n\nel: its/,
  );
  assert.match(between([next], [done]), /^el: its manifest is in order again\n/);
});

Deno.test("what people change of a job that stays as it is, and its conditions, are told", () => {
  const old = status("a");
  const next = { ...old, priority: 100, queue: "day", owner: "ada" };
  assert.match(between([old], [next]), /^1 job: a belongs to ada now, .* day now, .* 0 -> 100\n/);
  const condition = { status: "True" as const, reason: "Low", message: "GPUs idle", since: ago(0) };
  const idle = { ...old, conditions: [{ type: "Idle", ...condition }] };
  assert.match(between([old], [idle]), /^a: Idle: GPUs idle\n/);
  assert.match(between([idle], [old]), /^a: no longer Idle\n/);
  const reworded = { ...old, message: "waits for n2" };
  assert.match(between([old], [reworded]), /^a: Pending, waits for n2\n\na: Pending -> Pending/);
});

const nodes = [reachable("n1", { runs: [run("d1", 1, 0, ["n1"])] }), reachable("n2")];

/** The message between the files of two looks at the world. */
function pushed(before: Partial<World>, after: Partial<World>): string {
  const base: World = { jobs: [job("d1")], history: [running("d1", ["n1"])], nodes };
  const old = snapshot({ ...base, ...before });
  const now = snapshot({ ...base, ...after });
  return commitMessage(now.history, now.plan, {
    before: statusFiles(old),
    after: statusFiles(now),
  });
}

Deno.test("a cordon, its end, and a drain are told with who must go", () => {
  const cordoned = { reason: "new driver", untilMs: NOW + 60_000 };
  const open = { cluster: cluster(["n1", "n2"]) };
  const closed = { cluster: cluster(["n1", nodeSpec("n2", { cordoned })]) };
  const text = "n2: cordoned until 2026-01-01T12:01:00.000Z: new driver";
  assert.equal(pushed(open, closed), `${text}\n\n${text}\n`);
  assert.equal(pushed(closed, open), "n2: no longer cordoned\n\nn2: no longer cordoned\n");
  const drain = { reason: "smells burnt", drain: true };
  const drained = { cluster: cluster([nodeSpec("n1", { cordoned: drain }), "n2"]) };
  assert.match(
    pushed(open, drained),
    /^n1: cordoned, drained: smells burnt; d1: asked to save \(Drained\): .*\n\nn1: .*\nd1: asked/,
  );
});

Deno.test("nodes that come, go or fall silent are told; what the first look finds is not", () => {
  const two = { cluster: cluster(["n1", "n2"]) };
  assert.match(pushed({ cluster: cluster(["n1"]) }, two), /^n2: is new, reachable\n/);
  assert.match(pushed(two, { cluster: cluster(["n1"]) }), /^n2: left the cluster\n/);
  const away = { ...two, nodes: [...nodes.slice(0, 1), unknown("n2")] };
  assert.match(pushed(two, away), /^n2: unknown: no answer\n/);
  const { history, plan } = snapshot({ jobs: [], nodes: [] });
  const text = commitMessage(history, plan, { before: undefined, after: new Map() });
  assert.equal(text, "cluster: update\n");
});

Deno.test("a commit without news names the files that it changes", () => {
  const { history, plan } = snapshot({ jobs: [], nodes: [] });
  const before = new Map([["queue.yaml", "a"], ["README.md", "b"], ["cluster.yaml", "c"]]);
  const after = new Map([...before, ["queue.yaml", "x"]]);
  const text = commitMessage(history, plan, { before, after });
  assert.match(text, /^queue: .*\n\nchanged: queue\.yaml\n$/);
});
