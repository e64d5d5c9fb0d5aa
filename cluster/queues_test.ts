import assert from "node:assert/strict";
import { DEFAULT_SCHEDULING } from "./cluster.ts";
import { parseCluster } from "./parse.ts";
import { formatProblem, type Problem } from "./problem.ts";

/** A cluster of two nodes with 8 GPUs each; what is given begins on line 2. */
const parse = (text: string, nodes = "[{name: a, hardware: {gpus: 8}, labels: {rack: r1}}]") =>
  parseCluster("cluster.yaml", new TextEncoder().encode(`nodes: ${nodes}\n${text}\n`));
const shown = (problems: readonly Problem[]) =>
  problems.map((p) => formatProblem(p).slice("cluster.yaml:".length));
const problems = (text: string) => {
  const parsed = parse(text);
  return parsed.ok ? [] : shown(parsed.problems);
};
const warnings = (text: string, nodes?: string) => {
  const parsed = parse(text, nodes);
  assert(parsed.ok, JSON.stringify(parsed));
  return shown(parsed.warnings);
};
const cluster = (text: string) => {
  const parsed = parse(text);
  assert(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
};

Deno.test("a file that says nothing of queues and people has the defaults", () => {
  const { queues, users, groups, scheduling } = cluster("");
  assert.deepEqual(queues, [{ name: "default", priority: 0 }]);
  assert.deepEqual([users, groups], [[], []]);
  assert.deepEqual(scheduling, DEFAULT_SCHEDULING);
  assert.deepEqual(cluster("scheduling: {preemption: {}}").scheduling, DEFAULT_SCHEDULING);
});

Deno.test("everything that a queue can say arrives", () => {
  const { queues } = cluster(`
queues:
  - name: research
    priority: 10
    quota: 4
    maxGpus: 8
    borrow: true
    maxPriority: high
    members: [ada, "@students", ada]
    preemptible: false
    idle: {below: 2.5, for: 1h, action: stop}
  - {name: night, priority: low, quota: 0, borrow: false, members: []}
  - {name: default, idle: {}}
users: [{name: ada}]
groups: [{name: students}]`);
  assert.deepEqual(queues, [
    {
      name: "research",
      priority: 10,
      quotaGpus: 4,
      maxGpus: 8,
      borrow: true,
      maxPriority: 100,
      members: ["ada", "@students"],
      preemptible: false,
      idle: { belowPct: 2.5, forMs: 3_600_000, action: "stop" },
    },
    { name: "night", priority: -100, quotaGpus: 0, borrow: false, members: [] },
    { name: "default", priority: 0, idle: { belowPct: 5, forMs: 1_800_000, action: "flag" } },
  ]);
});

Deno.test("everything that users and groups can say arrives, and nothing else", () => {
  const { users, groups } = cluster(`
users:
  - {name: ada, groups: [students], share: 2, maxGpus: 8, gpuHoursPerWeek: 200, maxPriority: high}
  - {name: bob@example.org}
groups:
  - {name: students, maxGpus: 16, gpuHoursPerWeek: 0.5, maxPriority: -7}
  - {name: staff}`);
  assert.deepEqual(users, [
    {
      name: "ada",
      groups: ["students"],
      share: 2,
      maxGpus: 8,
      gpuHoursPerWeek: 200,
      maxPriority: 100,
    },
    { name: "bob@example.org", groups: [], share: 1 },
  ]);
  assert.deepEqual(groups, [
    { name: "students", maxGpus: 16, gpuHoursPerWeek: 0.5, maxPriority: -7 },
    { name: "staff" },
  ]);
});

Deno.test("everything about the order arrives", () => {
  const { scheduling } = cluster(`
scheduling:
  policy: backfill
  halfLife: 1d
  patience: 0s
  reservations: 0
  topology: [rack]
  preemption: {priority: true, reclaim: false, protectFor: 0s, protectPriority: urgent}`);
  assert.deepEqual(scheduling, {
    policy: "backfill",
    halfLifeMs: 86_400_000,
    patienceMs: 0,
    reservations: 0,
    topology: ["rack"],
    preemption: { byPriority: true, reclaim: false, protectMs: 0, protectPriority: 1000 },
  });
});

Deno.test("a value that cannot be is a problem where it stands", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["queues: [{priority: 1}]", /^2:10: `queues\[0\]\.name` is missing/],
    [
      "queues: [{name: q, priority: top}]",
      /^2:30: .*or one of low, normal, high, urgent, not "top/,
    ],
    ["queues: [{name: q, priority: 1001}]", /^2:30: .* from -1000 to 1000, or/],
    ["queues: [{name: q, quota: -1}]", /^2:27: .*`queues\[0\]\.quota` must be a whole number/],
    ["queues: [{name: q, quota: 1.5}]", /^2:27: .*a whole number/],
    ["queues: [{name: q, maxGpus: all}]", /^2:29: .*a whole number/],
    ["queues: [{name: q, borrow: yes}]", /^2:28: .*true or false, not "yes" \(write true or false/],
    ["queues: [{name: q, preemptible: 1}]", /^2:33: .*true or false/],
    ["queues: [{name: q, maxPriority: vip}]", /^2:33: .*one of low/],
    ["queues: [{name: q, members: ada}]", /^2:29: .*a list, .*each word an item/],
    ['queues: [{name: q, members: ["@-x"]}]', /^2:30: .*a user or `@group`, not "@-x"/],
    ["queues: [{name: q, idle: 5}]", /^2:26: .*a map of/],
    ["queues: [{name: q, idle: {below: 101}}]", /^2:34: .*a number from 0 to 100/],
    ["queues: [{name: q, idle: {for: 30}}]", /^2:32: .*a duration .*write `30s`/],
    ["queues: [{name: q, idle: {for: 0s}}]", /^2:32: .*a duration of at least 1s/],
    ["queues: [{name: q, idle: {action: kill}}]", /^2:35: .*one of `flag`, `stop`, not "kill"/],
    ["queues: [{name: q, idle: {untl: 1}}]", /^2:27: unknown key `untl` in `queues\[0\]\.idle`/],
    ["queues: [{name: q, quotas: 1}]", /^2:20: unknown key `quotas` .*did you mean `quota`/],
    ["users: [{name: -x}]", /^2:16: .*a login or mail address/],
    ["users: [{name: ada, share: 0}]", /^2:28: .*a number from 0.001 to 1000/],
    ["users: [{name: ada, gpuHoursPerWeek: -1}]", /^2:38: .*a number from 0/],
    ["users: [{name: ada, maxGpus: -1}]", /^2:30: .*a whole number/],
    ["users: [{name: ada, groups: students}]", /^2:29: .*a list/],
    ["groups: [{name: a b}]", /^2:17: .*a name/],
    ["groups: [{name: g, share: 2}]", /^2:20: unknown key `share` in `groups\[0\]`/],
    ["scheduling: {policy: lifo}", /^2:22: .*one of `fifo`, .*, not "lifo"/],
    ["scheduling: {halfLife: 0s}", /^2:24: .*a duration of at least 1m/],
    ["scheduling: {patience: -1d}", /^2:24: .*a duration/],
    ["scheduling: {reservations: 101}", /^2:28: .*a whole number from 0 to 100/],
    ["scheduling: {topology: rack}", /^2:24: .*a list/],
    ["scheduling: {topology: [a b]}", /^2:25: .*the key of a label/],
    ["scheduling: {topology: [a, b, c, d, e, f, g, h, i]}", /^2:24: .*at most 8 items, not 9/],
    ["scheduling: {preemption: on}", /^2:26: .*a map/],
    ["scheduling: {preemption: {protectFor: 1}}", /^2:39: .*a duration/],
    ["scheduling: {preemption: {protectPriority: top}}", /^2:44: .*one of low/],
    ["scheduling: {polcy: fifo}", /^2:14: unknown key `polcy` .*did you mean `policy`/],
  ];
  for (const [text, wanted] of cases) {
    const found = problems(text);
    assert.equal(found.length, 1, `${text}: ${found.join("; ")}`);
    assert.match(found[0] ?? "", wanted);
  }
});

Deno.test("two of one name are a problem", () => {
  assert.deepEqual(problems("queues: [{name: q}, {name: q}]"), ["2:28: two queues are named `q`"]);
  assert.deepEqual(problems("users: [{name: u}, {name: u}]"), ["2:27: two users are named `u`"]);
  assert.deepEqual(problems("groups: [{name: g}, {name: g}]"), ["2:28: two groups are named `g`"]);
});

Deno.test("a group or member that is not declared is a problem", () => {
  assert.deepEqual(
    problems(
      "groups: [{name: students}]\nusers: [{name: ada, groups: [studnets]}]\n" +
        'queues: [{name: q, members: [adda, "@stdents", "@students", ada]}]',
    ),
    [
      "3:30: no group is named `studnets` (did you mean `students`?)",
      "4:30: no user is named `adda` (did you mean `ada`?)",
      "4:36: no group is named `stdents` (did you mean `students`?)",
    ],
  );
  assert.deepEqual(problems('queues: [{name: q, members: ["@all"]}]'), [
    "2:30: no group is named `all` (list it under `groups:`)",
  ]);
});

Deno.test("without users anybody may be a member", () => {
  assert.deepEqual(cluster("queues: [{name: q, members: [ada]}]").queues[0]?.members, ["ada"]);
});

Deno.test("a wrong section is one problem, and not one for each name in it", () => {
  const found = problems('users: 7\ngroups: 7\nqueues: [{name: q, members: [ada, "@students"]}]');
  assert.deepEqual(found.map((text) => text.slice(0, 4)), ["2:8:", "3:9:"]);
});

Deno.test("a queue may have at least what it is sure of", () => {
  assert.deepEqual(problems("queues: [{name: q, quota: 8, maxGpus: 4}]"), [
    "2:39: `queues[0].maxGpus` must be at least the quota, 8, not 4 (raise it, or lower `quota`)",
  ]);
  assert.deepEqual(problems("queues: [{name: q, quota: 8, maxGpus: 8}]"), []);
});

Deno.test("quotas beyond what the nodes declare are worth a warning", () => {
  const queues = "queues: [{name: a, quota: 6}, {name: b, quota: 4}, {name: c, quota: 1}]";
  const nodes = "[{name: a, hardware: {gpus: 8}}, {name: b, hardware: {gpus: 0}, cpuSlots: 1}]";
  assert.deepEqual(warnings(queues, nodes), [
    "2:48: the quotas up to here add up to 10 GPUs; the nodes have 9 " +
    "(not all queues can have theirs at once)",
  ]);
  assert.deepEqual(warnings(queues, nodes.replace("cpuSlots: 1", "cpuSlots: 3")), []);
  assert.deepEqual(warnings(queues, "[{name: a, hardware: {gpus: 8}}, {name: b}]"), []);
});

Deno.test("a topology label that no node has is worth a warning, one listed twice a problem", () => {
  assert.deepEqual(warnings("scheduling: {topology: [rakc]}"), [
    "2:25: no node has the label `rakc` (did you mean `rack`?)",
  ]);
  assert.deepEqual(problems("scheduling: {topology: [rack, rack]}"), [
    "2:31: `rack` is listed twice",
  ]);
});

Deno.test("queues, users and groups are bounded", () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => ` - {name: x${i}}`);
  for (const [section, most] of [["queues", 100], ["groups", 1_000], ["users", 10_000]] as const) {
    assert.deepEqual(problems(`${section}:\n${many(most).join("\n")}`), []);
    const [first] = problems(`${section}:\n${many(most + 1).join("\n")}`);
    assert.match(first ?? "", new RegExp(`a list of at most ${most} items, not ${most + 1}`));
  }
});
