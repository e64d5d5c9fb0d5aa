import assert from "node:assert/strict";
import { specDigest } from "./digest.ts";
import type { JobSpec } from "./job.ts";
import { type ManifestContext, parseManifest } from "./manifest.ts";
import { formatProblem } from "./problem.ts";

const FILE = "jobs/sweep.yaml";
const CONTEXT: ManifestContext = {
  defaults: { training: { epochs: 3 }, optimizer: { name: "adam", beta: 0.9 } },
  hasPath: () => true,
};

const parse = (text: string, context = CONTEXT) =>
  parseManifest(FILE, new TextEncoder().encode(text), context);

function jobs(lines: string): readonly JobSpec[] {
  const parsed = parse(`script: train.py\n${lines}\n`);
  assert(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

function problems(lines: string): string[] {
  const parsed = parse(`script: train.py\n${lines}\n`);
  return parsed.ok ? [] : parsed.problems.map((p) => formatProblem(p).slice(FILE.length + 1));
}

const names = (lines: string) => jobs(lines).map(({ name }) => name);

Deno.test("a matrix is a job for each combination, its values where a manifest has them", () => {
  const found = jobs(`matrix: {lr: [0.001, 1.0e-2], seed: [1, 2, 3]}
training: {lr: 9, warmup: 5}
args: ["--out={job}", "--again={matrix.lr}/{training.seed}"]`);
  assert.equal(found.length, 6);
  const [first, , , fourth] = found;
  assert.deepEqual(first!.flags, ["--lr", "0.001", "--warmup", "5", "--seed", "1"]);
  assert.deepEqual(first!.args, [`--out=${first!.name}`, "--again=0.001/1"]);
  assert.deepEqual(first!.config["training"], { epochs: 3, lr: 0.001, warmup: 5, seed: 1 });
  assert.deepEqual(first!.written["training"], { lr: 0.001, warmup: 5, seed: 1 });
  assert.deepEqual(fourth!.flags, ["--lr", "0.01", "--warmup", "5", "--seed", "1"]);
  assert.deepEqual(new Set(found.map(({ parent }) => parent)), new Set(["sweep"]));
  assert.equal(new Set(found.map(specDigest)).size, 6);
});

Deno.test("a dotted key names a section, `env.` a variable; numbers stay as they are written", () => {
  const [first] = jobs(`matrix: {optimizer.name: [sgd], model.a.b: [x], env.A: [1.10], lr: [1.10]}
env: {B: 2.0}
args: ["{optimizer.name}", "{optimizer.beta}", "{matrix.env.A}", "{matrix.model.a.b}", "{training.lr}"]`);
  assert.deepEqual(first!.config["optimizer"], { name: "sgd", beta: 0.9 });
  assert.deepEqual(first!.config["model"], { a: { b: "x" } });
  assert.deepEqual({ ...first!.env }, { B: "2.0", A: "1.10" });
  assert.deepEqual(first!.args, ["sgd", "0.9", "1.10", "x", "1.10"]);
  assert.deepEqual(first!.flags, ["--lr", "1.10"]);
});

Deno.test("an array is a job for each number", () => {
  assert.deepEqual(names("array: 3"), ["sweep-0", "sweep-1", "sweep-2"]);
  const [first, ...rest] = jobs('array: 3-7\nargs: ["--part={array.index}"]');
  assert.equal(rest.length, 4);
  assert.equal(first!.name, "sweep-3");
  assert.deepEqual({ ...first!.env }, { UGRO_ARRAY_INDEX: "3" });
  assert.deepEqual([first!.args, first!.flags], [["--part=3"], []]);
  assert.notEqual(specDigest(first!), specDigest(rest[0]!), "they are not one job");
});

Deno.test("adding a value renames no job and changes none", () => {
  const few = jobs("matrix: {lr: [0.1, 0.2], seed: [1]}");
  const more = jobs("matrix: {seed: [2, 1], training.lr: [0.3, 0.2, 0.1]}");
  const known = new Map(more.map((spec) => [spec.name as string, specDigest(spec)]));
  for (const spec of few) assert.equal(known.get(spec.name), specDigest(spec));
});

Deno.test("one value is one job, which has a parent all the same", () => {
  assert.deepEqual(jobs("matrix: {seed: [7]}").map((j) => [j.name, j.parent]), [[
    "sweep-7",
    "sweep",
  ]]);
});

Deno.test("each job has when it runs from its manifest", () => {
  for (const spec of jobs("array: 2\nafter: prep\nmaxParallel: 1")) {
    assert.deepEqual(spec.after, [{ job: "prep", when: "success" }]);
    assert.equal(spec.maxParallel, 1);
    assert(!("schedule" in spec));
  }
});

Deno.test("whatever is wrong is told at its place, once for all jobs", () => {
  const table: [string, readonly string[]][] = [
    ["array: 2\nmatrix: {a: [1]}", ["2:1: `array` and `matrix` exclude each other (keep one)"]],
    [
      'array: 2\nschedule: "0 3 * * *"',
      ["3:1: `schedule` and `array` exclude each other (keep one)"],
    ],
    ["matrix: {a: [1, 2, 1]}", ["2:20: 1 is listed twice (keep one)"]],
    ['matrix: {a: [1, "1"]}', ['2:17: "1" is listed twice (keep one)']],
    ["matrix: {a: [1.0, 1.00]}", ["2:19: 1 is listed twice (keep one)"]],
    [
      "matrix: {lr: [1], training.lr: [2]}",
      ["2:19: `training.lr` and `lr` set the same parameter (keep one)"],
    ],
    [
      "matrix: {model.a: [1], model.a.b: [2]}",
      ["2:24: `model.a.b` and `model.a` set the same parameter (keep one)"],
    ],
    [
      "matrix: {optimiser.name: [a]}",
      ["2:10: no section is named `optimiser` (did you mean `optimizer`?)"],
    ],
    [
      "matrix: {env.UGRO_X: [1]}",
      ['2:10: `env.` must be followed by a name of letters, digits and `_` that does not begin with `UGRO_`, not "UGRO_X"'],
    ],
    ["matrix: {a: []}", ["2:13: `matrix.a` must be a list of at least one value, not a list"]],
    [
      "matrix: {a: [[1]]}",
      ["2:14: `matrix.a[0]` must be text, a number, true or false, not a list"],
    ],
    ["matrix: {}", ["2:9: `matrix` must be a map of parameters to lists, not a map"]],
    [
      "matrix: {training.__proto__.x: [1]}",
      ['2:10: a key of `matrix` must be a parameter such as `lr`, `optimizer.name` or `env.NAME`, not "training.__proto__.x"'],
    ],
    ["array: 5-2", ["2:8: `array` runs backwards (`2-5`)"]],
    ["array: 0-1000", ["2:8: `array` makes 1001 jobs; at most 1000 are possible"]],
    [
      "array: 1001",
      ["2:8: `array` must be a whole number from 1 to 1000, or two such as `3-7`, not 1001"],
    ],
    [
      `matrix: {a: [${Array.from({ length: 101 }, (_, i) => i)}], b: [0,1,2,3,4,5,6,7,8,9]}`,
      ["2:9: `matrix` makes 1010 jobs; at most 1000 are possible"],
    ],
    [
      "array: 3\ncheckpoint: {dir: /data/x}",
      ["3:19: `checkpoint.dir` is one folder for 3 jobs (add `/{job}` to it)"],
    ],
    [
      'array: 3\nargs: ["{array.idx}"]',
      ["3:8: `{array.idx}` has no value (did you mean `array.index`?)"],
    ],
    [
      "matrix: {env.TOKEN: [a, b]}\nsecrets: {TOKEN: {file: x}}",
      ["3:11: `TOKEN` is in `env`, too (keep one)"],
    ],
  ];
  for (const [text, expected] of table) assert.deepEqual(problems(text), expected, text);
});

Deno.test("jobs that would be too large together are refused, and not made", () => {
  const many = `matrix: {seed: [${Array.from({ length: 1000 }, (_, i) => i)}]}`;
  const large = `${many}\ntraining: {text: ${"x".repeat(40_000)}}`;
  assert.deepEqual(problems(large), [
    "1:1: its 1000 jobs are too large together (make fewer of them, or keep data in a file)",
  ]);
  assert.equal(jobs(many).length, 1000);
});

Deno.test("an argument is as long as Linux takes one, whatever its placeholders make of it", () => {
  const filled = (times: number) =>
    problems(
      `training: {t: ${"x".repeat(1000)}}\nflags: none\nargs: ["${"{training.t}".repeat(times)}"]`,
    );
  assert.deepEqual(filled(100), []);
  assert.deepEqual(filled(200), [
    "4:8: the argument is longer than 131071 characters (give the script a file, or the values one by one)",
  ]);
});
