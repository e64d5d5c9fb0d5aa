import assert from "node:assert/strict";
import { canonicalJson, specDigest } from "./digest.ts";
import type { JobSpec } from "./job.ts";
import { parseManifest } from "./manifest.ts";

const digest = (text: string) => {
  const context = { defaults: {}, hasPath: () => true };
  const parsed = parseManifest("jobs/a.yaml", new TextEncoder().encode(text), context);
  assert(parsed.ok, JSON.stringify(parsed));
  return specDigest(parsed.value);
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
    return parsed.value;
  });
  assert.deepEqual([a?.args, b?.args], [["small"], ["large"]]);
  assert.equal(specDigest(a as JobSpec), specDigest(b as JobSpec));
});
