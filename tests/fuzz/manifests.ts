/**
 * Manifests and training defaults from people who mean harm.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";
import { ENV_NAME } from "../../cluster/patterns.ts";
import { parseDefaults } from "../../jobs/defaults.ts";
import { specDigest } from "../../jobs/digest.ts";
import type { JobSpec } from "../../jobs/job.ts";
import { type ManifestContext, parseManifest } from "../../jobs/manifest.ts";
import { JOB_NAME, manifestShape } from "../../jobs/schema.ts";
import { cluster, nodeSpec } from "../../reconciler/testing/build.ts";
import { assertParsed, BAD_FILES, bytesOf, SLOW_FILES } from "./files.ts";
import { corpus, fuzz } from "./harness.ts";
import { hostileJson, hostileText, mutated } from "./hostile.ts";

const FILE = "jobs/demo.yaml";
const CONTEXT: ManifestContext = {
  defaults: { training: { lr: 0.1, epochs: 3 }, model: { name: "m" } },
  cluster: cluster([nodeSpec("n1", { project: "/p" })]),
  hasPath: (path) => path.length % 2 === 0,
};

const VALID: readonly string[] = [
  "script: scripts/train.py\n",
  await Deno.readTextFile(new URL("../../examples/state-repo/jobs/finetune.yaml", import.meta.url)),
  `name: demo
owner: ada@example.org
queue: default
priority: high
state: suspended
resources: {nodes: 2, gpusPerNode: 4, vramGb: 24, nodeSelector: {zone: a}}
command: [python, -c, "print('hi')", "{job}"]
args: ["--lr={training.lr}", 1, true]
flags: {template: "{name}={value}", booleans: value}
training: {lr: 1.10, ids: [1, 2], deep: {a: null}}
code: {git: "https://example.org/x.git", rev: v1}
env: {A: 1.10, B: "x"}
checkpoint: {dir: "/c/{job}", pattern: step-*, resume: "--from {path} {step}", neededBy: rank0}
recovery: {maxRetries: 1, backoff: 1m30s, maxBackoff: 1h}
grace: 10s
maxDuration: 2d
`,
  `script: train.py
resources: {nodes: 1..4, gpusPerNode: 1, gpuShare: 0.25, mixedGpus: true, within: rack}
after: [prep, {job: b, when: any}]
startAfter: 2026-12-01T08:00:00Z
deadline: 2026-12-24T00:00:00+01:00
idle: {below: 5, for: 30m, action: stop}
matrix: {lr: [0.001, 1.0e-2], optimizer.name: [adam, sgd], env.SEED: [1, 2, 3]}
maxParallel: 2
args: ["{matrix.lr}", "{matrix.env.SEED}"]
`,
  `command: [x, "{array.index}"]
array: 3-7
maxParallel: 1
`,
  `command: [x]
schedule: {cron: "0 3 * * MON-FRI", timezone: Europe/Berlin, concurrency: forbid, keep: 3, startWithin: 1h}
`,
];

/** A manifest whose keys are ours and whose values are anything. */
const anyManifest = fc.record(
  Object.fromEntries(Object.keys(manifestShape).map((key) => [key, valueFor(key)])),
  { requiredKeys: [] },
);

function valueFor(key: string): fc.Arbitrary<unknown> {
  const sane: Readonly<Record<string, readonly unknown[]>> = {
    script: ["train.py", "a/b.py"],
    command: [["x"], ["python", "{job}"]],
    args: [["a"], ["{training.lr}"]],
    flags: ["none", "--{name} {value}", "--{kebab}={value}", "{name}={value}"],
    resources: [
      {},
      { nodes: 2 },
      { nodes: 2, gpusPerNode: "x" },
      { nodes: "1..4", gpuShare: 0.5 },
      { nodes: "4..1", gpusPerNode: 2, gpuShare: 0.5, within: "x" },
    ],
    env: [{}, { A: "1" }, { A: [] }],
    training: [{ lr: 0.1 }, { a: { b: [1, null] } }],
    code: ["node", { repository: "." }, { repository: "aa" }, { git: "x" }, { rev: "x" }],
    checkpoint: [{ dir: "/c" }, { resume: ["{path}", 1] }, { pattern: "**" }],
    recovery: [{ maxRetries: 1 }, { backoff: 5 }],
    queue: ["default", "nope"],
    activate: ["nope"],
    after: ["a", ["a", { job: "b", when: "any" }], [{ when: "any" }], "demo"],
    startAfter: ["2026-12-01T08:00:00Z", "2026-02-30T08:00:00Z"],
    deadline: ["2026-12-01T08:00:00Z", "2026-12-01"],
    idle: [{}, { below: 5 }, { for: "1s", action: "stop" }],
    matrix: [{ lr: [1, 2] }, { "env.A": ["x"], "model.a.b": [true] }, { lr: [1, 1] }, { "": [] }],
    array: [1, 3, "3-7", "7-3", "0-999999"],
    maxParallel: [1, 0],
    schedule: ["0 3 * * *", "x", { cron: "*/5 * * * *", timezone: "Mars/X" }, {
      cron: "0 0 31 2 *",
    }],
  };
  return fc.oneof(hostileJson, fc.constantFrom(...sane[key] ?? [undefined]));
}

function assertSpec(spec: JobSpec): void {
  assert.match(spec.name, JOB_NAME);
  assert.match(specDigest(spec), /^[0-9a-f]{64}$/);
  const { program, code, env, resources, workdir = "", checkpoint } = spec;
  const paths = [workdir, checkpoint.dir ?? "", checkpoint.marker ?? ""];
  if (program.kind === "script") paths.push(program.path);
  if (code.kind === "repository") paths.push(code.path);
  for (const path of paths) {
    assert.ok(!path.split("/").includes(".."), path);
    assert.doesNotMatch(path, /^-|\0|\n/);
  }
  if (code.kind === "repository") assert.doesNotMatch(code.path, /^[/~]/);
  if (code.kind === "git") assert.doesNotMatch(code.url + code.rev, /^-|\s|\0/);
  const words = program.kind === "command" ? program.argv : [];
  for (const word of [...words, ...spec.args, ...spec.flags, ...Object.values(env)]) {
    assert.equal(typeof word, "string");
    assert.ok(!word.includes("\0") && word.isWellFormed(), JSON.stringify(word));
  }
  for (const name of Object.keys(env)) {
    if (name !== "UGRO_ARRAY_INDEX" || !spec.parent) assert.match(name, ENV_NAME);
  }
  const { nodes, maxNodes = Infinity, gpusPerNode, gpuShare = 0.5 } = resources;
  assert.ok(nodes >= 1 && gpusPerNode >= 1 && maxNodes > nodes);
  assert.ok(gpuShare > 0 && gpuShare < 1);
  for (const { job } of spec.after ?? []) assert.match(job, JOB_NAME);
  for (const ms of [spec.startAfterMs ?? 0, spec.deadlineMs ?? 0]) {
    assert.ok(Number.isSafeInteger(ms));
  }
  for (const ms of [spec.graceMs, spec.maxDurationMs ?? 0, spec.recovery.backoffMs]) {
    assert.ok(Number.isSafeInteger(ms) && ms >= 0);
  }
  assert.doesNotThrow(() => JSON.stringify(spec));
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
}

function check(text: string | Uint8Array, file = FILE): void {
  const bytes = bytesOf(text);
  const specs = assertParsed(file, bytes, parseManifest(file, bytes, CONTEXT));
  if (!specs) return;
  assert.ok(specs.length >= 1 && specs.length <= 1000, `${specs.length} jobs`);
  for (const spec of specs) assertSpec(spec);
  assert.equal(new Set(specs.map(({ name }) => name)).size, specs.length, "a name twice");
  assert.equal(new Set(specs.map(specDigest)).size, specs.length, "a job twice");
}

function checkDefaults(text: string | Uint8Array): void {
  const bytes = bytesOf(text);
  const value = assertParsed(FILE, bytes, parseDefaults(FILE, bytes));
  if (value) assert.doesNotThrow(() => JSON.stringify(value));
}

const many = (count: number, line: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

const HAND: Readonly<Record<string, string>> = {
  "names that lead elsewhere": "script: ../x\nname: ../x\n",
  "a script that is an option": "script: -c\n",
  "a repository that is an option": "command: [x]\ncode: {git: --upload-pack=id, rev: -x}\n",
  "a repository that runs commands": "command: [x]\ncode: {git: 'ext::sh -c id', rev: main}\n",
  "35,000 parameters": `command: [x]\ntraining:\n${many(35_000, (i) => ` k${i}: 1`)}`,
  "30,000 parameters without a name": `command: [x]\ntraining:\n${
    many(30_000, (i) => ` "k ${i}": 1`)
  }`,
  "1,000 unknown placeholders among 30,000 names": `command: [x]\nargs: [${
    many(1000, (i) => `"{tra${i}}",`)
  }]\ntraining:\n${many(30_000, (i) => ` k${i}: 1`)}`,
  "35,000 variables": `command: [x]\nenv:\n${many(35_000, (i) => ` K${i}: 1`)}`,
  "70,000 wrong arguments": `command: [x]\nargs: [${"[],".repeat(70_000)}]`,
  "a template of braces": `command: [x]\nflags: "${"{".repeat(200)}"\n`,
  "1,000 jobs of 30,000 parameters": `command: [x]\narray: 1000\ntraining:\n${
    many(30_000, (i) => ` k${i}: 1`)
  }`,
  "1,000 jobs of 1,000 long arguments": `command: [x]\narray: 1000\ntraining: {t: ${
    "x".repeat(100_000)
  }}\nflags: none\nargs: [${'"{training.t}",'.repeat(1000)}]`,
  "an argument of 2,000 long parameters": `command: [x]\ntraining: {t: ${
    "x".repeat(500_000)
  }}\nflags: none\nargs: ["${"{training.t}".repeat(2000)}"]`,
  "more combinations than atoms": `command: [x]\nmatrix:\n${
    many(16, (i) => ` k${i}: [${Array.from({ length: 1000 }, (_, j) => j)}]`)
  }`,
  "a matrix of 30,000 parameters": `command: [x]\nmatrix:\n${many(30_000, (i) => ` k${i}: [1]`)}`,
  "a matrix into prototypes":
    "command: [x]\nmatrix: {constructor: [1, 2], toString: [a], model.constructor.prototype: [1]}\n",
  "100,000 dependencies": `command: [x]\nafter: [${"a,".repeat(100_000)}]`,
  "a schedule of everything": `command: [x]\nschedule: "${"0-59/1,".repeat(20)}0 * * * *"\n`,
  "a path of dots": `script: ${"../".repeat(1000)}x\n`,
  "a path of 4096 characters": `script: ${"a/".repeat(2048)}\n`,
};

fuzz("manifests of any values", 1500, anyManifest, (value) => check(stringify(value)));
fuzz("manifests with changed bytes", 3000, mutated(VALID), (bytes) => check(bytes));
fuzz("manifests of any name", 500, hostileText, (name) => {
  check(VALID[0]!, `jobs/${name}.yaml`);
  check(stringify({ script: name, name, owner: name, queue: name, activate: name, workdir: name }));
});
corpus("manifests", { ...BAD_FILES, ...SLOW_FILES, ...HAND }, (text) => check(text));

fuzz(
  "training defaults",
  1500,
  mutated([
    "training: {lr: 0.1, betas: [0.9, 0.99]}\nmodel:\n  name: x\nlora: {}\n",
    await Deno.readTextFile(new URL("../../jobs/fixtures/training_defaults.yaml", import.meta.url)),
  ]),
  checkDefaults,
);
corpus("training defaults", BAD_FILES, checkDefaults);
