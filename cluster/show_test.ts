import assert from "node:assert/strict";
import { cutText, plain, showValue, withoutControls } from "./show.ts";

Deno.test("controls, marks that reorder and halves of characters are replaced, joiners stay", () => {
  assert.equal(withoutControls("a\0\x9b\u202e\u2028\ud800b\n\t"), "a�����b\n\t");
  assert.equal(withoutControls("می\u200cخواهم 👩\u200d💻"), "می\u200cخواهم 👩\u200d💻");
  assert.equal(withoutControls("a\x1bb", " "), "a b");
});

Deno.test("a text is cut where a character ends", () => {
  assert.equal(cutText("a😀b", 3), "a…");
  assert.equal(cutText("a😀b", 4), "a😀b");
  assert.equal(plain("a😀b", 2), "a…");
  assert.equal(showValue("\u202e\n"), '"\\u202e\\n"');
});
