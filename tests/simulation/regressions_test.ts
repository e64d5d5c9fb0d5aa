import assert from "node:assert/strict";
import { readRegressions } from "./regressions.ts";
import { simulate } from "./run.ts";
import { describeFailure } from "./tally.ts";

for (const [name, scenario] of await readRegressions()) {
  Deno.test(`what ${name} showed stays mended`, async () => {
    const result = await simulate(scenario);
    assert.equal(result.violation, undefined, describeFailure({ seed: scenario.seed, result }));
  });
}

Deno.test("the stored scenarios can be read", async () => {
  for (const scenario of (await readRegressions()).values()) assert.ok(scenario.nodes.length > 0);
});
