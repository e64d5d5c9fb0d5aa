import assert from "node:assert/strict";
import { checkStyle } from "./check_imports.ts";
import { formatFinding } from "./style/finding.ts";

/** Checks a project of a few files and gives the findings as lines. */
function check(files: Record<string, string>, imports: Record<string, string> = {}): string[] {
  const denoJson = JSON.stringify({ imports }, null, 2);
  return checkStyle(new Map(Object.entries(files)), denoJson).map(formatFinding);
}

const use = (path: string, name: string) => `import { ${name} } from "${path}";\n${name};\n`;

Deno.test("an import that the table allows is no finding", () => {
  assert.deepEqual(
    check({
      "cluster/node.ts": "export const node = 1;\n",
      "jobs/job.ts": `${use("../cluster/node.ts", "node")}export const job = 1;\n`,
      "reconciler/ports.ts": `${use("../jobs/job.ts", "job")}export const ports = 1;\n`,
      "providers/git/mod.ts": `${use("../../reconciler/ports.ts", "ports")}export const git = 1;\n`,
      "cli/mod.ts": `${use("../providers/git/mod.ts", "git")}export const cli = 1;\n`,
      "main.ts": use("./cli/mod.ts", "cli"),
    }),
    [],
  );
});

Deno.test("an import against the table is found with its place and the way out", () => {
  const findings = check({
    "cluster/node.ts": use("../jobs/job.ts", "job"),
    "jobs/job.ts": "export const job = 1;\n",
  });
  assert.equal(findings.length, 1);
  assert.match(findings[0] ?? "", /^cluster\/node\.ts:1:21: cluster may not import jobs\/job\.ts/);
});

Deno.test("a provider may import the ports, but neither the planner nor another provider", () => {
  const findings = check({
    "providers/git/mod.ts": use("../../reconciler/planner.ts", "plan") +
      use("../sim/mod.ts", "sim"),
    "providers/sim/mod.ts": "export const sim = 1;\n",
    "reconciler/planner.ts": "export const plan = 1;\n",
  });
  assert.deepEqual(findings.map((f) => f.split(";")[0]), [
    "providers/git/mod.ts:1:22: providers may not import reconciler/planner.ts",
    "providers/git/mod.ts:3:21: providers may not import providers/sim/mod.ts",
  ]);
});

Deno.test("the simulation may import the git that it stands in for, and never the other way round", () => {
  const findings = check({
    "providers/git/state.ts": `${use("../sim/git.ts", "sim")}export const state = 1;\n`,
    "providers/sim/git.ts": "export const sim = 1;\n",
    "providers/sim/repository.ts": use("../git/state.ts", "state") +
      use("../hosts/fleet.ts", "fleet"),
    "providers/hosts/fleet.ts": "export const fleet = 1;\n",
  });
  assert.deepEqual(findings.map((f) => f.split(";")[0]), [
    "providers/git/state.ts:1:21: providers may not import providers/sim/git.ts",
    "providers/sim/repository.ts:3:23: providers may not import providers/hosts/fleet.ts",
  ]);
});

Deno.test("a test beside the code may import anything, and nothing may import a test", () => {
  const findings = check({
    "reconciler/loop_test.ts": `${use("../providers/sim/mod.ts", "sim")}export const helper = 1;\n`,
    "providers/sim/mod.ts": "export const sim = 1;\n",
    "reconciler/loop.ts": use("./loop_test.ts", "helper"),
    "tests/lab/lab.ts": "export const lab = 1;\n",
    "bench/pass_bench.ts": use("../tests/lab/lab.ts", "lab"),
  });
  assert.deepEqual(findings, [
    "reconciler/loop.ts:1:24: reconciler may not import reconciler/loop_test.ts; " +
    "move what both need out of the test",
  ]);
});

Deno.test("a new top-level folder has to be put into the table", () => {
  const [finding] = check({
    "extra/a.ts": use("../jobs/job.ts", "job"),
    "jobs/job.ts": "export const job = 1;\n",
  });
  assert.match(finding ?? "", /add the folder "extra" to the table/);
});

Deno.test("a cycle is told once, type imports included", () => {
  const findings = check({
    "jobs/a.ts": 'import type { B } from "./b.ts";\nexport type A = B;\n',
    "jobs/b.ts": 'import type { A } from "./a.ts";\nexport type B = A;\n',
  });
  assert.equal(findings.length, 1);
  assert.match(findings[0] ?? "", /import cycle jobs\/a\.ts → jobs\/b\.ts → jobs\/a\.ts/);
});

Deno.test("an export that nobody imports is found; types of a signature are not", () => {
  const findings = check({
    "jobs/a.ts": [
      "export interface Shape { readonly size: number }",
      "export const used = 1;",
      "export function dead(): void {}",
      "export const local = 2;",
      "export const shapes: Shape[] = [{ size: local }];",
      "export type Orphan = string;",
      "",
    ].join("\n"),
    "jobs/b_test.ts": use("./a.ts", "used") + use("./a.ts", "shapes"),
  });
  assert.deepEqual(findings, [
    "jobs/a.ts:3:17: nobody imports dead: delete it",
    "jobs/a.ts:4:14: nobody imports local: drop the word export",
    "jobs/a.ts:6:13: nobody imports Orphan: delete it",
  ]);
});

Deno.test("re-exports, namespaces and dynamic imports count as uses", () => {
  assert.deepEqual(
    check({
      "jobs/a.ts": "export const a = 1;\n",
      "jobs/b.ts": "export const b = 1;\n",
      "jobs/c.ts": "export const c = 1;\n",
      "jobs/mod.ts": 'export { a } from "./a.ts";\nexport * from "./b.ts";\n',
      "cli/mod.ts": 'await import("../jobs/c.ts");\n' + use("../jobs/mod.ts", "a"),
    }),
    [],
  );
});

Deno.test("long functions and long files are found, at their limits they are not", () => {
  const body = (lines: number) => `function f() {\n${"  f();\n".repeat(lines - 2)}}\nf();\n`;
  assert.deepEqual(check({ "jobs/a.ts": body(70) }), []);
  assert.deepEqual(check({ "jobs/a.ts": body(71) }), [
    "jobs/a.ts:1:1: f has 71 lines, more than 70: split it",
  ]);
  assert.deepEqual(check({ "jobs/a.ts": "f();\n".repeat(400) }), []);
  assert.deepEqual(check({ "jobs/a.ts": "f();\n".repeat(401) }), [
    "jobs/a.ts:401:1: the file has 401 lines, more than 400: split it by topic",
  ]);
});

Deno.test("packages come through the import map, with an exact version", () => {
  const text = 'import "zod";\nimport "zod/mini";\nimport "npm:yaml@2.9.1";\nimport "left-pad";\n' +
    'import "node:path";\nimport "@david/dax";\n';
  const imports = { zod: "npm:zod@^4.6.7", "@david/dax": "npm:dax@0.49.0" };
  assert.deepEqual(check({ "jobs/a.ts": text }, imports), [
    'deno.json:3:5: "npm:zod@^4.6.7" is not an exact version: write npm:NAME@MAJOR.MINOR.PATCH',
    'jobs/a.ts:3:8: "npm:yaml@2.9.1" is imported past the import map: give it a name in deno.json',
    'jobs/a.ts:4:8: "left-pad" is not in the import map: add it to deno.json with an exact version',
  ]);
});
