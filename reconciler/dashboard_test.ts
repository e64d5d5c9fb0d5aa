import assert from "node:assert/strict";
import { cell } from "./dashboard.ts";

Deno.test("a cell holds no markup, address, mention or mathematics of others", () => {
  assert.equal(cell("<b>|`x`"), "&lt;b&gt;&#124;&#96;x&#96;");
  assert.equal(cell("see WWW.evil.example"), "see WWW&#46;evil.example");
  assert.equal(cell("https://x @all #1 $a$"), "https&#58;//x &#64;all &#35;1 &#36;a&#36;");
  assert.equal(cell("a\nb\x9bc\u2066d\u2028e"), "a b c d e");
});

Deno.test("a cell is cut where a character ends, and before it is escaped", () => {
  assert.equal(cell("😀".repeat(200)), `${"😀".repeat(149)}…`);
  assert.match(cell("<".repeat(400)), /^(?:&lt;){299}…$/);
});
