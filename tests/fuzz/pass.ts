/**
 * One pass over a world in which one node lies: the plan, and everything that is written of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { JOB_NAME } from "../../jobs/schema.ts";
import { parseStatus } from "../../reconciler/history.ts";
import type { PlanInput, Snapshot } from "../../reconciler/model.ts";
import { plan } from "../../reconciler/plan.ts";
import type { ReachableNode } from "../../reconciler/ports.ts";
import { commitMessage, renderJob, statusFiles } from "../../reconciler/status_files.ts";
import { attempt, job, reachable, running, status, world } from "../../reconciler/testing/build.ts";
import { assertClean } from "./hostile.ts";

/** Most bytes that one node may cause to be written at once. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Plans with this node among honest ones, and asserts that what comes of it is fit to be read. */
export function assertPass(node: ReachableNode): void {
  assertPlan(world({
    nodes: [node, reachable("n2")],
    jobs: [job("a"), job("b"), job("c", { resources: { nodes: 2 } })],
    history: [
      running("a", ["n1"]),
      status("b", { phase: "Running", attempts: [attempt(2, ["n1"])] }),
    ],
    checkpointsOf: [],
  }));
}

/** Plans, and asserts that everything that is written of it is fit to be read. */
export function assertPlan(input: PlanInput): void {
  const decided = plan(input);
  const { desired, observed, history } = input;
  const known = new Set(observed.nodes.keys());
  for (const action of decided.actions) {
    assertClean(action.because);
    if (action.kind === "launch") continue;
    assert.ok(known.has(action.node));
    assert.match(action.kind === "stop" ? action.run.job : action.job, JOB_NAME);
  }
  const view = { desired, observed, history, plan: decided };
  assertFiles(view);
  const message = commitMessage(history, decided);
  assertClean(message, true);
  assert.ok(message.length < 100_000);
}

function assertFiles(view: Snapshot): void {
  const files = statusFiles(view);
  let bytes = 0;
  for (const [path, text] of files) {
    bytes += text.length;
    assert.match(path, /^(?:README\.md|(?:cluster|queue)\.yaml|jobs\/[a-z0-9-]{1,63}\.yaml)$/);
    assertClean(text, true);
  }
  assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
  for (const one of [...view.plan.statuses.values()].slice(0, 20)) {
    assert.deepEqual(parseStatus(renderJob(one)), one);
  }
  assertDashboard(files.get("README.md") ?? "");
}

/** Asserts that a page is only ours: no markup of others, every row with its cells. */
export function assertDashboard(page: string): void {
  assertClean(page, true);
  assert.doesNotMatch(page, /<|!\[|javascript:|\bwww\.|@|\$/);
  let columns = 0;
  for (const line of page.split("\n")) {
    if (!line.startsWith("|")) columns = 0;
    else {
      const cells = line.split("|").length;
      columns ||= cells;
      assert.equal(cells, columns, line);
    }
    for (const [, target = ""] of line.matchAll(/\]\(([^)]*)\)/g)) {
      assert.match(target, /^jobs\/[a-z0-9-]+\.yaml$/);
    }
  }
}
