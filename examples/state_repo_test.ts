import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { parseCluster } from "../cluster/parse.ts";
import type { Parsed } from "../cluster/problem.ts";
import { parseDefaults } from "../jobs/defaults.ts";
import { parseManifest } from "../jobs/manifest.ts";

const ROOT = new URL("./state-repo/", import.meta.url);
const read = (file: string) => Deno.readFileSync(new URL(file, ROOT));

function valid<T>(parsed: Parsed<T>): T {
  assert(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.warnings, []);
  return parsed.value;
}

Deno.test("the example's files are without problems", () => {
  const cluster = valid(parseCluster("cluster.yaml", read("cluster.yaml")));
  const defaultsFile = "config/training_defaults.yaml";
  const defaults = valid(parseDefaults(defaultsFile, read(defaultsFile)));
  const hasPath = (path: string) => existsSync(new URL(path, ROOT));
  const jobs = [...Deno.readDirSync(new URL("jobs/", ROOT))].flatMap(({ name }) => {
    const file = `jobs/${name}`;
    return valid(parseManifest(file, read(file), { cluster, defaults, hasPath }));
  });
  assert.deepEqual(jobs.map((job) => job.name).sort(), ["finetune", "hello"]);
  const finetune = jobs.find((job) => job.name === "finetune");
  assert.deepEqual(finetune?.flags, ["--epochs", "20", "--lr", "0.05"]);
  assert.deepEqual(finetune?.args, ["--batch-size", "64", "--samples", "4096"]);
  assert.deepEqual(finetune?.code, { kind: "repository", path: "scripts" });
});

Deno.test("the shortest example is three lines", () => {
  const lines = new TextDecoder().decode(read("jobs/hello.yaml")).trimEnd().split("\n");
  assert.equal(lines.length, 3);
});
