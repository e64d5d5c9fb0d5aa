import assert from "node:assert/strict";
import type { Dependency } from "../jobs/job.ts";
import { type JobStatus, type Phase, PHASES } from "../jobs/status.ts";
import { gateOf, type Look } from "./gates.ts";
import { job, NOW, status } from "./testing/build.ts";

/** The other jobs; all are desired but those that are named as gone. */
function look(others: readonly JobStatus[] = [], changes: Partial<Look> = {}): Look {
  return {
    phaseOf: (name) => others.find((s) => s.name === name),
    childrenOf: (parent) => others.filter((s) => s.parent === parent),
    isDesired: (name) => others.some((s) => s.name === name && s.reason !== "ManifestDeleted"),
    runningOf: () => 0,
    now: NOW,
    ...changes,
  };
}

const on = (name: string, when: Dependency["when"] = "success"): Dependency => ({
  job: name,
  when,
});
const at = (name: string, phase: Phase, parent?: string) =>
  status(name, { phase, reason: phase, ...(parent ? { parent } : {}) });
const after = (...dependencies: Dependency[]) => job("train", { after: dependencies });

Deno.test("a job without conditions has no gate", () => {
  assert.equal(gateOf(job("a"), look()), undefined);
});

Deno.test("startAfter holds until its time has come, and says when to look again", () => {
  const soon = job("a", { startAfterMs: NOW + 5000 });
  assert.deepEqual(gateOf(soon, look()), {
    reason: "NotBefore",
    message: "`startAfter` is 2026-01-01T12:00:05.000Z",
    wakeAtMs: NOW + 5000,
  });
  assert.equal(gateOf(soon, look([], { now: NOW + 5000 })), undefined);
});

Deno.test("each way of depending, in each phase of the other job", () => {
  const table: Record<Dependency["when"], Partial<Record<Phase, string>>> = {
    success: {
      Succeeded: "open",
      Failed: "DependencyNeverSatisfied",
      Cancelled: "DependencyNeverSatisfied",
    },
    failure: {
      Succeeded: "DependencyNeverSatisfied",
      Failed: "open",
      Cancelled: "DependencyNeverSatisfied",
    },
    any: { Succeeded: "open", Failed: "open", Cancelled: "open" },
  };
  for (const when of ["success", "failure", "any"] as const) {
    for (const phase of PHASES) {
      const gate = gateOf(after(on("prep", when)), look([at("prep", phase)]));
      const want = table[when][phase] ?? "Dependency";
      assert.equal(gate?.reason ?? "open", want, `${when}, ${phase}`);
    }
  }
});

Deno.test("the words say what is waited for, and what to do when it cannot come", () => {
  const words = (dependency: Dependency, ...others: JobStatus[]) =>
    gateOf(after(dependency), look(others))?.message;
  assert.equal(words(on("prep"), at("prep", "Running")), "waits for prep to succeed");
  assert.equal(words(on("prep", "failure"), at("prep", "Unknown")), "waits for prep to fail");
  assert.equal(words(on("prep", "any"), at("prep", "Suspended")), "waits for prep to end");
  assert.equal(
    words(on("prep"), at("prep", "Failed")),
    "prep failed; it waits until prep is run again and succeeds, or `after:` is changed",
  );
  assert.equal(
    words(on("prep", "failure"), at("prep", "Cancelled")),
    "prep was cancelled; it waits until prep is run again and fails, or `after:` is changed",
  );
});

Deno.test("a job that is not there is waited for, deleted ones included", () => {
  const gone = status("prep", { phase: "Succeeded", reason: "ManifestDeleted" });
  for (const others of [[], [gone]]) {
    assert.deepEqual(gateOf(after(on("prep")), look(others)), {
      reason: "Dependency",
      message: "no job is named prep yet",
    });
  }
});

Deno.test("a job that has just been pushed, or is back, has not ended yet", () => {
  const gone = status("prep", { phase: "Succeeded", reason: "ManifestDeleted" });
  for (const others of [[], [gone]]) {
    const gate = gateOf(after(on("prep")), look(others, { isDesired: () => true }));
    assert.equal(gate?.message, "waits for prep to succeed");
  }
});

Deno.test("a job whose manifest is broken now is not taken for absent", () => {
  const others = [at("prep", "Succeeded")];
  assert.equal(gateOf(after(on("prep")), look(others, { isDesired: () => false })), undefined);
  const broken = [at("prep", "Invalid")];
  const gate = gateOf(after(on("prep")), look(broken, { isDesired: () => false }));
  assert.equal(gate?.message, "waits for prep to succeed");
});

Deno.test("a parent stands for all of its jobs, and for at least one", () => {
  const sweep = after(on("sweep"));
  const done = at("sweep-1", "Succeeded", "sweep");
  const runs = at("sweep-2", "Running", "sweep");
  const failed = at("sweep-3", "Failed", "sweep");
  assert.equal(gateOf(sweep, look())?.message, "no job is named sweep yet");
  assert.equal(gateOf(sweep, look([done])), undefined);
  assert.equal(
    gateOf(sweep, look([done, runs]))?.message,
    "waits for all jobs of sweep to succeed",
  );
  assert.equal(gateOf(sweep, look([failed, done, runs]))?.reason, "DependencyNeverSatisfied");
  assert.equal(gateOf(after(on("sweep", "any")), look([done, failed])), undefined);
});

Deno.test("a job of the parent that was deleted counts no longer", () => {
  const done = at("sweep-1", "Succeeded", "sweep");
  const gone = status("sweep-2", {
    phase: "Cancelled",
    reason: "ManifestDeleted",
    parent: "sweep",
  });
  assert.equal(gateOf(after(on("sweep")), look([done, gone])), undefined);
});

Deno.test("a schedule stands for its runs, not for itself, which never ends", () => {
  const template = status("nightly", { reason: "Scheduled" });
  const run = at("nightly-20260101-0300", "Succeeded", "nightly");
  assert.equal(gateOf(after(on("nightly")), look([template]))?.reason, "Dependency");
  assert.equal(gateOf(after(on("nightly")), look([template, run])), undefined);
});

Deno.test("all dependencies count, and the one that never comes is told first", () => {
  const both = after(on("a"), on("b"));
  const a = at("a", "Running");
  assert.equal(
    gateOf(both, look([a, at("b", "Succeeded")]))?.message,
    "waits for a to succeed",
  );
  assert.equal(gateOf(both, look([a, at("b", "Failed")]))?.reason, "DependencyNeverSatisfied");
  const late = job("train", { after: [on("b")], startAfterMs: NOW + 1 });
  assert.equal(gateOf(late, look([at("b", "Failed")]))?.reason, "DependencyNeverSatisfied");
  assert.equal(gateOf(late, look([at("b", "Running")]))?.reason, "NotBefore");
});

Deno.test("maxParallel lets in as many of a parent as it says", () => {
  const child = job("sweep-3", { parent: "sweep", maxParallel: 2 });
  const asked: string[] = [];
  const running = (count: number) =>
    look([], { runningOf: (parent) => (asked.push(parent), count) });
  assert.equal(gateOf(child, running(1)), undefined);
  assert.deepEqual(gateOf(child, running(2)), {
    reason: "ArrayLimit",
    message: "as many jobs of sweep run, or are next, as `maxParallel: 2` allows",
  });
  assert.deepEqual(asked, ["sweep", "sweep"]);
});

Deno.test("maxParallel is asked anew each time, for jobs are placed in between", () => {
  const child = job("sweep-3", { parent: "sweep", maxParallel: 1 });
  let count = 0;
  const seen = look([], { runningOf: () => count });
  assert.equal(gateOf(child, seen), undefined);
  count = 1;
  assert.equal(gateOf(child, seen)?.reason, "ArrayLimit");
});

Deno.test("`after` is asked before the first start only; maxParallel and startAfter each time", () => {
  const child = { parent: "sweep", maxParallel: 1, after: [on("prep")] };
  const gone = look([], { runningOf: () => 0 });
  assert.equal(gateOf(job("s", child), gone)?.reason, "Dependency");
  assert.equal(gateOf(job("s", child), gone, true), undefined);
  assert.equal(
    gateOf(job("s", child), look([], { runningOf: () => 1 }), true)?.reason,
    "ArrayLimit",
  );
  const late = job("s", { ...child, startAfterMs: NOW + 1 });
  assert.equal(gateOf(late, gone, true)?.reason, "NotBefore");
});

Deno.test("many jobs that wait for the same many go through them once", () => {
  const children = Array.from({ length: 1000 }, (_, i) => at(`s-${i}`, "Succeeded", "s"));
  let asked = 0;
  const seen = look(children, { childrenOf: () => (asked++, children), isDesired: () => true });
  for (let i = 0; i < 1000; i++) assert.equal(gateOf(after(on("s")), seen), undefined);
  assert.equal(asked, 1);
});
