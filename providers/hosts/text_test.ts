import assert from "node:assert/strict";
import { cleanLine, cleanText, isClean } from "./text.ts";

Deno.test("colours, titles and cursor moves go; lines and tabs stay", () => {
  const text = "\x1b]0;title\x07\x1b[1;31mred\x1b[0m\tx\r\n 10%\r 20%\x1b[2K\n\x1bM";
  assert.equal(cleanText(text, 100), "red\tx\n 10%\n 20%\n");
});

Deno.test("control and reordering characters are replaced", () => {
  assert.equal(cleanText("a\x00b\x7fc\x9bd\u202ee\u2028f\x1b", 100), "a�b�c�d�e�f�");
});

Deno.test("a line is one line, and cut", () => {
  assert.equal(cleanLine(" a\n\tb\r\nc "), "a b c");
  assert.equal(cleanLine("x".repeat(9), 5), "xxxx…");
});

Deno.test("only what cleaning leaves alone is clean", () => {
  assert.equal(isClean("/data/größe 1/step-1", 100), true);
  for (const text of ["a\nb", "a\tb", "a\x1b[0m", "\u202e", "x".repeat(101)]) {
    assert.equal(isClean(text, 100), false);
  }
});

Deno.test("a text is cut where a character ends, and holds no half of one", () => {
  assert.equal(cleanLine("a😀b", 3), "a…");
  assert.equal(cleanText("a\ud800b", 9), "a�b");
  assert.equal(isClean("a\udc00", 9), false);
});
