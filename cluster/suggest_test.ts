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
