/** What docs/queue.md says is what the code does: its examples parse, its reasons are all there. */
import assert from "node:assert/strict";
import { parseCluster } from "../cluster/parse.ts";
import { PRIORITIES, type PriorityWord } from "../cluster/priority.ts";
import type { Problem } from "../cluster/problem.ts";
import { NO_DEFAULTS } from "../jobs/defaults.ts";
import { parseManifest } from "../jobs/manifest.ts";
import { EVICTIONS } from "../jobs/status.ts";
import { schedule } from "../reconciler/scheduling/schedule.ts";
import { HOUR, limited, NOW, request, room } from "../reconciler/scheduling/testing.ts";
import type { Request } from "../reconciler/scheduling/types.ts";
import QUEUE from "../docs/queue.md" with { type: "text" };

const ROOT = new URL("../", import.meta.url);

/** Where the reasons of waiting jobs are given: a line with one names it beside the word "reason". */
const GIVERS = ["reconciler/gates.ts", "reconciler/queue.ts", "jobs/job.ts"];
const SCHEDULER = "reconciler/scheduling/";

/** Reasons of jobs that do not wait. */
const OTHERS: ReadonlySet<string> = new Set(["Launching", "ManifestDeleted", ...EVICTIONS]);

function sources(): string[] {
  const scheduler = [...Deno.readDirSync(new URL(SCHEDULER, ROOT))]
    .filter(({ name }) => name.endsWith(".ts") && !/_test\.ts$|^testing\.ts$/.test(name))
    .map(({ name }) => SCHEDULER + name);
  return [...GIVERS, ...scheduler].map((path) => Deno.readTextFileSync(new URL(path, ROOT)));
}

/** `reason: "Resources"`, `const STATUS_LOST = "StatusLost"`. */
function reasonsIn(text: string): string[] {
  return text.split("\n").flatMap((line) =>
    /\breason\b|^const [A-Z_]+ = "/.test(line)
      ? [...line.matchAll(/"([A-Z][a-z]+(?:[A-Z][a-z]+)*)"/g)].map(([, word = ""]) => word)
      : []
  );
}

/** First cells of the rows of a table that are one word of code. */
function rowsBelow(heading: string): string[] {
  const section = QUEUE.split(/^## /m).find((text) => text.startsWith(heading));
  assert(section !== undefined, `docs/queue.md has no section "${heading}"`);
  return [...section.matchAll(/^\| `([A-Z]\w+)` +\|/gm)].map(([, word = ""]) => word);
}

Deno.test("docs/queue.md lists every reason for which a job may wait, and no other", () => {
  const given = new Set(sources().flatMap(reasonsIn).filter((word) => !OTHERS.has(word)));
  assert(given.size > 10, "the reasons are found in the code");
  assert.deepEqual(rowsBelow("Why does it wait?").sort(), [...given].sort());
});

Deno.test("docs/queue.md lists every reason for which a job is stopped for others", () => {
  const text = [...sources(), Deno.readTextFileSync(new URL("reconciler/decide_active.ts", ROOT))]
    .join("\n");
  const given = EVICTIONS.filter((reason) => text.includes(`"${reason}"`));
  assert.deepEqual(rowsBelow("Stopping for others").sort(), [...given].sort());
});

/** Blocks of YAML that begin with the name of their file. */
const EXAMPLES = [...QUEUE.matchAll(/^```yaml\n# (\S+\.yaml)\n([^]*?)^```$/gm)]
  .map(([, file = "", text = ""]) => ({ file, bytes: new TextEncoder().encode(text) }));

function problemsOf(file: string, bytes: Uint8Array): readonly Problem[] {
  const parsed = file === "cluster.yaml"
    ? parseCluster(file, bytes)
    : parseManifest(file, bytes, { defaults: NO_DEFAULTS, hasPath: () => true });
  return parsed.ok ? parsed.warnings : parsed.problems;
}

Deno.test("the examples of docs/queue.md are without problems", () => {
  assert(EXAMPLES.length >= 8, "the examples are found");
  for (const { file, bytes } of EXAMPLES) {
    assert.deepEqual(problemsOf(file, bytes), [], file);
  }
});

/** The table of the example of who is next: name, queue, owner, priority, GPUs, hours. */
function waitingOfExample(): Request[] {
  const row = /^\| `(\w+)` +\| (\w+) +\| (\w+) +\| (\w+) +\| (\d+) +\| (\d+)h +\|$/gm;
  return [...QUEUE.matchAll(row)].map(([, name = "", queue = "", user = "", ...rest], i) => {
    const [priority, gpus, hours] = rest;
    return request(name, {
      ...{ queue, user, length: limited(Number(hours) * HOUR), submittedMs: NOW - HOUR + i },
      priority: PRIORITIES[priority as PriorityWord],
      need: { gpusPerNode: Number(gpus) },
    });
  });
}

function serveExample(requests: readonly Request[]) {
  const [cluster] = EXAMPLES;
  const parsed = parseCluster("cluster.yaml", cluster?.bytes ?? new Uint8Array());
  assert(parsed.ok);
  const decayed = new Map([["ada", 40], ["grace", 10]]);
  const { placed, waiting } = schedule({
    ...parsed.value,
    ...{ requests, holdings: [], rooms: [room("gpu1", { gpus: 8 })], now: NOW, limit: 10 },
    usage: { decayed, week: new Map() },
    confirm: () => ({ kind: "go" }),
  });
  return {
    placed: placed.map((one) => one.request.name),
    waiting: waiting.map((one) => [one.request.name, one.reason, one.expected?.atMs]),
  };
}

Deno.test("the example of who is next comes out as docs/queue.md tells", () => {
  const requests = waitingOfExample();
  assert.equal(requests.length, 5, "the table is found");
  assert.deepEqual(serveExample(requests), {
    placed: ["h1", "g1", "a1", "a2"],
    waiting: [["d1", "Resources", NOW + 4 * HOUR]],
  });
  const unlimited = requests.map((one) => one.name === "a2" ? { ...one, length: undefined } : one);
  const { placed, waiting } = serveExample(unlimited);
  assert.deepEqual(placed, ["h1", "g1", "a1"]);
  assert.deepEqual(waiting.map(([name, reason]) => [name, reason]), [
    ["d1", "Resources"],
    ["a2", "Priority"],
  ]);
});
