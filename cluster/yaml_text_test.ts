import assert from "node:assert/strict";
import { parse } from "yaml";
import { yamlText } from "./yaml_text.ts";

Deno.test("characters that move a cursor or reorder text are escaped, and read back", () => {
  const value = { "k\u202e": "a\x9b31m\u2066b\u{e0001}", plain: "größe: 🚀" };
  const text = yamlText(value);
  assert.equal(text, '"k\\u202e": "a\\u009b31m\\u2066b\\U000e0001"\nplain: "größe: 🚀"\n');
  assert.deepEqual(parse(text), value);
});

Deno.test("a long line is never broken in the middle of a character", () => {
  const value = { message: `x: ${"😀".repeat(200)}` };
  const bytes = new TextEncoder().encode(yamlText(value, { lineWidth: 100 }));
  assert.deepEqual(parse(new TextDecoder().decode(bytes)), value);
});
