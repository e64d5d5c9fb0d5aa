/**
 * `cluster.yaml` from people who mean harm, in today's form and in that of the Python UGRO.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";
import type { Cluster } from "../../cluster/cluster.ts";
import { parseCluster } from "../../cluster/parse.ts";
import { GPU, HOST, MEMBER, NODE_NAME, USER } from "../../cluster/patterns.ts";
import { MAX_NODES } from "../../cluster/schema.ts";
import { assertParsed, BAD_FILES, bytesOf, SLOW_FILES } from "./files.ts";
import { corpus, fuzz } from "./harness.ts";
import { assertClean, hostileJson, hostileText, mutated } from "./hostile.ts";

const FILE = "cluster.yaml";
const AROUND = { env: { USER: "ada", HOME: "/home/ada" }, hostname: "here" };

const read = (path: string) => Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
const LEGACY = await read("cluster/fixtures/legacy.yaml");
const VALID: readonly string[] = [
  await read("examples/state-repo/cluster.yaml"),
  LEGACY,
  `cluster: {name: home, description: two machines}
nodes:
  - {name: n1, host: 10.0.0.1, user: ada, port: 2222, activate: t, labels: {zone: a, n: 1}}
  - {name: n2, local: true, address: 10.0.0.2, cpuSlots: 4, cordoned: broken fan}
  - name: n3
    cordoned: {reason: fan, until: 2026-12-01T08:00:00Z, drain: true, gpus: [0, GPU-1a]}
pools:
  - {name: p, nodes: "gpu[01-03]", host: "{name}.example.org", hardware: {gpus: 8, vramGb: 80}}
environments: {t: {venv: /opt/v}, c: {conda: base, root: /opt/c}, s: {shell: "module load cuda"}}
queues:
  - {name: big, priority: 10, quota: 16, maxGpus: 32, borrow: true, maxPriority: high,
     members: [ada, "@students"], preemptible: true, idle: {below: 5, for: 30m, action: flag}}
users:
  - {name: ada, groups: [students], share: 2, maxGpus: 8, gpuHoursPerWeek: 200, maxPriority: 7}
groups: [{name: students, maxGpus: 16, gpuHoursPerWeek: 500, maxPriority: normal}]
scheduling:
  policy: default
  halfLife: 7d
  patience: 1d
  reservations: 16
  topology: [zone]
  preemption: {priority: false, reclaim: true, protectFor: 10m, protectPriority: high}
policy: {pollInterval: 10s, maxStopsPerPass: 5}
communication: {backend: nccl, timeout: 30m}
env: {A: 1.10}
`,
];

const cordon = fc.record({
  reason: hostileText,
  until: fc.oneof(hostileText, hostileJson, fc.constant("2026-12-01T08:00:00Z")),
  drain: fc.oneof(hostileJson, fc.boolean()),
  gpus: fc.oneof(
    hostileJson,
    fc.array(fc.oneof(hostileText, hostileJson, fc.nat(99)), { maxLength: 3 }),
  ),
}, { requiredKeys: [] });

const node = fc.record({
  name: fc.oneof(hostileText, fc.constantFrom("n1", "n2")),
  local: fc.oneof(fc.boolean(), hostileJson),
  host: hostileText,
  user: hostileText,
  port: hostileJson,
  address: hostileText,
  interface: hostileText,
  python: hostileText,
  workdir: hostileText,
  cordoned: fc.oneof(hostileText, hostileJson, cordon),
  labels: hostileJson,
  hardware: hostileJson,
}, { requiredKeys: ["name"] });

const machine = fc.record({
  hostname: fc.oneof(hostileText, fc.constantFrom("gpu-master", "here")),
  ip: hostileText,
  name: hostileText,
  user: fc.oneof(hostileText, fc.constantFrom("${USER}", "${PATH}")),
  ssh_port: hostileJson,
  hardware: hostileJson,
  paths: hostileJson,
}, { requiredKeys: ["hostname"] });

/** Right in one field and wrong in another: what is left of it must not be taken for whole. */
const pool = fc.record({
  name: fc.oneof(hostileText, fc.constant("p")),
  nodes: fc.oneof(hostileText, hostileJson, fc.constant("gpu[1-3]")),
  ssh: fc.oneof(hostileJson, fc.record({ host: hostileText, port: hostileJson })),
  activate: fc.oneof(hostileText, fc.constant("t")),
}, { requiredKeys: [] });

const environment = fc.oneof(
  hostileJson,
  fc.record({ venv: hostileText, conda: hostileText, pixi: hostileText, shell: hostileText }, {
    requiredKeys: [],
  }),
  fc.constant({ venv: "/x" }),
);

/** Right names beside wrong ones, and numbers that fit or do not. */
const name = fc.oneof(hostileText, fc.constantFrom("a", "b"));
const count = fc.oneof(hostileJson, fc.nat(20));
const priority = fc.oneof(hostileJson, fc.constantFrom("high", "vip", 7, 1e9));
const members = fc.array(fc.oneof(name, fc.constantFrom("@a", "@b", "@")), { maxLength: 3 });
const limits = { name, maxGpus: count, gpuHoursPerWeek: count, maxPriority: priority };

const queue = fc.record({
  name,
  priority,
  quota: count,
  maxGpus: count,
  borrow: hostileJson,
  maxPriority: priority,
  members: fc.oneof(members, hostileJson),
  preemptible: hostileJson,
  idle: fc.oneof(
    hostileJson,
    fc.record({ below: count, for: hostileText, action: hostileText }, { requiredKeys: [] }),
  ),
}, { requiredKeys: [] });

const user = fc.record({
  ...limits,
  groups: fc.oneof(members, hostileJson),
  share: count,
}, { requiredKeys: [] });

const scheduling = fc.record({
  policy: fc.oneof(hostileText, fc.constant("fifo")),
  halfLife: fc.oneof(hostileText, fc.constant("1d")),
  patience: hostileJson,
  reservations: count,
  topology: fc.oneof(fc.array(name, { maxLength: 10 }), hostileJson),
  preemption: fc.oneof(
    hostileJson,
    fc.record({ protectFor: hostileText, protectPriority: priority }, { requiredKeys: [] }),
  ),
}, { requiredKeys: [] });

const entries = (entry: fc.Arbitrary<unknown>) =>
  fc.oneof(hostileJson, fc.array(entry, { maxLength: 3 }));

const anyCluster = fc.oneof(
  fc.record({
    cluster: hostileJson,
    nodes: fc.oneof(fc.array(node, { maxLength: 3 }), hostileJson),
    pools: fc.oneof(
      fc.array(pool, { maxLength: 2 }),
      hostileJson,
    ),
    environments: fc.dictionary(fc.oneof(hostileText, fc.constant("t")), environment, {
      maxKeys: 3,
    }),
    queues: entries(queue),
    users: entries(user),
    groups: entries(fc.record(limits, { requiredKeys: [] })),
    scheduling: fc.oneof(hostileJson, scheduling),
    policy: hostileJson,
    communication: hostileJson,
    env: hostileJson,
  }, { requiredKeys: [] }),
  fc.record({
    cluster: fc.record({ master: machine, communication: hostileJson }, { requiredKeys: [] }),
    workers: fc.oneof(fc.array(machine, { maxLength: 3 }), hostileJson),
    paths: hostileJson,
    training: hostileJson,
    environment: fc.oneof(hostileJson, fc.record({ conda_env: hostileText })),
    logging: hostileJson,
  }, { requiredKeys: [] }),
);

function assertCluster(cluster: Cluster): void {
  assert.ok(cluster.nodes.length >= 1 && cluster.nodes.length <= MAX_NODES);
  assertClean(cluster.name);
  const names = cluster.nodes.map((one) => one.name);
  assert.equal(new Set(names).size, names.length, "two nodes of one name");
  for (const { name, connect, address, workdir, cordoned, python } of cluster.nodes) {
    assert.match(name, NODE_NAME);
    assertClean(cordoned?.reason ?? "");
    assert.ok(Number.isSafeInteger(cordoned?.untilMs ?? 0));
    for (const gpu of cordoned?.gpus ?? []) assert.match(gpu, GPU);
    assert.match(address, HOST);
    assert.match(workdir, /^[/~]/);
    assert.doesNotMatch(`${workdir}/`, /\/\.\.\//);
    assert.doesNotMatch(python, /^-|\s/);
    if (connect.kind !== "ssh") continue;
    assert.match(connect.host, HOST);
    if (connect.user !== undefined) assert.match(connect.user, USER);
    if (connect.port !== undefined) assert.ok(connect.port >= 1 && connect.port <= 65_535);
  }
  for (const value of Object.values(cluster.policy)) assert.ok(Number.isSafeInteger(value));
  assertPeople(cluster);
  const { timeoutMs = 0 } = cluster.communication;
  assert.ok(Number.isFinite(timeoutMs));
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
}

/** Whoever is named is declared, once, and no limit contradicts another. */
function assertPeople({ queues, users, groups, scheduling }: Cluster): void {
  for (const list of [queues, users, groups]) {
    const names = list.map((one) => one.name);
    assert.equal(new Set(names).size, names.length, "two of one name");
    names.forEach((name) => assert.match(name, MEMBER));
  }
  assert.ok(queues.some((queue) => queue.name === "default"));
  const known = new Set([...users.map((u) => u.name), ...groups.map((g) => `@${g.name}`)]);
  for (const { members = [], quotaGpus = 0, maxGpus = quotaGpus, priority } of queues) {
    for (const one of members) {
      assert.match(one, MEMBER);
      assert.ok(known.has(one) || (users.length === 0 && !one.startsWith("@")), one);
    }
    assert.ok(quotaGpus >= 0 && maxGpus >= quotaGpus && Math.abs(priority) <= 1000);
  }
  for (const { share, groups: of } of users) {
    assert.ok(share > 0 && Number.isFinite(1 / share));
    for (const group of of) assert.ok(known.has(`@${group}`), group);
  }
  assert.ok(scheduling.halfLifeMs > 0 && scheduling.topology.length <= 8);
  assert.ok(scheduling.reservations >= 0 && scheduling.reservations <= 100);
}

function check(text: string | Uint8Array): void {
  const bytes = bytesOf(text);
  const cluster = assertParsed(FILE, bytes, parseCluster(FILE, bytes, AROUND));
  if (cluster) assertCluster(cluster);
}

const many = (count: number, line: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

const HAND: Readonly<Record<string, string>> = {
  "hosts that are options": "nodes: [{name: n1, host: '-oProxyCommand=id', user: -l}]\n",
  "a host from a name": "nodes: [{name: -x}]\n",
  "5,000 wrong environments among 10,000": `nodes:\n${
    many(5000, (i) => ` - {name: n${i}, activate: q${i}}`)
  }\nenvironments:\n${many(10_000, (i) => ` e${i}: {venv: /x}`)}`,
  "ten million nodes": `pools:\n${many(1000, (i) => ` - {name: p${i}, nodes: "n[1-10000]"}`)}`,
  "ten million nodes of one pool": `pools:\n - name: p\n   nodes: [${
    many(1000, () => `"n[1-10000]",`)
  }]`,
  "a pool without nodes": "pools: [{name: p}]\n",
  "ranges of ranges": 'pools: [{name: p, nodes: "[1-99][1-99][1-99][1-99][1-99][1-99]"}]\n',
  "a range that cannot be": 'pools: [{name: p, nodes: "n[999999999-1,-,a-b,]]["}]\n',
  "a name with escapes": 'pools: [{name: p, nodes: ["\\u202e\\e[2J\\x9b"]}]\n',
  "90,000 names that nobody has": `users: [{name: a}]\nqueues:\n${
    many(100, (i) => ` - {name: q${i}, members: [${"b, ".repeat(900)}]}`)
  }\nnodes: [{name: n}]`,
  "10,000 users of unknown groups": `nodes: [{name: n}]\nusers:\n${
    many(10_000, (i) => ` - {name: u${i}, groups: [g${i}]}`)
  }\ngroups:\n${many(1000, (i) => ` - name: x${i}`)}`,
  "10,001 nodes": `nodes:\n${many(10_001, (i) => ` - name: n${i}`)}`,
  "10,000 equal nodes": `nodes:\n${many(10_000, () => ` - name: n`)}`,
  "hardware called constructor": "cluster: {master: {hostname: h, hardware: {constructor: 1}}}\n",
  "a timeout without end":
    "cluster: {master: {hostname: h}, communication: {timeout_seconds: 1e308}}\n",
  "20,000 workers": `workers:\n${many(20_000, (i) => ` - hostname: w${i}`)}`,
  "variables that are not there": "cluster: {master: {hostname: '${PATH}${SECRET}'}}\n",
};

fuzz("cluster.yaml of any values", 1500, anyCluster, (value) => check(stringify(value)));
fuzz("cluster.yaml with changed bytes", 2500, mutated(VALID), check);
corpus("cluster.yaml", { ...BAD_FILES, ...SLOW_FILES, ...HAND }, check);
