/**
 * Plays `scenarios/*.yaml`. After a wanted change of behaviour rewrite what they expect, and read
 * the difference: `deno test -A reconciler/scenarios_test.ts -- --update`.
 */
import assert from "node:assert/strict";
import { play } from "./testing/scenario.ts";

const folder = new URL("./scenarios/", import.meta.url);
const update = Deno.args.includes("--update");

const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();

for (const name of names) {
  Deno.test(`scenario ${name.replace(/\.yaml$/, "")}`, async () => {
    const file = new URL(name, folder);
    const text = await Deno.readTextFile(file);
    const { about, text: played } = await play(text);
    if (update) await Deno.writeTextFile(file, played);
    else assert.equal(played, text, `${about}\nIf this is wanted: -- --update, and read the diff.`);
  });
}

Deno.test("there are scenarios", () => assert.ok(names.length >= 12));
