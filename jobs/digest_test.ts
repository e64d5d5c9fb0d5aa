import assert from "node:assert/strict";
import { canonicalJson, specDigest } from "./digest.ts";
import type { JobSpec } from "./job.ts";
import { parseManifest } from "./manifest.ts";

const digest = (text: string) => {
  const defaults = { training: { batch_size: 64 }, dataset: { samples: 1 } };
  const context = { defaults, hasPath: () => true };
  const parsed = parseManifest("jobs/a.yaml", new TextEncoder().encode(text), context);
  assert(parsed.ok, JSON.stringify(parsed));
  return specDigest(parsed.value[0]!);
};

Deno.test("equal values have equal canonical JSON", () => {
  assert.equal(
    canonicalJson({ b: [1, { d: null, c: "x" }], a: undefined }),
    '{"b":[1,{"c":"x","d":null}]}',
  );
});

Deno.test("comments, layout and what only decides when it runs change nothing", () => {
  const base = digest("script: x.py\ntraining: {a: 1, b: 2}\nflags: none\n");
  assert.match(base, /^[0-9a-f]{64}$/);
  const same = [
    "flags: none # c\ntraining:\n  b: 2\n  a: 1\nscript: x.py\n",
    "script: x.py\ntraining: {a: 1, b: 2}\nflags: none\npriority: high\nqueue: q\nowner: o\nname: n\n",
    "script: x.py\ntraining: {a: 1, b: 2}\nflags: none\nstate: suspended\nrerun: 4\ngrace: 9s\n" +
    "maxDuration: 1h\nrecovery: {maxRetries: 0}\n",
  ];
  for (const text of same) assert.equal(digest(text), base);
});

Deno.test("whatever decides what runs changes it", () => {
  const texts = [
    "",
    "args: [a]",
    "training: {a: 1}",
    "env: {A: b}",
    "resources: {nodes: 2}",
    "workdir: w",
  ];
  texts.push("activate: e", "launcher: processes", "checkpoint: {pattern: c-*}", "model: {a: 1}");
  const digests = new Set(texts.map((line) => digest(`script: x.py\n${line}\n`)));
  assert.equal(digests.size, texts.length);
});

Deno.test("a key that is undefined is as if it were absent", () => {
  const spec = { program: {}, owner: undefined } as unknown as JobSpec;
  assert.equal(
    specDigest(spec),
    specDigest({ program: {}, workdir: undefined } as unknown as JobSpec),
  );
});

Deno.test("defaults change what the next attempt gets, but not the digest", () => {
  const context = { hasPath: () => true };
  const text = new TextEncoder().encode('script: x.py\nargs: ["{model.name}"]\n');
  const [a, b] = ["small", "large"].map((name) => {
    const parsed = parseManifest("jobs/a.yaml", text, {
      ...context,
      defaults: { model: { name } },
    });
    assert(parsed.ok, JSON.stringify(parsed));
    return parsed.value[0];
  });
  assert.deepEqual([a?.args, b?.args], [["small"], ["large"]]);
  assert.equal(specDigest(a as JobSpec), specDigest(b as JobSpec));
});

Deno.test("manifests of before have the digests of before: an upgrade restarts nothing", async () => {
  const example = new URL("./fixtures/finetune.yaml", import.meta.url);
  const full = `name: big-run
owner: ada
queue: night
priority: high
state: suspended
rerun: 2
resources: {nodes: 2, gpusPerNode: 4, vramGb: 24, gpuModel: RTX 4090, nodeSelector: {zone: a}, cpuCores: 4, ramGb: 16}
module: pkg.train
code: {git: "https://example.org/a/b.git", rev: v1.2}
args: [--name, "{job}", 1.10, true]
training: {lr: 0.5, betas: [0.9, 0.99]}
workdir: src
env: {A: 1.10, B: true, C: x}
activate: torch
launcher: processes
checkpoint: {dir: "/data/{job}", pattern: c-*, marker: .m, resume: "--from {path}", neededBy: rank0}
recovery: {maxRetries: 0, backoff: 1s, maxBackoff: 2s}
grace: 2m
maxDuration: 1d
`;
  const pinned: [string, string][] = [
    [full, "a0af20b15b02d32dfd74a9b5feba54359fcf0d11c69ed1a515a2cca0335a7e02"],
    [
      await Deno.readTextFile(example),
      "511116b541691665bbfa864b84cb3e76b2e659cb1b7f251d7e23f7211cd71e7a",
    ],
  ];
  for (const [text, before] of pinned) assert.equal(digest(text), before);
});

Deno.test("when a job runs, and as one of how many, changes nothing", () => {
  const base = digest("script: x.py\n");
  const lines = [
    "after: prep",
    "startAfter: 2026-12-01T08:00:00Z",
    "deadline: 2026-12-01T08:00:00Z",
    "idle: {action: stop}",
    'schedule: "0 3 * * *"\nmaxParallel: 2',
    "resources: {mixedGpus: false}",
    "resources: {nodes: 1..1}",
  ];
  for (const line of lines) assert.equal(digest(`script: x.py\n${line}\n`), base, line);
});

Deno.test("what a job needs changes what runs", () => {
  const needs = ["nodes: 1..2", "gpuShare: 0.5", "mixedGpus: true", "within: rack"];
  const digests = new Set(needs.map((need) => digest(`script: x.py\nresources: {${need}}\n`)));
  assert.equal(digests.add(digest("script: x.py\n")).size, needs.length + 1);
});
