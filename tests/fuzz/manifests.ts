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
    resources: [{}, { nodes: 2 }, { nodes: 2, gpusPerNode: "x" }],
    env: [{}, { A: "1" }, { A: [] }],
    training: [{ lr: 0.1 }, { a: { b: [1, null] } }],
    code: ["node", { repository: "." }, { repository: "aa" }, { git: "x" }, { rev: "x" }],
    checkpoint: [{ dir: "/c" }, { resume: ["{path}", 1] }, { pattern: "**" }],
    recovery: [{ maxRetries: 1 }, { backoff: 5 }],
    queue: ["default", "nope"],
    activate: ["nope"],
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
  for (const name of Object.keys(env)) assert.match(name, ENV_NAME);
  assert.ok(resources.nodes >= 1 && resources.gpusPerNode >= 1);
  for (const ms of [spec.graceMs, spec.maxDurationMs ?? 0, spec.recovery.backoffMs]) {
    assert.ok(Number.isSafeInteger(ms) && ms >= 0);
  }
  assert.doesNotThrow(() => JSON.stringify(spec));
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
}

function check(text: string | Uint8Array, file = FILE): void {
  const bytes = bytesOf(text);
  const spec = assertParsed(file, bytes, parseManifest(file, bytes, CONTEXT));
  if (spec) assertSpec(spec);
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
