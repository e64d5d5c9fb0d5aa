import assert from "node:assert/strict";
import { readTemplate, trainingFlags } from "./flags.ts";

const TRAINING = {
  learning_rate: 0.1,
  fp16: true,
  resume: false,
  ids: [1, 2],
  note: "a b",
  gone: null,
  empty: [],
};

function flags(template: string, training: Record<string, unknown>, booleans?: "value") {
  const style = readTemplate(template, booleans);
  assert(typeof style === "object", String(style));
  const problems: string[] = [];
  const list = trainingFlags(training, style, () => undefined, (path, message) => {
    problems.push(`${path.join(".")}: ${message}`);
  });
  return problems.length > 0 ? problems : list;
}

Deno.test("a flag and its value are two arguments", () => {
  assert.deepEqual(flags("--{name} {value}", TRAINING), [
    ...["--learning_rate", "0.1", "--fp16", "--ids", "1", "2", "--note", "a b"],
  ]);
});

Deno.test("a flag and its value are one argument, with dashes in the name", () => {
  assert.deepEqual(flags("--{kebab}={value}", TRAINING), [
    ...["--learning-rate=0.1", "--fp16", "--ids=1", "--ids=2", "--note=a b"],
  ]);
});

Deno.test("Hydra overrides take booleans, lists and nested maps", () => {
  assert.deepEqual(flags("{name}={value}", { ...TRAINING, optim: { beta: { one: 0.9 } } }), [
    ...["learning_rate=0.1", "fp16=true", "resume=false", "ids=[1,2]", "note=a b", "empty=[]"],
    "optim.beta.one=0.9",
  ]);
});

Deno.test("booleans can be values", () => {
  assert.deepEqual(flags("--{name} {value}", { a: true, b: false }, "value"), [
    ...["--a", "true", "--b", "false"],
  ]);
});

Deno.test("what cannot be a flag is a problem", () => {
  assert.deepEqual(flags("--{name} {value}", { a: { b: 1 }, "-x": 1, c: [[1]] }), [
    "a: `training.a` is a map and cannot be a flag",
    "-x: a training parameter needs a name of letters, digits, `_`, `.` and `-`",
    "c: `training.c` may only list text, numbers and truth values",
  ]);
});

Deno.test("templates that cannot work say why", () => {
  assert.equal(readTemplate("none"), undefined);
  for (
    const template of [
      "",
      "--x",
      "--{name}",
      "{value}",
      "{value} --{name}",
      "--{name}  {value}",
      "--{nam}={value}",
      "a b {name}={value}",
      "--{name}={value",
    ]
  ) {
    assert.equal(typeof readTemplate(template), "string", template);
  }
});
