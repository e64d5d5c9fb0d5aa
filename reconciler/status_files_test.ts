import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { cell } from "./dashboard.ts";
import { parseStatus } from "./history.ts";
import type { Snapshot } from "./model.ts";
import { plan } from "./plan.ts";
import { commitMessage, KEPT_TOMBSTONES, renderJob, statusFiles } from "./status_files.ts";
import {
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

Deno.test("text from outside is inert in the dashboard: no HTML, no links, no table cells, no lines", () => {
  const evil = "<img src=x onerror=alert(1)> | [x](http://evil) \n| `b` *c* @team #1 \u202e &lt;";
  const text = cell(evil);
  assert.doesNotMatch(text, /[<>|[\]`*@\n\u202e]/);
  const view = snapshot({
    jobs: [job("a")],
    nodes: [{ ...unknown("n1"), reason: evil }],
    invalid: { b: broken("jobs/b|<b>.yaml", evil) },
    cluster: cluster([nodeSpec("n1", { cordoned: { reason: evil } })], { name: evil }),
  });
  const page = statusFiles(view).get("README.md") ?? "";
  assert.doesNotMatch(page, /<img|<b>|\]\(http|\u202e/);
  for (const line of page.split("\n").filter((l) => l.startsWith("| n1"))) {
    assert.equal(line.split("|").length, 7, "the row has its five cells");
  }
});

Deno.test("a cell is inert whatever it is given", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
    assert.doesNotMatch(cell(text), /[<>|\n\r[\]`\\]/);
  }));
});

Deno.test("the same input gives the same bytes, whatever the order of its maps", () => {
  const given = {
    jobs: [job("a"), job("b"), job("c", { resources: { nodes: 3 } })],
    history: [running("a", ["n1"])],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] }), unknown("n2")],
  };
  const one = statusFiles(snapshot(given));
  const other = snapshot({ ...given, jobs: given.jobs.toReversed() });
  const reversed = new Map([...other.plan.statuses].reverse());
  const two = statusFiles({ ...other, plan: { ...other.plan, statuses: reversed } });
  assert.deepEqual([...two].sort(), [...one].sort());
});

Deno.test("nothing in the files moves with the time or with live numbers", () => {
  const given = (now: number, used: number): World => ({
    jobs: [job("a"), job("b")],
    history: [
      running("a", ["n1"]),
      status("b", {
        reason: "Resources",
        message: "needs 1 node(s) with 1 GPU(s); not enough are free",
      }),
    ],
    nodes: [
      reachable("n1", {
        runs: [run("a", 1, 0, ["n1"])],
        gpus: [{
          uuid: "GPU-n1-0",
          index: 0,
          model: "H100",
          memoryTotalMiB: 80_000,
          memoryUsedMiB: used,
          utilisationPct: used % 100,
          temperatureC: 50,
          powerW: used,
          eccUncorrected: 0,
          processes: [],
        }],
      }),
    ],
    now,
  });
  const early = statusFiles(snapshot(given(NOW, 30_000)));
  const late = statusFiles(snapshot(given(NOW + 3_600_000, 31_234)));
  assert.deepEqual(late, early);
});

const text = fc.string({ unit: "binary", maxLength: 80 });

Deno.test("a status is read back as it was, whatever its texts are", () => {
  fc.assert(
    fc.property(text, text, fc.option(text), (message, path, owner) => {
      const clean = (s: string) => s.toWellFormed();
      const before = status("a", {
        message: clean(message),
        ...(owner === null ? {} : { owner: clean(owner) }),
        problems: [{ file: clean(path), line: 1, column: 1, message: clean(message) }],
        attempts: [
          attempt(1, ["n1"], {
            end: "failed",
            failure: { class: "exit-code", node: "n1", rank: 0, message: clean(message) },
            resumedFrom: { path: clean(path), step: 7 },
            exitCodes: [1, null],
          }),
        ],
      });
      assert.deepEqual(parseStatus(renderJob(before)), before);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a status written in any order of keys is written back in one", () => {
  const before = { ...status("a"), owner: "ada", notBefore: new Date(NOW).toISOString() };
  const shuffled = Object.fromEntries(Object.entries(before).reverse()) as typeof before;
  assert.equal(renderJob(shuffled), renderJob(before));
});

Deno.test("tombstones are bounded, those of jobs that never ran too, and jobs that run are kept", () => {
  const dead = Array.from(
    { length: KEPT_TOMBSTONES + 5 },
    (_, i) =>
      status(`old-${String(i).padStart(5, "0")}`, {
        phase: "Cancelled",
        reason: "ManifestDeleted",
        since: new Date(NOW - 1e9 + i).toISOString(),
        attempts: i % 2 ? [] : [attempt(1, ["n1"], { end: "stopped" })],
      }),
  );
  const view = snapshot({
    jobs: [job("a")],
    history: [...dead, running("a", ["n1"])],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })],
  });
  const files = [...statusFiles(view).keys()].filter((path) => path.startsWith("jobs/"));
  assert.equal(files.length, KEPT_TOMBSTONES + 1);
  assert.ok(files.includes("jobs/a.yaml"));
  assert.ok(!files.includes("jobs/old-00004.yaml"));
});

Deno.test("queue.yaml lists what waits, in order, with the reason", () => {
  const view = snapshot({ jobs: [job("a"), job("b", { priority: 1 })], nodes: [unknown("n1")] });
  const queue = parse(statusFiles(view).get("queue.yaml") ?? "");
  assert.deepEqual(queue.waiting.map((w: { job: string }) => w.job), ["b", "a"]);
  assert.equal(queue.total, 2);
  assert.match(queue.waiting[0].message, /n1 cannot be asked/);
});

Deno.test("the commit message is one line that says it all, then each transition", () => {
  const one = snapshot({ jobs: [job("a")], nodes: [reachable("n1")] });
  assert.equal(
    commitMessage(one.history, one.plan),
    "a: Launching, attempt 1 is launched on n1\n\n" +
      "a: new -> Launching (Launching): attempt 1 is launched on n1\n",
  );
  const many = snapshot({ jobs: [job("a"), job("b")], nodes: [reachable("n1")] });
  assert.match(commitMessage(many.history, many.plan), /^2 jobs: a Launching, b Pending\n\na: new/);
});

Deno.test("what only a person can mend is a condition of its node, with the command in full", () => {
  const fix = `run \`ssh-keygen -R n1 -f ${"/long".repeat(100)} && ssh n1 true\``;
  const problem = { type: "HostKeyChanged", message: "Host key of n1 has changed", fix } as const;
  const away = { ...unknown("n1"), reason: `${problem.message}: ${fix}`, problem };
  const files = statusFiles(snapshot({ jobs: [], nodes: [away, unknown("n2")] }));
  const { nodes } = parse(files.get("cluster.yaml") ?? "") as { nodes: Record<string, unknown>[] };
  assert.deepEqual(nodes[0]?.conditions, [{ ...problem, status: "True" }]);
  assert.equal(nodes[0]?.reason, problem.message);
  assert.equal(nodes[1]?.conditions, undefined);
  assert.match(files.get("README.md") ?? "", /Host key of n1 has changed \|/);
  assert.match(files.get("README.md") ?? "", /- n1: HostKeyChanged: run .*ssh n1 true/);
});

Deno.test("what a node says calls nobody and links nothing on a forge", () => {
  const message = "@ada see lab/state#12, user@host and #7";
  const moved = { ...status("a"), phase: "Failed" as const, message };
  const view = snapshot({ jobs: [], nodes: [], history: [] });
  const plan = { ...view.plan, statuses: new Map([["a", moved]]) };
  const text = commitMessage(view.history, plan);
  assert.match(text, /@ ada see lab\/state# 12, user@host and # 7/);
});
