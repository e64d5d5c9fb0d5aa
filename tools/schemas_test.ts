import assert from "node:assert/strict";
import { schemaFiles } from "./schemas.ts";

Deno.test("the schemas in the repository are up to date", () => {
  for (const [name, text] of Object.entries(schemaFiles())) {
    const stored = Deno.readTextFileSync(new URL(`../schemas/${name}`, import.meta.url));
    assert.equal(stored, text, `schemas/${name}: run \`deno run -A tools/schemas.ts\``);
  }
});

Deno.test("editors get a description for every key", () => {
  const missing: string[] = [];
  const visit = (schema: unknown, path: string) => {
    if (typeof schema !== "object" || schema === null) return;
    const { properties = {}, ...rest } = schema as { properties?: Record<string, unknown> };
    for (const [key, inner] of Object.entries(properties)) {
      const { description } = inner as { description?: string };
      if (!description) missing.push(`${path}.${key}`);
      visit(inner, `${path}.${key}`);
    }
    for (const [key, inner] of Object.entries(rest)) visit(inner, `${path}/${key}`);
  };
  for (const [name, text] of Object.entries(schemaFiles())) visit(JSON.parse(text), name);
  assert.deepEqual(missing, []);
});
