import assert from "node:assert/strict";
import type { Cluster } from "../cluster/cluster.ts";
import { parseCluster } from "../cluster/parse.ts";
import type { JobSpec } from "./job.ts";
import { type ManifestContext, parseManifest } from "./manifest.ts";
import { formatProblem } from "./problem.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const clusterOf = (text: string): Cluster => {
  const parsed = parseCluster("cluster.yaml", bytes(text));
  assert(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
};
const CLUSTER = clusterOf(`
nodes: [{name: gpu1}]
environments: {torch: {venv: /opt/venv}}
queues: [{name: night, priority: -10}]
policy: {grace: 45s}
`);
const FILES = ["scripts", "scripts/train.py", "train.py", "tools/deep", "tools/deep/x.py"];
const CONTEXT: ManifestContext = {
  defaults: {
    model: { name: "gpt2", layers: [1, 2] },
    training: { epochs: 3, lr: 0.1, old: true },
  },
  cluster: CLUSTER,
  hasPath: (path) => FILES.includes(path),
};

const parse = (text: string, context = CONTEXT, file = "jobs/demo.yaml") =>
  parseManifest(file, bytes(text), context);
const problems = (text: string, context = CONTEXT, file = "jobs/demo.yaml") => {
  const parsed = parse(text, context, file);
  return parsed.ok ? [] : parsed.problems.map((p) => formatProblem(p).slice(file.length + 1));
};
const job = (text: string, context = CONTEXT): JobSpec => {
  const parsed = parse(text, context);
  assert(parsed.ok, JSON.stringify(parsed));
  assert.equal(parsed.value.length, 1);
  return parsed.value[0]!;
};

Deno.test("three lines are a job", () => {
  const spec = job("script: scripts/train.py\nresources: {nodes: 2}\ntraining: {lr: 0.5}\n");
  assert.deepEqual(spec, {
    name: "demo",
    queue: "default",
    priority: 0,
    state: "running",
    rerun: 0,
    resources: { nodes: 2, gpusPerNode: 1, nodeSelector: {} },
    program: { kind: "script", path: "train.py" },
    code: { kind: "repository", path: "scripts" },
    args: [],
    flags: ["--lr", "0.5"],
    config: {
      model: { name: "gpt2", layers: [1, 2] },
      training: { epochs: 3, lr: 0.5, old: true },
    },
    written: { args: [], flags: "--{name} {value}", training: { lr: 0.5 } },
    env: {},
    launcher: "torchrun",
    checkpoint: { pattern: "step-*", resumeArgs: [], neededBy: "all" },
    recovery: { maxRetries: 3, backoffMs: 10_000, maxBackoffMs: 300_000 },
    graceMs: 45_000,
  });
});

Deno.test("everything that a manifest can say arrives", () => {
  const spec = job(`
name: big-run
owner: ada
queue: night
priority: high
state: suspended
rerun: 2
resources: {nodes: 2, gpusPerNode: 4, vramGb: 24, gpuModel: RTX 4090, nodeSelector: {zone: a}}
module: pkg.train
code: {git: "https://example.org/a/b.git", rev: v1.2}
args: [--name, "{job}", 1.10, true]
workdir: src
env: {A: 1.10, B: true, C: x}
activate: torch
launcher: processes
checkpoint:
  dir: /data/ckpt/{job}
  pattern: checkpoint-*
  marker: .metadata
  resume: --resume-from {path}
  neededBy: rank0
recovery: {maxRetries: 0, backoff: 1s, maxBackoff: 2s}
grace: 2m
maxDuration: 1d
`);
  assert.equal(spec.name, "big-run");
  assert.equal(spec.priority, 100);
  assert.deepEqual(spec.program, { kind: "module", module: "pkg.train" });
  assert.deepEqual(spec.code, { kind: "git", url: "https://example.org/a/b.git", rev: "v1.2" });
  assert.deepEqual(spec.args, ["--name", "big-run", "1.10", "true"]);
  assert.deepEqual(spec.env, { A: "1.10", B: "true", C: "x" });
  assert.deepEqual(spec.checkpoint, {
    dir: "/data/ckpt/{job}",
    pattern: "checkpoint-*",
    marker: ".metadata",
    resumeArgs: ["--resume-from", "{path}"],
    neededBy: "rank0",
  });
  assert.deepEqual(spec.recovery, { maxRetries: 0, backoffMs: 1_000, maxBackoffMs: 2_000 });
  assert.deepEqual([spec.graceMs, spec.maxDurationMs], [120_000, 86_400_000]);
});

Deno.test("all problems come at once, each at its place and in plain words", () => {
  const text = `scrpt: scripts/train.py
resources: {nodes: two, gpus_per_node: 1, vramGb: "12"}
args: --x y
priority: highest
state: off
env: {UGRO_X: 1}
activate: torhc
queue: nihgt
flags: "--{nam} {value}"
checkpoint: {pattern: "a**", resume: "{pth}"}
recovery: {backoff: 10}
model: gpt2
`;
  assert.deepEqual(problems(text, CONTEXT, "jobs/Hello_X.yaml"), [
    "1:1: unknown key `scrpt` (did you mean `script`?)",
    "1:1: the file's name is not a name of lower-case letters, digits and `-` (rename the file, or write `name: hello-x`)",
    "1:1: one of `script`, `module` and `command` is missing (say what to run, such as `script: scripts/train.py`)",
    '2:20: `resources.nodes` must be a whole number from 1 to 10000, or two such as `1..4`, not "two"',
    "2:25: unknown key `gpus_per_node` in `resources` (did you mean `gpusPerNode`?)",
    '2:51: `resources.vramGb` must be a number greater than 0, not "12" (remove the quotes)',
    '3:7: `args` must be a list, each item on a line of its own after `- `, not "--x y" (each word an item: ["--x", "y"])',
    '4:11: `priority` must be a whole number from -1000 to 1000, or one of low, normal, high, urgent, not "highest"',
    '5:8: `state` must be one of `running`, `suspended`, `cancelled`, not "off"',
    '6:7: a key of `env` must be a name of letters, digits and `_` that does not begin with `UGRO_`, not "UGRO_X"',
    "7:11: no environment is named `torhc` (did you mean `torch`?)",
    "8:8: no queue is named `nihgt` (did you mean `night`?)",
    "9:8: `flags` must be a template such as `--{name} {value}`, or `none` (placeholders are `{name}`, `{kebab}` and `{value}`)",
    '10:23: `checkpoint.pattern` must be a file name with exactly one `*`, such as `step-*`, not "a**"',
    '10:38: `checkpoint.resume` must be text with no placeholders but `{path}` and `{step}`, not "{pth}"',
    "11:21: `recovery.backoff` must be a duration with its unit, such as `500ms`, `30s`, `5m` or `1h30m`, not 10 (write `10s` for seconds)",
    '12:8: `model` must be a map of `key: value` lines, not "gpt2"',
  ]);
});

Deno.test("exactly one program runs", () => {
  assert.deepEqual(problems("script: train.py\ncommand: [python, x]\n"), [
    "2:1: `command` and `script` exclude each other (keep one)",
  ]);
  assert.deepEqual(job("command: [python, -c, 'x={job}']\n").program, {
    kind: "command",
    argv: ["python", "-c", "x=demo"],
  });
  assert.equal(job("command: [python]\n").launcher, "processes");
});

Deno.test("code is found in the state repository, on the nodes, or where the manifest says", () => {
  const found = (text: string, context = CONTEXT) => {
    const { program, code } = job(text, context);
    return [program.kind === "script" ? program.path : "", code];
  };
  const projects = { ...CONTEXT, cluster: clusterOf("nodes: [{name: a, project: /p}]\n") };
  assert.deepEqual(found("script: ./train.py\n"), ["train.py", { kind: "repository", path: "" }]);
  assert.deepEqual(found("script: /opt/x.py\n"), ["/opt/x.py", { kind: "node" }]);
  assert.deepEqual(found("script: ~/x.py\n"), ["~/x.py", { kind: "node" }]);
  assert.deepEqual(found("script: other/x.py\n", projects), ["other/x.py", { kind: "node" }]);
  assert.deepEqual(found("script: train.py\ncode: node\n", projects), ["train.py", {
    kind: "node",
  }]);
  assert.deepEqual(
    found("script: deep/x.py\ncode: {repository: tools/}\n", {
      ...CONTEXT,
      hasPath: (path) => ["tools", "tools/deep/x.py"].includes(path),
    }),
    ["deep/x.py", { kind: "repository", path: "tools" }],
  );
  assert.deepEqual(found("script: scripts/train.py\ncode: {repository: .}\n"), [
    "scripts/train.py",
    { kind: "repository", path: "" },
  ]);
});

Deno.test("code that is not there is a problem", () => {
  assert.deepEqual(problems("script: x.py\n"), [
    "1:9: no file `x.py` in the state repository, and no node declares `project:` (check the path, or write an absolute one for a file on the nodes)",
  ]);
  assert.deepEqual(problems("script: scripts/train.py\ncode: {repository: scripts}\n"), [
    "1:9: no file `scripts/scripts/train.py` in the state repository (write `script: train.py`)",
  ]);
  assert.deepEqual(problems("script: a.py\ncode: {repository: nowhere}\n"), [
    "2:20: no folder `nowhere` in the state repository",
  ]);
  const refused = ["../x.py", "-x.py", "a\\\\b"];
  for (const path of refused) assert.equal(problems(`script: "${path}"\n`).length, 1, path);
  const urls = ["ext::sh -c x", "-oX", "https://u:p@h/x", "http://h/x"];
  for (const url of urls) {
    assert.equal(problems(`module: m\ncode: {git: "${url}", rev: main}\n`).length, 1, url);
  }
});

Deno.test("a name that is none is echoed without its effects", () => {
  assert.deepEqual(problems('name: "a\\n$(reboot)\\e[2J\\u202e\'"\nscript: train.py\n'), [
    '1:7: `name` must be a name of lower-case letters, digits and `-`, not "a\\n$(reboot)\\u001b[2J\\u202e\'"',
  ]);
});

Deno.test("shell syntax is only text", () => {
  const spec = job('command: [echo, "$(reboot); `id` | x > y"]\nenv: {A: "$(id)"}\n');
  assert.deepEqual(spec.program, { kind: "command", argv: ["echo", "$(reboot); `id` | x > y"] });
  assert.deepEqual(spec.env, { A: "$(id)" });
});

Deno.test("placeholders come from the effective configuration", () => {
  const spec = job(`
script: train.py
training: {lr: 1.10, old: null}
args: ["{training.lr}", "--m={model.name}", "{training.epochs}", "{{x}}", "{job}"]
`);
  assert.deepEqual(spec.args, ["1.10", "--m=gpt2", "3", "{x}", "demo"]);
  assert.deepEqual(spec.flags, ["--lr", "1.10"]);
  assert.deepEqual(spec.config["training"], { epochs: 3, lr: 1.1 });
  assert.deepEqual(
    problems(`script: train.py
args:
  - "{training.epoch}"
  - "{model.layers}"
  - "{"
`),
    [
      "3:5: `{training.epoch}` has no value (did you mean `training.epochs`?)",
      "4:5: `{model.layers}` is a list; an argument takes one value",
      "5:5: a brace stands alone (write `{{` and `}}` for braces themselves)",
    ],
  );
});

Deno.test("training values of an earlier cluster.yaml are the lowest layer", () => {
  const cluster = { ...CLUSTER, training: { default_epochs: 1, lr: 9 } };
  const { config } = job("script: train.py\n", { ...CONTEXT, cluster });
  assert.deepEqual(config["training"], { default_epochs: 1, epochs: 3, lr: 0.1, old: true });
});

Deno.test("without a cluster the names in it are not checked", () => {
  const { cluster: _, ...context } = CONTEXT;
  const spec = job("script: x.py\nqueue: any\nactivate: some\n", context);
  assert.equal(spec.graceMs, 30_000);
  assert.deepEqual(spec.code, { kind: "node" });
});

Deno.test("arguments are bounded", () => {
  const many = `script: train.py\nargs: [${"a,".repeat(1001)}]\n`;
  assert.deepEqual(problems(many), [
    "2:7: `args` must be a list of at most 1000 items, not 1001",
  ]);
  assert.equal(problems(`script: train.py\nargs: [${"a".repeat(40_000)}]\n`).length, 1);
});

Deno.test("a file without content says so", () => {
  assert.deepEqual(problems(""), ["1:1: the file is empty"]);
  assert.deepEqual(problems("hello"), ["1:1: the file must be `key: value` lines"]);
});
