/** Everything breaks for a minute; then every job must have met its fate. */
import assert from "node:assert/strict";
import { CHAOS_LAB, runChaos } from "./chaos/run.ts";
import { labSuite } from "./suite.ts";

const suite = await labSuite(CHAOS_LAB);

/** `deno task chaos --minutes 1.1 --seed 1` is the same run, and other seeds are other runs. */
const SEED = 1;

suite.test("a minute of chaos", { torch: true, namespaces: true }, async ({ lab, python }) => {
  const lines: string[] = [];
  const say = (line: string) => lines.push(line);
  const { problems, summary } = await runChaos(lab, { seed: SEED, minutes: 1.1, python, say });
  console.log(summary.join("\n"));
  assert.deepEqual(problems, [], lines.join("\n"));
});
