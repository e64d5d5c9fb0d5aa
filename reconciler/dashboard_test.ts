import assert from "node:assert/strict";
import { parse } from "yaml";
import type { JobStatus } from "../jobs/status.ts";
import { cell } from "./dashboard.ts";
import { plan } from "./plan.ts";
import { statusFiles } from "./status_files.ts";
import {
  ago,
  attempt,
  cluster,
  job,
  nodeSpec,
  NOW,
  reachable,
  run,
  running,
  status,
  type World,
  world,
} from "./testing/build.ts";

Deno.test("a cell holds no markup, address, mention or mathematics of others", () => {
  assert.equal(cell("<b>|`x`"), "&lt;b&gt;&#124;&#96;x&#96;");
  assert.equal(cell("see WWW.evil.example"), "see WWW&#46;evil.example");
  assert.equal(cell("https://x @all #1 $a$"), "https&#58;//x &#64;all &#35;1 &#36;a&#36;");
  assert.equal(cell("a\nb\x9bc\u2066d\u2028e"), "a b c d e");
});

Deno.test("a cell is cut where a character ends, and before it is escaped", () => {
  assert.equal(cell("😀".repeat(200)), `${"😀".repeat(149)}…`);
  assert.match(cell("<".repeat(400)), /^(?:&lt;){299}…$/);
});

/** The page of a small world. */
function page(given: World): string {
  const input = world(given);
  return statusFiles({ ...input, plan: plan(input) }).get("README.md") ?? "";
}

/** The cells of the row of a job in a section of the page. */
function row(text: string, title: string, name: string): readonly string[] {
  const [, section = ""] = text.split(`## ${title}\n`);
  const line = section.split("\n## ")[0]?.split("\n").find((each) => each.includes(`[${name}](`));
  return line?.split("|").slice(1, -1).map((each) => each.trim()) ?? [];
}

const CROWDED: World = {
  jobs: [job("a", { maxDurationMs: 3_600_000 }), job("b", { owner: "ada@lab", priority: 0 })],
  history: [running("a", ["n1"])],
  nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })],
};

Deno.test("the queue stands in a table, with what each job waits for and until when", () => {
  assert.deepEqual(row(page(CROWDED), "Queue", "b"), [
    "1",
    "[b](jobs/b.yaml)",
    "default",
    "ada&#64;lab",
    "0",
    "1 node(s) with 1 GPU(s)",
    "Resources",
    "0 of 1 node(s) found. n1&#58; a (1 of 1 GPUs)",
    "0",
    `${new Date(NOW + 3_600_000).toISOString().replaceAll(":", "&#58;")} (by limit)`,
  ]);
});

Deno.test("a job that runs is told with why it is there, and with what is the matter with it", () => {
  const evicted = { reason: "Preempted" as const, by: "b", message: "b is | urgent", at: "x" };
  const seen = running("a", ["n1"], {
    attempts: [attempt(1, ["n1"], { because: "the <first> free", startedAt: ago(9000), evicted })],
    conditions: [
      { type: "Idle", status: "True", reason: "LowUtilisation", message: "idles", since: "x" },
      { type: "Old", status: "False", reason: "Over", message: "was so", since: "x" },
    ],
  });
  const view = world(CROWDED);
  const statuses = new Map([["a", seen]]);
  const decided = { ...plan(view), statuses, waiting: [] };
  const text = statusFiles({ ...view, plan: decided }).get("README.md") ?? "";
  const [, , , nodes, because, now = ""] = row(text, "Running", "a");
  assert.deepEqual([nodes, because], ["n1", "the &lt;first&gt; free"]);
  assert.match(now, /runs on n1; Preempted&#58; b is &#124; urgent; Idle&#58; idles$/);
});

Deno.test("a job that is not in the queue has a table of its own", () => {
  const text = page({ jobs: [job("s", { state: "suspended" })], nodes: [] });
  assert.equal(row(text, "Not in the queue", "s")[1], "Suspended");
  assert.doesNotMatch(text, /## Queue/);
});

Deno.test("a manifest of four jobs or more has a line that sums them up", () => {
  const child = (name: string, parent: string, changes: Partial<JobStatus>) =>
    status(name, { parent, ...changes });
  const view = world({ nodes: [] });
  const children = [
    ...["s1", "s2"].map((name) => child(name, "sw_eep", { phase: "Running" })),
    ...["s3", "s4", "s5"].map((name) => child(name, "sw_eep", {})),
    child("s6", "sw_eep", { phase: "Succeeded" }),
    child("s7", "sw_eep", { phase: "Cancelled", reason: "ManifestDeleted" }),
    ...["t1", "t2", "t3"].map((name) => child(name, "three", {})),
  ];
  const statuses = new Map(children.map((each) => [each.name, each]));
  const text = statusFiles({ ...view, plan: { ...plan(view), statuses } }).get("README.md") ?? "";
  assert.match(text, /^- sw&#95;eep: 2 running, 3 waiting, 1 succeeded$/m);
  assert.doesNotMatch(text, /^- three/m);
});

Deno.test("a cordon is told as it is declared, with its end, its GPUs and whether it drains", () => {
  const cordoned = { reason: "f|an", untilMs: NOW, drain: true, gpus: ["0", "GPU-1a"] };
  const given = { nodes: [], cluster: cluster([nodeSpec("n1", { cordoned })]) };
  assert.match(
    page(given),
    /\| cordoned until 2026-01-01T12&#58;00&#58;00\.000Z, drained \(GPU 0, GPU-1a\)&#58; f&#124;an;/,
  );
  const input = world(given);
  const file = statusFiles({ ...input, plan: plan(input) }).get("cluster.yaml") ?? "";
  assert.deepEqual(parse(file).nodes[0].cordoned, {
    reason: "f|an",
    until: "2026-01-01T12:00:00.000Z",
    drain: true,
    gpus: ["0", "GPU-1a"],
  });
});

Deno.test("each table says how many rows it leaves out", () => {
  const jobs = Array.from({ length: 130 }, (_, i) => job(`j${i}`));
  const text = page({ jobs, nodes: [] });
  assert.match(text, /\n… and 30 more\.\n/);
  assert.equal(text.match(/^\| \d+ \| \[j/gm)?.length, 100);
});
