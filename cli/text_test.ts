import assert from "node:assert/strict";
import fc from "fast-check";
import { safe, safeLines } from "./text.ts";

Deno.test("terminal escapes, C1 controls and direction overrides become visible", () => {
  assert.equal(safe("a\x1b[2Jb\x07"), "a\\u001b[2Jb\\u0007");
  assert.equal(safe("\x9b31m \u202eevil\u2066"), "\\u009b31m \\u202eevil\\u2066");
  assert.equal(safe("one\ntwo\r"), "one\\u000atwo\\u000d");
});

Deno.test("ordinary text in any script stays as it is", () => {
  for (const text of ["plain", "größe 数据 训练", "a — b → c", "ünïcödé 🚀"]) {
    assert.equal(safe(text), text);
  }
});

Deno.test("lines stay lines, tabs become spaces", () => {
  assert.equal(safeLines("a\tb\r\nc\x1b]0;t\x07\n"), "a  b\nc\\u001b]0;t\\u0007\n");
});

Deno.test("no text whatever lets a control character through", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.doesNotMatch(
      safeLines(text).replaceAll("\n", ""),
      /\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u,
    );
  }));
});
