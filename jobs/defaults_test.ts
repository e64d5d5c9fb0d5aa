import assert from "node:assert/strict";
import { parseDefaults } from "./defaults.ts";
import { formatProblem } from "./problem.ts";
import { mergeContent, mergeSections } from "./sections.ts";

const parse = (text: string) => parseDefaults("d.yaml", new TextEncoder().encode(text));

Deno.test("defaults are sections of free content", () => {
  const bytes = Deno.readFileSync(new URL("./fixtures/training_defaults.yaml", import.meta.url));
  const parsed = parseDefaults("config/training_defaults.yaml", bytes);
  assert(parsed.ok);
  assert.equal(parsed.value.training?.["learning_rate"], 0.0002);
  assert.deepEqual(parsed.value.lora?.["target_modules"], ["q_proj", "v_proj"]);
  assert.deepEqual(parse("# nothing yet\n"), { ok: true, value: {}, warnings: [] });
});

Deno.test("unknown sections and sections that are no maps are problems", () => {
  const parsed = parse("trainig: {lr: 1}\nmodel: gpt2\nlora:\n");
  assert.deepEqual(parsed.ok ? [] : parsed.problems.map(formatProblem), [
    "d.yaml:1:1: unknown key `trainig` (did you mean `training`?)",
    'd.yaml:2:8: `model` must be a map of `key: value` lines, not "gpt2"',
    "d.yaml:3:6: `lora` must be a map of `key: value` lines, not empty (give a value, or remove the key)",
  ]);
});

Deno.test("maps merge, lists and values replace, null removes", () => {
  assert.deepEqual(
    mergeContent({ a: { x: 1, y: 2 }, l: [1, 2], k: 1 }, {
      a: { y: 3, x: null },
      l: [3],
      k: { z: 1 },
    }),
    { a: { y: 3 }, l: [3], k: { z: 1 } },
  );
  assert.deepEqual(mergeSections({ model: { a: 1 } }, { model: { a: null } }, { lora: { r: 1 } }), {
    lora: { r: 1 },
  });
});
