import assert from "node:assert/strict";
import { ugro, withFiles } from "../testing.ts";
import type { Run } from "./replay.ts";
import { levelsOf, utilisationSvg } from "./svg.ts";

const CLUSTER = "nodes:\n" +
  "  - {name: n1, hardware: {gpus: 4}}\n  - {name: n2, hardware: {gpus: 4}}\n";
const TRACE = "submit_time,duration,num_gpus,user\n0,3600,8,ada\n600,600,4,bob\n";

Deno.test("simulate compares policies on a trace, as a table with ratios", async () => {
  await withFiles({ "cluster.yaml": CLUSTER, "t.csv": TRACE }, async (folder) => {
    const args = ["--cluster", `${folder}/cluster.yaml`, "--trace", `${folder}/t.csv`];
    const { code, out, err } = await ugro("simulate", ...args);
    assert.equal(err, "");
    assert.equal(code, 0);
    assert.match(out, /^2 jobs on 2 nodes with 8 GPUs, load 6\.50;/);
    assert.match(out, /^FIGURE +fifo +default$/m);
    assert.match(out, /^completion, mean +1h +1h \(1\.00×\)$/m);
    assert.match(out, /^queueing, longest +50m +50m \(1\.00×\)$/m);
  });
});

Deno.test("jobs that never start are told with their line and the reason", async () => {
  const cluster = `${CLUSTER}users:\n  - {name: ada, maxGpus: 2}\n`;
  const trace = "submit_time,duration,num_gpus,user,vram_gb\n" +
    "0,60,1,bob,\n0,60,9,bob,\n0,60,4,ada,\n" + "0,60,16,bob,\n".repeat(5);
  await withFiles({ "cluster.yaml": cluster, "t.csv": trace }, async (folder) => {
    const args = ["--cluster", `${folder}/cluster.yaml`, "--trace", `${folder}/t.csv`];
    const { out, err } = await ugro("simulate", ...args);
    assert.equal(err, "");
    const lines = out.slice(out.indexOf("never started:\n")).split("\n");
    assert.equal(lines.length, 7);
    assert.match(lines[1] ?? "", /t\.csv:3: needs 3 node\(s\) .* the cluster has 2 such node/);
    assert.match(lines[2] ?? "", /t\.csv:4: can never start: it needs 4 GPUs, and user ada may/);
    assert.equal(lines[6], "  and 2 more");
    const json = await ugro("simulate", ...args, "-o", "json");
    assert.equal(JSON.parse(json.out).policies[0].neverStarted, 7);
    assert.match(json.err, /never started:\n.*t\.csv:3: /);
  });
});

Deno.test("simulate as JSON has the setting and each policy, times in seconds", async () => {
  await withFiles({ "cluster.yaml": CLUSTER, "t.csv": TRACE }, async (folder) => {
    const files = ["--cluster", `${folder}/cluster.yaml`, "--trace", `${folder}/t.csv`];
    const { out } = await ugro("simulate", ...files, "--policy", "backfill", "-o", "json");
    const { policies, ...setting } = JSON.parse(out);
    assert.deepEqual([setting.jobs, setting.gpus, setting.estimates], [2, 8, "rounded"]);
    assert.equal(setting.checkpointEverySeconds, 1800);
    assert.equal(policies.length, 1);
    assert.equal(policies[0].policy, "backfill");
    assert.equal(policies[0].completion.maxSeconds, 3600);
    assert.equal(policies[0].makespanSeconds, 4200);
  });
});

Deno.test("a trace that was made and saved gives the same figures when it is read", async () => {
  await withFiles({ "cluster.yaml": CLUSTER }, async (folder) => {
    const cluster = ["--cluster", `${folder}/cluster.yaml`];
    const save = ["--save", `${folder}/new/t.csv`, "--svg", `${folder}/u.svg`];
    const made = await ugro("simulate", ...cluster, "--generate", "200", ...save);
    const read = await ugro("simulate", ...cluster, "--trace", `${folder}/new/t.csv`);
    assert.equal(made.code, 0, made.err);
    assert.equal(read.out, made.out);
    const svg = await Deno.readTextFile(`${folder}/u.svg`);
    assert.match(svg, /^<svg [^]*<polyline [^]*>default<\/text>\n<\/svg>\n$/);
  });
});

Deno.test("files that are wrong or missing are told, and exit 1", async () => {
  const vague = "nodes:\n  - {name: n1}\n  - {name: n2, hardware: {gpus: 4}}\n";
  const bad = "submit_time,duration,num_gpus\n0,1,x\n";
  const files = { "cluster.yaml": CLUSTER, "vague.yaml": vague, "t.csv": TRACE, "bad.csv": bad };
  await withFiles(files, async (folder) => {
    for (
      const [cluster, trace, message] of [
        ["cluster.yaml", "bad.csv", /bad\.csv:2:5: num_gpus must be a whole number/],
        ["cluster.yaml", "none.csv", /^error: Cannot read .*none\.csv: /],
        ["none.yaml", "t.csv", /^error: Cannot read .*none\.yaml: /],
        ["t.csv", "t.csv", /t\.csv:1:1: /],
        ["vague.yaml", "t.csv", /does not say how many GPUs these nodes have: n1 \(write/],
      ] as const
    ) {
      const args = ["--cluster", `${folder}/${cluster}`, "--trace", `${folder}/${trace}`];
      const { code, out, err } = await ugro("simulate", ...args);
      assert.equal(code, 1, cluster + trace);
      assert.equal(out, "");
      assert.match(err, message);
    }
  });
});

Deno.test("options of simulate that make no sense exit 2", async () => {
  for (
    const [args, message] of [
      [[], /--trace FILE, or have one made with --generate N/],
      [["--trace", "a", "--generate", "5"], /cannot be used with/],
      [["--generate", "0"], /whole number from 1 to 1000000/],
      [["--generate", "5", "--load", "0"], /from 0\.01 to 10/],
      [["--generate", "5", "--seed", "-1"], /whole number from 0/],
      [["--generate", "5", "--policy", "fifo,lifo"], /Write some of fifo,priority/],
      [["--generate", "5", "--policy", "fifo,fifo"], /each once/],
      [["--generate", "5", "--checkpoint-every", "9"], /such as 30m/],
      [["--generate", "5", "--estimates", "good"], /Allowed choices are rounded, exact, none/],
    ] as const
  ) {
    const { code, err } = await ugro("simulate", ...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
  }
});

function runOf(stays: Run["stays"], capacity: number): Run {
  const figures = { lastEndMs: 0, idleGpuMs: 0, unusableGpuMs: 0, passes: 0 };
  const window = { fromMs: 0, toMs: 0 };
  return { outcomes: [], stays, capacity, window, entitledGpuMs: new Map(), ...figures };
}

Deno.test("the line shows mean utilisation of equal stretches of time", () => {
  // 960 stretches of 10 ms: one whole GPU of two, then half a stretch of both.
  const run = runOf([{ startMs: 0, endMs: 20, gpus: 1 }, { startMs: 25, endMs: 30, gpus: 2 }], 2);
  const levels = levelsOf(run, 0, 9600);
  assert.equal(levels.length, 960);
  assert.deepEqual(levels.slice(0, 5), [0.5, 0.5, 0.5, 0, 0]);
  const whole = levelsOf(runOf([{ startMs: 0, endMs: 9600, gpus: 2 }], 2), 0, 9600);
  assert.ok(whole.every((level) => level === 1));
});

Deno.test("what a picture says is escaped, and has as many points at any length", () => {
  const run = runOf([{ startMs: 0, endMs: 1e12, gpus: 1 }], 1);
  const svg = utilisationSvg(`<script>&"'\u202e`, [["a<b", run]]);
  assert.ok(svg.includes("<title>&lt;script&gt;&amp;&quot;&#39;\\u202e</title>"));
  assert.ok(svg.includes(">a&lt;b</text>"));
  assert.doesNotMatch(svg, /<script|\u202e/);
  assert.equal(/points="([^"]*)"/.exec(svg)?.[1]?.split(" ").length, 960);
  assert.ok(svg.length < 20_000);
});

Deno.test("a picture without jobs is a picture all the same", () => {
  assert.doesNotMatch(utilisationSvg("nothing", [["fifo", runOf([], 0)]]), /NaN|Infinity/);
});
