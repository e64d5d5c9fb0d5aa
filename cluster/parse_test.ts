import assert from "node:assert/strict";
import { parseCluster } from "./parse.ts";
import { formatProblem } from "./problem.ts";

const parse = (text: string) => parseCluster("cluster.yaml", new TextEncoder().encode(text));
const problems = (text: string) => {
  const parsed = parse(text);
  return parsed.ok
    ? []
    : parsed.problems.map((p) => formatProblem(p).slice("cluster.yaml:".length));
};
const cluster = (text: string) => {
  const parsed = parse(text);
  assert(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
};

Deno.test("a node needs no more than a name", () => {
  const { nodes, queues, policy, name } = cluster("nodes: [{name: gpu1}]\n");
  assert.deepEqual(nodes, [{
    name: "gpu1",
    connect: { kind: "ssh", host: "gpu1" },
    address: "gpu1",
    labels: {},
    hardware: {},
    cpuSlots: 0,
    workdir: "~/.ugro",
    python: "python3",
  }]);
  assert.equal(name, "cluster");
  assert.deepEqual(queues, [{ name: "default", priority: 0 }]);
  assert.deepEqual(policy, {
    pollIntervalMs: 10_000,
    statusMinIntervalMs: 5_000,
    nodeLostAfterMs: 60_000,
    maxStopsPerPass: 10,
    maxLaunchesPerPass: 500,
    graceMs: 30_000,
  });
});

Deno.test("everything that a node can say arrives", () => {
  const { nodes, environments, env } = cluster(`
nodes:
  - name: gpu1
    ssh: {host: 192.168.1.11, port: 2222, user: ada}
    address: 10.0.0.11
    interface: eth0
    labels: {zone: a, tier: 1}
    hardware: {gpuModel: RTX 4070, gpus: 1, vramGb: 12, cpuCores: 16, ramGb: 64}
    python: /usr/bin/python3.11
    activate: torch
    workdir: /data/ugro
    project: ~/projects/tuning
    cordoned: fan broken
  - {name: here, local: true, address: 10.0.0.1, cpuSlots: 4, cordoned: true}
environments: {torch: {venv: /opt/venv}, llm: {conda: tuning}, px: {pixi: ~/p}, own: {shell: "source /opt/x.sh"}}
env: {HF_HOME: /data/hf, VERSION: 1.10}
`);
  assert.deepEqual(nodes[0], {
    name: "gpu1",
    connect: { kind: "ssh", host: "192.168.1.11", port: 2222, user: "ada" },
    address: "10.0.0.11",
    interface: "eth0",
    labels: { zone: "a", tier: "1" },
    hardware: { gpuModel: "RTX 4070", gpus: 1, vramGb: 12, cpuCores: 16, ramGb: 64 },
    cpuSlots: 0,
    workdir: "/data/ugro",
    project: "~/projects/tuning",
    python: "/usr/bin/python3.11",
    activate: "torch",
    cordoned: { reason: "fan broken" },
  });
  assert.deepEqual(nodes[1]?.connect, { kind: "local" });
  assert.deepEqual(nodes[1]?.cordoned, { reason: "cordoned in cluster.yaml" });
  assert.deepEqual(environments["px"], { kind: "pixi", project: "~/p" });
  assert.deepEqual(env, { HF_HOME: "/data/hf", VERSION: "1.10" });
});

Deno.test("a cordon says why, until when, of which GPUs, and whether work must go", () => {
  const { nodes } = cluster(`
nodes:
  - name: a
    cordoned: {reason: fan, until: 2026-12-01T09:00:00+01:00, drain: true, gpus: [0, GPU-1a-2b, 0]}
  - {name: b, cordoned: {drain: false}}
  - {name: c, cordoned: false}
`);
  assert.deepEqual(nodes.map((node) => node.cordoned), [
    { reason: "fan", untilMs: Date.UTC(2026, 11, 1, 8), drain: true, gpus: ["0", "GPU-1a-2b"] },
    { reason: "cordoned in cluster.yaml", drain: false },
    undefined,
  ]);
});

Deno.test("a cordon that cannot be read is a problem where it stands", () => {
  const wrong = (cordon: string) => problems(`nodes:\n- name: a\n  cordoned: ${cordon}\n`);
  const words = "`nodes[0].cordoned.until` must be a time with its zone, such as " +
    "`2026-12-01T08:00:00Z`";
  const hint = " (write the day, `T`, the time and its zone: `Z` for UTC, or such as `+01:00`)";
  assert.deepEqual(wrong("{until: 2026-12-01}"), [`3:21: ${words}, not "2026-12-01"${hint}`]);
  assert.deepEqual(wrong("{until: tomorrow}"), [`3:21: ${words}, not "tomorrow"${hint}`]);
  assert.deepEqual(wrong("{until: 2026-12-01T08:00:00}"), [
    `3:21: ${words}, not "2026-12-01T08:00:00"${hint}`,
  ]);
  assert.match(wrong("{until: 2026-02-30T08:00:00Z}")[0] ?? "", /^3:21: .* that exist, not/);
  assert.deepEqual(wrong("{gpus: [0, gpu1]}"), [
    '3:24: `nodes[0].cordoned.gpus[1]` must be the index or the uuid of a GPU, not "gpu1"',
  ]);
  assert.match(wrong("{gpus: [-1]}")[0] ?? "", /^3:21: .*the index or the uuid of a GPU, not -1/);
  assert.deepEqual(wrong("{gpus: []}"), [
    "3:20: `nodes[0].cordoned.gpus` must be a list of at least one GPU, not a list",
  ]);
  assert.deepEqual(wrong("{resaon: fan}"), [
    "3:14: unknown key `resaon` in `nodes[0].cordoned` (did you mean `reason`?)",
  ]);
  assert.match(wrong("{drain: yes}")[0] ?? "", /^3:21: .* true or false, not "yes"/);
  assert.match(wrong("7")[0] ?? "", /^3:13: .* true or false, or the reason as text, not 7/);
});

Deno.test("a pool is many nodes that are alike", () => {
  const { nodes } = cluster(
    "pools: [{name: rack1, nodes: 'gpu[001-128]', host: '{name}.lan', user: train, labels: {zone: b}}]\n",
  );
  assert.equal(nodes.length, 128);
  assert.equal(nodes[127]?.name, "gpu128");
  assert.deepEqual(nodes[0]?.connect, { kind: "ssh", host: "gpu001.lan", user: "train" });
  assert.deepEqual(nodes[0]?.labels, { pool: "rack1", zone: "b" });
});

Deno.test("all problems come at once, each at its place and in plain words", () => {
  assert.deepEqual(
    problems(`cluster: {nme: home}
nodes:
  - name: GPU1
    host: -oProxyCommand=x
    ssh_port: 22
    hardware: {gpu_model: 4070, gpus: one}
  - host: a
    cordoned: yes
  - {name: b, local: true, host: c}
  - {name: b, activate: torhc}
environments: {torch: {venv: opt/venv}, llm: {coda: tuning}}
policy: {pollInterval: 10, grace: 1.5h}
env: {1A: x, UGRO_X: 1, B: [1]}
`),
    [
      "1:11: unknown key `nme` in `cluster` (did you mean `name`?)",
      '3:11: `nodes[0].name` must be a name of lower-case letters, digits, `.` and `-`, not "GPU1"',
      '4:11: `nodes[0].host` must be a host name or address that does not begin with `-`, not "-oProxyCommand=x"',
      "5:5: unknown key `ssh_port` in `nodes[0]` (did you mean `port`?)",
      "6:16: unknown key `gpu_model` in `nodes[0].hardware` (did you mean `gpuModel`?)",
      '6:39: `nodes[0].hardware.gpus` must be a whole number from 0 to 64, not "one"',
      "7:5: `nodes[1].name` is missing (it must be a name of lower-case letters, digits, `.` and `-`)",
      '8:15: `nodes[1].cordoned` must be true or false, or the reason as text, not "yes" (write true or false)',
      "9:22: a local node has no `host`, `user`, `port` or `ssh`",
      "10:12: two nodes are named `b`",
      '11:30: `environments.torch.venv` must be an absolute path or one that begins with `~/`, without `..`, not "opt/venv"',
      "11:46: `environments.llm` must be a map with one of `venv`, `conda`, `pixi` or `shell`, not a map with `coda`",
      "12:24: `policy.pollInterval` must be a duration with its unit, such as `500ms`, `30s`, `5m` or `1h30m`, not 10 (write `10s` for seconds)",
      '12:35: `policy.grace` must be a duration with its unit, such as `500ms`, `30s`, `5m` or `1h30m`, not "1.5h"',
      '13:7: a key of `env` must be a name of letters, digits and `_` that does not begin with `UGRO_`, not "1A"',
      '13:14: a key of `env` must be a name of letters, digits and `_` that does not begin with `UGRO_`, not "UGRO_X"',
      "13:28: `env.B` must be text, not a list",
    ],
  );
});

Deno.test("names are checked against each other", () => {
  assert.deepEqual(
    problems("nodes: [{name: a, activate: torhc}]\nenvironments: {torch: {venv: /v}}\n"),
    [
      "1:29: no environment is named `torhc` (did you mean `torch`?)",
    ],
  );
  assert.deepEqual(problems("nodes: [{name: a, host: b, ssh: {host: c}}]\n"), [
    "1:25: `host` and `ssh` exclude each other",
  ]);
});

Deno.test("a file without content or nodes says so", () => {
  assert.deepEqual(problems(""), ["1:1: the file is empty"]);
  assert.deepEqual(problems("- a\n"), ["1:1: the file must be `key: value` lines"]);
  assert.deepEqual(problems("cluster: {name: x}\n"), [
    "1:1: no nodes (list machines under `nodes:`)",
  ]);
});

Deno.test("values that could become ssh options or shell words are refused", () => {
  const wrong = [
    "host: -x",
    "host: 'a b'",
    "host: $(id)",
    "user: -l",
    "user: a;b",
    "python: 'a b'",
  ];
  for (
    const line of [...wrong, "python: $(id)", "interface: =eth0", "workdir: ../x", "address: '-'"]
  ) {
    assert.equal(problems(`nodes:\n- name: a\n  ${line}\n`).length, 1, line);
  }
});

Deno.test("a file that would make millions of nodes is one problem, at once", () => {
  const pools = Array.from({ length: 1000 }, (_, i) => ` - {name: p${i}, nodes: "n[1-10000]"}`);
  assert.deepEqual(problems(`pools:\n${pools.join("\n")}`).at(0), "1:1: more than 10000 nodes");
  const names = Array.from({ length: 900 }, () => '"n[1-10000]"').join(", ");
  assert.match(problems(`pools: [{name: p, nodes: [${names}]}]`).join(), /more than 10000/);
});

Deno.test("a name in a range is echoed without its effects", () => {
  const [first = ""] = problems('pools: [{name: p, nodes: ["\\u202e\\eM\\x9b"]}]\n');
  assert.match(first, /^1:26: "\\u202e\\u001bM\\u009b" cannot be the name of a node/);
});

Deno.test("one line of text holds no characters that reorder it or move a cursor", () => {
  for (const escape of ["\\x9b", "\\u202e", "\\u2028", "\\e"]) {
    assert.match(
      problems(`cluster: {name: "a${escape}"}\nnodes: [{name: n1}]\n`)[0] ?? "",
      /^1:17: `cluster.name` must be one line of text without control characters/,
    );
  }
});

Deno.test("a pool without names, or with wrong ones, is a problem and no crash", () => {
  assert.deepEqual(problems("pools: [{name: p}]\n"), [
    "1:9: `pools[0].nodes` is missing " +
    "(it must be node names such as `gpu[001-128]`, or a list of them)",
  ]);
  for (const nodes of ["7", "[]", "[1]", "{a: b}", `"${"x".repeat(1001)}"`]) {
    assert.match(problems(`pools: [{name: p, nodes: ${nodes}}]\n`)[0] ?? "", /pools\[0\]\.nodes/);
  }
});
