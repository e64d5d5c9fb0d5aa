import assert from "node:assert/strict";
import { parseCluster } from "../cluster/parse.ts";
import { parseManifest } from "./manifest.ts";
import { formatProblem } from "./problem.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const FILE = "jobs/demo.yaml";
const QUEUES = `nodes: [{name: a}]
queues:
  - {name: prod, members: [ada, "@students"]}
  - {name: night, maxPriority: low}
  - {name: closed, members: []}
`;
const PEOPLE = `${QUEUES}users:
  - {name: ada, maxPriority: urgent}
  - {name: bob, groups: [students]}
  - {name: eve, groups: [guests], maxPriority: high}
groups:
  - {name: students, maxPriority: normal}
  - {name: guests}
`;

/** What is wrong with a manifest of `owner`, in lines 2 to 4. */
function verdict(clusterText: string, lines: readonly string[]): string[] {
  const cluster = parseCluster("cluster.yaml", bytes(clusterText));
  assert(cluster.ok, JSON.stringify(cluster));
  const context = { defaults: {}, cluster: cluster.value, hasPath: () => true };
  const parsed = parseManifest(FILE, bytes(`command: [x]\n${lines.join("\n")}\n`), context);
  return parsed.ok ? [] : parsed.problems.map((p) => formatProblem(p).slice(FILE.length + 1));
}

const PROD = "the queue `prod` is for `ada`, `@students`";

Deno.test("a queue with members is for them, by name or by group", () => {
  const table: [readonly string[], readonly string[]][] = [
    [["owner: ada", "queue: prod"], []],
    [["owner: bob", "queue: prod"], []],
    [["owner: eve", "queue: prod"], [
      `3:8: ${PROD}, not for \`eve\` (choose another queue)`,
    ]],
    [["queue: prod"], [
      `2:8: ${PROD}, and the manifest names no owner (write \`owner:\`, or choose another queue)`,
    ]],
    [["owner: adda", "queue: prod"], [
      `2:8: no user is named \`adda\`, and ${PROD} (did you mean \`ada\`?)`,
    ]],
    [["owner: ada", "queue: closed"], [
      "3:8: the queue `closed` is for nobody, not for `ada` (choose another queue)",
    ]],
    [["owner: stranger"], []],
    [[], []],
  ];
  for (const [lines, expected] of table) {
    assert.deepEqual(verdict(PEOPLE, lines), expected, lines.join());
  }
});

Deno.test("without `users:` members go by the owner's name alone", () => {
  const cluster = QUEUES.replace(', "@students"', "");
  assert.deepEqual(verdict(cluster, ["owner: ada", "queue: prod"]), []);
  assert.deepEqual(verdict(cluster, ["owner: bob", "queue: prod"]), [
    "3:8: the queue `prod` is for `ada`, not for `bob` (choose another queue)",
  ]);
});

Deno.test("the lowest limit of queue, user and groups holds", () => {
  const table: [readonly string[], readonly string[]][] = [
    [["owner: ada", "priority: urgent"], []],
    [["owner: eve", "priority: high"], []],
    [["owner: eve", "priority: 101"], [
      "3:11: `priority` is 101; the user `eve` may have at most 100 (write `priority: 100` or less)",
    ]],
    [["owner: bob", "priority: high"], [
      "3:11: `priority` is 100; the group `students` may have at most 0 (write `priority: 0` or less)",
    ]],
    [["owner: stranger", "priority: urgent"], []],
    [["queue: night", "priority: low"], []],
    [["queue: night"], [
      "1:1: `priority` is 0; the queue `night` may have at most -100 (write `priority: -100` or less)",
    ]],
  ];
  for (const [lines, expected] of table) {
    assert.deepEqual(verdict(PEOPLE, lines), expected, lines.join());
  }
});
