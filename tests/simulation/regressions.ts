/**
 * Scenarios that once showed a fault, small and stored; the tests run all of them.
 *
 * @module
 */
import { parse, stringify } from "yaml";
import { fileURLToPath } from "node:url";
import type { Scenario } from "./scenario.ts";
import type { Failing } from "./shrink.ts";

/** Where they are. */
const FOLDER = fileURLToPath(new URL("./regressions/", import.meta.url));

/** Stores one; gives its path. */
export async function storeRegression(found: Failing): Promise<string> {
  const { scenario, invariant, message } = found;
  await Deno.mkdir(FOLDER, { recursive: true });
  const path = `${FOLDER}${invariant}-seed-${scenario.seed}.yaml`;
  const head = `# ${invariant}: ${message.split("\n")[0]}\n`;
  await Deno.writeTextFile(path, head + stringify(scenario, { lineWidth: 100 }));
  return path;
}

/** All of them by name. */
export async function readRegressions(): Promise<Map<string, Scenario>> {
  const found = new Map<string, Scenario>();
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (!name.endsWith(".yaml")) continue;
    found.set(name, parse(await Deno.readTextFile(FOLDER + name)) as Scenario);
  }
  return new Map([...found].sort(([a], [b]) => a < b ? -1 : 1));
}
