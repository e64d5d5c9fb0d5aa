import assert from "node:assert/strict";
import { didYouMean, editDistance, nearest } from "./suggest.ts";

Deno.test("a swap of neighbours is one edit", () => {
  assert.equal(editDistance("torhc", "torch"), 1);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("kitten", "sitting"), 3);
});

Deno.test("spelling styles, typos and longer forms find the known word", () => {
  const known = ["nodes", "gpusPerNode", "port", "host"];
  assert.equal(nearest("gpus_per_node", known), "gpusPerNode");
  assert.equal(nearest("GPUs-Per-Node", known), "gpusPerNode");
  assert.equal(nearest("noeds", known), "nodes");
  assert.equal(nearest("ssh_port", known), "port");
  assert.equal(nearest("colour", known), undefined);
});

Deno.test("without a likely word the known ones are listed, when they are few", () => {
  assert.equal(didYouMean("x", ["alpha", "beta"]), "known here: `alpha`, `beta`");
  assert.equal(didYouMean("x", []), undefined);
  assert.equal(didYouMean("x".repeat(10_000), ["alpha"]), "known here: `alpha`");
});

Deno.test("known words come from people's files, and are shown without their effects", () => {
  assert.equal(didYouMean("x", ["a\nb\u202e"]), "known here: `a\\u000ab\\u202e`");
  assert.equal(didYouMean("ab", ["a\x1bb"]), "did you mean `a\\u001bb`?");
});

Deno.test("a hint takes no time among a hundred thousand words", () => {
  const known = Array.from({ length: 100_000 }, (_, i) => `word-number-${i}`);
  assert.equal(nearest("word-number-x", known), "word-number-0");
  assert.equal(nearest("wor", known.slice(1000)), undefined);
});
