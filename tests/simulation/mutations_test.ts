import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { MUTATIONS } from "./mutations.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("each mutation changes exactly one place of the code as it is", async () => {
  for (const { name, file, find, replace } of MUTATIONS) {
    const parts = (await Deno.readTextFile(root + file)).split(find);
    assert.equal(parts.length, 2, `${name}: ${parts.length - 1} places in ${file}`);
    assert.notEqual(find, replace, name);
  }
});
