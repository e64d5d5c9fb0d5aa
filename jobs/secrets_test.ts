import assert from "node:assert/strict";
import { specDigest } from "./digest.ts";
import type { SecretSource } from "./job.ts";
import { parseManifest } from "./manifest.ts";
import { formatProblem } from "./problem.ts";
import { describeSource } from "./secrets.ts";

const FILES = ["secrets/db.age", "secrets/lab.yaml"];

function read(secrets: string, more = "") {
  const text = `command: [train]\n${more}secrets:\n${secrets}`;
  const parsed = parseManifest("jobs/a.yaml", new TextEncoder().encode(text), {
    defaults: {},
    hasPath: (path) => FILES.includes(path),
  });
  const found = parsed.ok ? parsed.warnings : parsed.problems;
  return { parsed, texts: found.map((p) => formatProblem(p).slice("jobs/a.yaml:".length)) };
}

const FOUR = `  WANDB_API_KEY: {env: WANDB_KEY}
  HF_TOKEN: {file: hf-token}
  DB: {age: secrets/db.age}
  X: {sops: secrets/lab.yaml, key: hf.token}
`;

Deno.test("a secret is named with the place of its value: variable, file, age file or SOPS key", () => {
  const { parsed, texts } = read(FOUR);
  assert(parsed.ok, texts.join("\n"));
  assert.deepEqual(texts, []);
  const expected: Record<string, SecretSource> = {
    WANDB_API_KEY: { kind: "env", name: "WANDB_KEY" },
    HF_TOKEN: { kind: "file", name: "hf-token" },
    DB: { kind: "age", path: "secrets/db.age" },
    X: { kind: "sops", path: "secrets/lab.yaml", key: ["hf", "token"] },
  };
  assert.deepEqual({ ...parsed.value[0]?.secrets }, expected);
  const sources: SecretSource[] = Object.values(parsed.value[0]?.secrets ?? {});
  assert.deepEqual(sources.map(describeSource), [
    "the controller's variable UGRO_SECRET_WANDB_KEY",
    "the file hf-token of the controller's secrets folder",
    "secrets/db.age",
    "secrets/lab.yaml, key hf.token",
  ]);
});

Deno.test("what is no source, or leads elsewhere, is a problem with its place", () => {
  const wrong: [string, RegExp][] = [
    ["  A: hf_abcdef\n", /^3:6: `secrets\.A` must be `\{env: NAME\}`.*never a value \(if this/],
    ["  A: 123456789\n", /^3:6: [^1]*never a value/],
    ["  A: {env: UGRO_SECRET_X}\n", /^3:12: .*without `UGRO_SECRET_` before it/],
    ["  A: {file: ../x}\n", /^3:13: .*without a folder/],
    ["  A: {file: .hidden}\n", /^3:13: /],
    ["  A: {age: /etc/shadow}\n", /^3:12: .*path of a file of the state repository/],
    ["  A: {age: a/../b.age}\n", /^3:12: /],
    ["  A: {age: ./b.age}\n", /^3:12: /],
    ["  A: {age: a//b.age}\n", /^3:12: /],
    ["  A: {age: a/}\n", /^3:12: /],
    ["  A: {age: ~/b.age}\n", /^3:12: /],
    ["  A: {age: -o}\n", /^3:12: /],
    ["  A: {age: a\u202eb.age}\n", /^3:12: /],
    ["  A: {sops: a.yaml, key: a\u009bb}\n", /^3:26: /],
    ["  A: {sops: secrets/lab.env, key: x}\n", /^3:13: .*\.yaml, \.yml or \.json/],
    ["  A: {sops: secrets/lab.yaml}\n", /key: KEY.IN.IT}`, not a map with `sops`/],
    ["  A: {sops: secrets/lab.yaml, key: a..b}\n", /^3:36: .*keys with dots/],
    ["  A: {file: a, env: B}\n", /^3:6: /],
    ["  UGRO_X: {file: a}\n", /^3:3: .*does not begin with `UGRO_`/],
    ["  a-b: {file: a}\n", /^3:3: /],
    ["  []\n", /must be a map/],
  ];
  for (const [text, expected] of wrong) {
    const { parsed, texts } = read(text);
    assert.equal(parsed.ok, false, text);
    assert.match(texts[0] ?? "", expected, text);
  }
});

Deno.test("a value that was written where a source belongs is not repeated in the problem", () => {
  const { texts } = read("  A: hf_abcdefghijklmnop\n");
  assert.equal(texts.length, 1);
  assert.doesNotMatch(texts.join("\n"), /hf_abcdef/);
});

Deno.test("one name is either in `env` or a secret, and 64 secrets are enough", () => {
  const { texts } = read("  A: {file: a}\n", "env: {A: b}\n");
  assert.deepEqual(texts, ["4:3: `A` is in `env`, too (keep one)"]);
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => `  S${i}: {file: a}\n`).join("");
  assert(read(many(64)).parsed.ok);
  assert.match(read(many(65)).texts[0] ?? "", /at most 64 secrets/);
});

Deno.test("an encrypted file that is not there yet is a warning: the job waits for it", () => {
  const { parsed, texts } = read("  DB: {age: secrets/new.age}\n");
  assert(parsed.ok);
  assert.deepEqual(texts, [
    "3:13: no file `secrets/new.age` in the state repository (the job waits until it is there)",
  ]);
});

Deno.test("the digest covers where secrets are, and is as ever for a job that has none", () => {
  const digest = (secrets: string) => {
    const { parsed, texts } = read(secrets);
    assert(parsed.ok, texts.join("\n"));
    return specDigest(parsed.value[0]!);
  };
  assert.notEqual(digest("  A: {file: a}\n"), digest("  A: {file: b}\n"));
  assert.notEqual(digest("  A: {file: a}\n"), digest("  B: {file: a}\n"));
  const plain = "script: x.py\nenv: {A: b}\n";
  const parsed = parseManifest("jobs/a.yaml", new TextEncoder().encode(plain), {
    defaults: {},
    hasPath: () => true,
  });
  assert(parsed.ok);
  const before = "57e1e38eefa67b453ed9a1520a49ea7adf207241e9c803a0fb10359c1a229a9b";
  assert.equal(specDigest(parsed.value[0]!), before, "an upgrade restarts nothing");
});
