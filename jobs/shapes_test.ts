import assert from "node:assert/strict";
import { parseCluster } from "../cluster/parse.ts";
import type { JobSpec, Resources } from "./job.ts";
import { parseManifest } from "./manifest.ts";
import { formatProblem } from "./problem.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const FILE = "jobs/demo.yaml";

function parse(lines: string) {
  const cluster = parseCluster(
    "cluster.yaml",
    bytes("nodes: [{name: a, labels: {rack: r1}}]\n"),
  );
  assert(cluster.ok);
  const context = { defaults: {}, cluster: cluster.value, hasPath: () => true };
  return parseManifest(FILE, bytes(`command: [x]\n${lines}\n`), context);
}

function job(lines: string): JobSpec {
  const parsed = parse(lines);
  assert(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.warnings, []);
  return parsed.value[0]!;
}

function problems(lines: string): string[] {
  const parsed = parse(lines);
  return (parsed.ok ? parsed.warnings : parsed.problems)
    .map((p) => formatProblem(p).slice(FILE.length + 1));
}

const HOUR = 3_600_000;

Deno.test("what a manifest does not say is absent from the job", () => {
  const { resources, ...rest } = job("");
  assert.deepEqual(resources, { nodes: 1, gpusPerNode: 1, nodeSelector: {} });
  const absent = ["parent", "maxParallel", "after", "startAfterMs", "deadlineMs", "idle"];
  for (const key of [...absent, "schedule", "estimatedGb"]) assert(!(key in rest), key);
});

Deno.test("resources: elastic nodes, a part of a GPU, mixed GPUs, machines close together", () => {
  const table: [string, Partial<Resources>][] = [
    ["{nodes: 3}", { nodes: 3 }],
    ["{nodes: 1..4}", { nodes: 1, maxNodes: 4 }],
    ["{nodes: 2..2}", { nodes: 2 }],
    ["{gpuShare: 0.25}", { gpuShare: 0.25 }],
    ["{mixedGpus: true}", { mixedGpus: true }],
    ["{mixedGpus: false}", {}],
    ["{within: rack}", { within: "rack" }],
  ];
  for (const [text, expected] of table) {
    const { resources } = job(`resources: ${text}`);
    assert.deepEqual(resources, { nodes: 1, gpusPerNode: 1, nodeSelector: {}, ...expected }, text);
  }
});

Deno.test("`after` is one name, or a list of names and of names with a condition", () => {
  assert.deepEqual(job("after: prep").after, [{ job: "prep", when: "success" }]);
  assert.deepEqual(job("after: [a, {job: b}, {job: c, when: any}]").after, [
    { job: "a", when: "success" },
    { job: "b", when: "success" },
    { job: "c", when: "any" },
  ]);
  assert.deepEqual(job("after: {job: a, when: any}").after, [{ job: "a", when: "any" }]);
  assert(!("after" in job("after: []")));
});

Deno.test("times have a zone", () => {
  const spec = job("startAfter: 2026-12-01T08:00:00+01:00\ndeadline: 2026-12-24T00:00:00Z");
  assert.equal(spec.startAfterMs, Date.UTC(2026, 11, 1, 7));
  assert.equal(spec.deadlineMs, Date.UTC(2026, 11, 24));
});

Deno.test("an idle policy has the defaults of a queue's", () => {
  assert.deepEqual(job("idle: {below: 10, for: 1h, action: stop}").idle, {
    belowPct: 10,
    forMs: HOUR,
    action: "stop",
  });
  assert.deepEqual(job("idle: {}").idle, { belowPct: 5, forMs: HOUR / 2, action: "flag" });
});

Deno.test("a schedule is the text of cron, or a map; it keeps the job's own name", () => {
  const defaults = { timezone: "UTC", concurrency: "forbid", keep: 3, startWithinMs: HOUR };
  const short = job('schedule: "*/15  3 * * MON-FRI"\nmaxParallel: 2');
  assert.deepEqual(short.schedule, { cron: "*/15 3 * * MON-FRI", ...defaults });
  assert.deepEqual([short.name, short.parent, short.maxParallel], ["demo", undefined, 2]);
  assert.deepEqual(job('schedule: {cron: "0 3 * * *"}').schedule, {
    cron: "0 3 * * *",
    ...defaults,
  });
  const full = '{cron: "0 3 L * *", timezone: Europe/Berlin, concurrency: replace, keep: 0, ' +
    "startWithin: 10m}";
  assert.deepEqual(job(`schedule: ${full}`).schedule, {
    cron: "0 3 L * *",
    timezone: "Europe/Berlin",
    concurrency: "replace",
    keep: 0,
    startWithinMs: HOUR / 6,
  });
});

Deno.test("the runs of a schedule have names of their own, which no argument can hold", () => {
  const [problem] = problems('schedule: "0 3 * * *"\nargs: ["--out", "runs/{job}"]');
  assert.match(problem ?? "", /each run of a `schedule` has its own name.*UGRO_JOB/);
});

Deno.test("the memory that declared parameters need is estimated", () => {
  assert.equal(job("model: {parameters: 1B}\ntraining: {bf16: true}").estimatedGb, 16);
});

const AFTER = "the name of a job, or `{job: NAME, when: success}`";
const NODES = "a whole number from 1 to 10000, or two such as `1..4`";
const TIME = "a time with its zone, such as `2026-12-01T08:00:00Z`";
const FIELDS =
  "five fields (minute, hour, day of the month, month, day of the week), such as `0 3 * * *`";
const FIELDS_HINT = "(minute, hour, day of the month, month, day of the week, such as `0 3 * * *`)";

Deno.test("what is wrong with resources and dependencies is told at its place", () => {
  const table: [string, string][] = [
    ["resources: {nodes: 4..1}", "2:20: `resources.nodes` runs backwards (`1..4`)"],
    ["resources: {nodes: 0..4}", `2:20: \`resources.nodes\` must be ${NODES}, not "0..4"`],
    ["resources: {nodes: 1-4}", `2:20: \`resources.nodes\` must be ${NODES}, not "1-4"`],
    ["resources: {nodes: 0}", `2:20: \`resources.nodes\` must be ${NODES}, not 0`],
    [
      "resources: {gpuShare: 1}",
      "2:23: `resources.gpuShare` must be a number between 0 and 1, such as 0.25, not 1",
    ],
    [
      "resources: {gpuShare: 0}",
      "2:23: `resources.gpuShare` must be a number between 0 and 1, such as 0.25, not 0",
    ],
    [
      "resources: {gpusPerNode: 2, gpuShare: 0.5}",
      "2:29: `resources.gpuShare` is a part of one GPU a machine (write `gpusPerNode: 1`)",
    ],
    [
      "resources: {within: rak}",
      "2:21: no node has the label `rak` (did you mean `rack`?)",
    ],
    ["after: A", `2:8: \`after\` must be ${AFTER}, not "A"`],
    ["after: 3", `2:8: \`after\` must be ${AFTER}, or a list of them, not 3`],
    ["after: [a, B]", `2:12: \`after[1]\` must be ${AFTER}, not "B"`],
    [
      "after: [{job: a, when: done}]",
      '2:24: `after[0].when` must be one of `success`, `failure`, `any`, not "done"',
    ],
    ["after: [a, {job: a, when: any}]", "2:12: `a` is named twice (keep one of the two)"],
    ["after: demo", "2:8: a job cannot wait for itself"],
    [
      `after: [${Array.from({ length: 101 }, (_, i) => `a${i}`).join(", ")}]`,
      "2:8: `after` must be a list of at most 100 items, not 101",
    ],
  ];
  for (const [text, expected] of table) assert.deepEqual(problems(text), [expected], text);
});

Deno.test("what is wrong with times and schedules is told at its place", () => {
  const table: [string, string][] = [
    [
      "startAfter: 2026-12-01T08:00:00",
      `2:13: \`startAfter\` must be ${TIME}, not "2026-12-01T08:00:00" ` +
      "(write the day, `T`, the time and its zone: `Z` for UTC, or such as `+01:00`)",
    ],
    [
      "deadline: 2026-02-30T08:00:00Z",
      '2:11: `deadline` must be a day and a time that exist, not "2026-02-30T08:00:00Z"',
    ],
    [
      "startAfter: 2026-12-01T08:00:00Z\ndeadline: 2026-12-01T08:00:00Z",
      "3:11: `deadline` is not after `startAfter`",
    ],
    ["idle: {action: kill}", '2:16: `idle.action` must be one of `flag`, `stop`, not "kill"'],
    [
      "maxParallel: 2",
      "2:1: `maxParallel` is for manifests of many jobs (remove it, or add `matrix`, `array` or `schedule`)",
    ],
    ['schedule: "0 3 * *"', `2:11: \`schedule\` must be ${FIELDS}, not "0 3 * *"`],
    ['schedule: "@daily"', `2:11: \`schedule\` must be ${FIELDS}, not "@daily"`],
    ['schedule: "0 0 3 * * *"', `2:11: \`schedule\` must be ${FIELDS}, not "0 0 3 * * *"`],
    [
      'schedule: {cron: "61 * * * *"}',
      `2:18: \`schedule.cron\` names no times: invalid value for minute: 61 ${FIELDS_HINT}`,
    ],
    [
      'schedule: "0 3 30 2 *"',
      `2:11: \`schedule\` names no times: there is no such day ${FIELDS_HINT}`,
    ],
    [
      'schedule: {cron: "0 3 * * *", timezone: Europe/Berln}',
      "2:41: no time zone is named `Europe/Berln` (did you mean `Europe/Berlin`?)",
    ],
    [
      "schedule: {timezone: UTC}",
      `2:1: \`schedule.cron\` is missing (it must be ${FIELDS})`,
    ],
  ];
  for (const [text, expected] of table) assert.deepEqual(problems(text), [expected], text);
});
