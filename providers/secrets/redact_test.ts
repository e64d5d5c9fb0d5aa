import assert from "node:assert/strict";
import { redactor } from "./redact.ts";

const TOKEN = "hf_S3cr3t/+ value";
const clean = redactor([{ name: "T", value: TOKEN }, { name: "SHORT", value: "abc12" }]);

Deno.test("a value is replaced by its name, wherever and however often it stands", () => {
  assert.equal(clean(`401 for ${TOKEN}, ${TOKEN}!`), "401 for [secret T], [secret T]!");
  assert.equal(clean("nothing here"), "nothing here");
});

Deno.test("so is what URLs, JSON and base64 make of it, with something before it, too", () => {
  assert.equal(clean(`?t=${encodeURIComponent(TOKEN)}&x`), "?t=[secret T]&x");
  const quoted = redactor([{ name: "T", value: 'a"b\\c\nd"e' }]);
  assert.equal(quoted(JSON.stringify({ t: 'a"b\\c\nd"e' })), '{"t":"[secret T]"}');
  assert.equal(quoted(`'a"b\\\\c\\nd"e'`), "'[secret T]'");
  for (const before of ["", "u:", "user:", "x"]) {
    const text = btoa(`${before}${TOKEN}:more`);
    for (const encoded of [text, text.replaceAll("+", "-").replaceAll("/", "_")]) {
      assert.match(clean(`Basic ${encoded}`), /\[secret T\]/, before);
    }
  }
});

Deno.test("each line of a value that has several is one too", () => {
  const pem = "-----BEGIN X-----\nMIIabcdef012345\n  MIIghijkl678901\n-----END X-----\n";
  const text = redactor([{ name: "PEM", value: pem }])("bad: MIIghijkl678901 in line 2");
  assert.equal(text, "bad: [secret PEM] in line 2");
});

Deno.test("the longer of two values that share a part is found first", () => {
  const both = redactor([{ name: "A", value: "secret-1" }, { name: "B", value: "secret-123" }]);
  assert.equal(both("secret-123 secret-1"), "[secret B] [secret A]");
});

Deno.test("what is shorter than 6 characters is left: it would hit ordinary words", () => {
  assert.equal(clean("abc12"), "abc12");
});

Deno.test("`$` in a name or a value means nothing", () => {
  assert.equal(redactor([{ name: "$&", value: "$&$&$&" }])("x $&$&$& y"), "x [secret $&] y");
});
