import assert from "node:assert/strict";
import { childName, JOB_NAME, type Values } from "./names.ts";

Deno.test("values that a name can show are shown; others get a digest of all of them", () => {
  const table: [string, Values, string][] = [
    ["sweep", { index: 3 }, "sweep-3"],
    ["sweep", { "training.seed": 1, "training.opt": "adam" }, "sweep-adam-1"],
    ["sweep", { "training.opt": "adam", "training.seed": 1 }, "sweep-adam-1"],
    ["sweep", { "training.fp16": true }, "sweep-true"],
    ["sweep", { "training.lr": 0.001 }, "sweep-0-001-dad250"],
    ["sweep", { "training.lr": 0.001, "training.seed": 1 }, "sweep-0-001-1-0165c0"],
    ["sweep", { "model.name": "meta/Llama-3" }, "sweep-meta-llama-3-4aae9f"],
    ["sweep", { "training.text": "" }, "sweep-f247a5"],
    ["sweep", { "training.text": "ärger" }, "sweep-rger-84e941"],
    ["sweep", { "training.lr": -1 }, "sweep-1-2bf436"],
  ];
  for (const [parent, values, name] of table) {
    assert.equal(childName(parent, values), name);
    assert.match(name, JOB_NAME);
  }
});

Deno.test("a long name is cut, and the digest keeps it apart from its like", () => {
  const parent = "p".repeat(60);
  const [a, b] = ["xxxx", "xxxy"].map((text) => childName(parent, { "training.a": text }));
  assert.notEqual(a, b);
  for (const name of [a!, b!]) assert.match(name, JOB_NAME);
  assert.equal(childName(parent, { index: 12 }), `${parent}-12`, "63 characters fit");
});
