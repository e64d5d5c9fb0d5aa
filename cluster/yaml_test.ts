import assert from "node:assert/strict";
import { formatProblem } from "./problem.ts";
import { MAX_FILE_BYTES, parseYaml } from "./yaml.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const problems = (text: string | Uint8Array) => {
  const read = parseYaml("f.yaml", typeof text === "string" ? bytes(text) : text);
  return read.ok ? [] : read.problems.map(formatProblem);
};
const value = (text: string) => {
  const read = parseYaml("f.yaml", bytes(text));
  assert(read.ok);
  return read.value.value;
};

Deno.test("plain YAML becomes plain values", () => {
  assert.deepEqual(value("\ufeffa: [1, x, true, null]\nb: {c: 'd'}\n"), {
    a: [1, "x", true, null],
    b: { c: "d" },
  });
  assert.equal(value(""), null);
  assert.deepEqual(value("on: off\n1: 2\n"), { on: "off", 1: 2 });
});

Deno.test("everything has a place", () => {
  const read = parseYaml("f.yaml", bytes("a: 1\nb:\n  - c: x\n    d: 1.10\n"));
  assert(read.ok);
  const { place, written } = read.value;
  assert.deepEqual(place(["b", 0, "d"]), { line: 4, column: 8 });
  assert.deepEqual(place(["b", 0, "d"], "key"), { line: 4, column: 5 });
  assert.deepEqual(place(["b", 0]), { line: 3, column: 5 });
  assert.deepEqual(place(["b", 0, "missing"]), { line: 3, column: 5 });
  assert.deepEqual(place(["missing"]), { line: 1, column: 1 });
  assert.equal(written(["b", 0, "d"]), "1.10");
  assert.equal(written(["b", 0, "c"]), undefined);
});

Deno.test("an alias bomb is refused at its first alias and expands nothing", () => {
  const bomb = Array.from(
    { length: 30 },
    (_, i) => i === 0 ? "a0: &a0 [x]" : `a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`,
  );
  const found = problems(bomb.join("\n"));
  assert.equal(
    found[0],
    "f.yaml:2:10: aliases (`*name`) are not allowed (write the value out again)",
  );
  assert.equal(found.length, 50);
});

Deno.test("nesting of a hundred thousand levels is refused before anything recurses", () => {
  for (const text of ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)]) {
    assert.match(problems(text)[0]!, /^f\.yaml:1:\d+: nested more than 64 levels deep$/);
  }
  const block = Array.from({ length: 100 }, (_, i) => `${" ".repeat(i)}a:`).join("\n");
  assert.match(problems(block)[0]!, /^f\.yaml:65:65: nested more than 64/);
  assert.deepEqual(problems("[".repeat(60) + "]".repeat(60)), []);
});

Deno.test("files that are too large, or have too many parts, are refused", () => {
  assert.deepEqual(problems(new Uint8Array(50_000_000)), [
    "f.yaml:1:1: the file is too large: 47.7 MiB, at most 1 MiB (keep data elsewhere)",
  ]);
  assert.deepEqual(problems("x".repeat(MAX_FILE_BYTES)), []);
  assert.match(problems("- a\n".repeat(200_000))[0]!, /too many parts/);
});

Deno.test("text that is none is refused at its place", () => {
  assert.deepEqual(problems("a: 1\nb: \0"), [
    "f.yaml:2:4: the file contains a NUL byte (save it as UTF-8 text)",
  ]);
  assert.deepEqual(problems(new Uint8Array([97, 58, 49, 10, 98, 58, 0xff])), [
    "f.yaml:2:1: the file is not valid UTF-8 (save it as UTF-8 text)",
  ]);
  assert.deepEqual(problems('a: "x\\0y"'), [
    "f.yaml:1:4: text must not contain a NUL character",
  ]);
});

Deno.test("what readers would not expect is refused", () => {
  const first = (text: string) => problems(text)[0];
  assert.equal(
    first("---\na: 1\n---\nb: 2\n"),
    "f.yaml:3:1: a second document (`---`) in one file (one file, one document)",
  );
  assert.match(first("%YAML 1.1\n---\na: on\n")!, /1:1: directives/);
  assert.equal(
    first("a: 1\nb: 2\na: 3\n"),
    "f.yaml:3:1: `a` is written twice (keep one of the two)",
  );
  assert.match(first("<<: {a: 1}\n")!, /1:1: merge keys/);
  assert.match(first("a: !!binary x\n")!, /1:\d+: tags/);
  assert.match(first("a: !x {b: 1}\n")!, /1:\d+: tags/);
  assert.match(first("a:\n\tb: 1\n")!, /2:1: indentation with a tab \(use spaces\)/);
  assert.match(first("? [a]\n: 1\n")!, /1:3: a key must be a word/);
  assert.match(first("__proto__: 1\n")!, /cannot be a key/);
  assert.match(first("a: 12345678901234567890\n")!, /not a number that can be kept exactly/);
  assert.match(first("a: 010\n")!, /1:4: 010 is read as 10 by some and as octal by others/);
});

Deno.test("all problems of a file come at once and in order", () => {
  assert.deepEqual(problems("b: *x\na: 1\na: 2\nc: .inf\n").map((p) => p.slice(7, 10)), [
    "1:4",
    "3:1",
    "4:4",
  ]);
});

Deno.test("half of a character is refused", () => {
  assert.match(problems('a: "\\ud800"')[0]!, /^f\.yaml:1:4: text must not contain half/);
});

Deno.test("a slip is told once, where it is, and not what the parser makes of the rest", () => {
  const slips = [
    "checkpoint: { dir: /shared/{job}, pattern: x }\n",
    "a: 1\nargs: [--lr={matrix.lr}, --seed={matrix.seed}]\n",
    'a: b\n}\n"x\n y\n z" q\n- w\n',
  ].map(problems);
  const brace = "a `{` in the middle of a text (put the text in quotes, such as " +
    '"/shared/{job}": inside `{ … }` and `[ … ]` a `{` begins a new map)';
  assert.deepEqual(slips.slice(0, 2), [[`f.yaml:1:28: ${brace}`], [`f.yaml:2:13: ${brace}`]]);
  assert.deepEqual(slips[2]?.map((one) => one.split(":")[1]), ["2"]);
  assert.deepEqual(problems('checkpoint: { dir: "/shared/{job}", pattern: x }\n'), []);
});

Deno.test("a key is found among forty thousand without a search through all", () => {
  const text = Array.from({ length: 40_000 }, (_, i) => `k${i}: ${i}`).join("\n");
  const read = parseYaml("f.yaml", bytes(text));
  assert(read.ok);
  const startedMs = performance.now();
  for (let i = 0; i < 40_000; i++) assert.equal(read.value.place([`k${i}`]).line, i + 1);
  assert.ok(performance.now() - startedMs < 5000, "quadratic");
});
