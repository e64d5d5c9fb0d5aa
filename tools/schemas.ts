/**
 * Writes the JSON Schemas that editors use for `cluster.yaml`, manifests and training defaults.
 *
 * @example
 * deno run --allow-write=schemas --allow-env tools/schemas.ts
 *
 * @module
 */
import { z } from "zod";
import { clusterSchema } from "../cluster/schema.ts";
import { defaultsSchema, manifestSchema } from "../jobs/schema.ts";

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  "job.schema.json": manifestSchema,
  "cluster.schema.json": clusterSchema,
  "training_defaults.schema.json": defaultsSchema,
};

/** The text of every schema file by name. */
export function schemaFiles(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(SCHEMAS).map(([name, schema]) => {
      const json = z.toJSONSchema(schema, { io: "input", target: "draft-7" });
      return [name, `${JSON.stringify(json, null, 2)}\n`];
    }),
  );
}

if (import.meta.main) {
  const folder = new URL("../schemas/", import.meta.url);
  for (const [name, text] of Object.entries(schemaFiles())) {
    Deno.writeTextFileSync(new URL(name, folder), text);
  }
}
