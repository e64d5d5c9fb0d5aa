import assert from "node:assert/strict";
import { parseCluster } from "./parse.ts";
import { formatProblem } from "./problem.ts";

const fixture = (name: string) => Deno.readFileSync(new URL(`./fixtures/${name}`, import.meta.url));
const parse = (text: string) =>
  parseCluster("c.yaml", new TextEncoder().encode(text), { env: { USER: "ada" } });

Deno.test("a file of the earlier UGRO loads as it is", () => {
  const parsed = parseCluster("cluster.yaml", fixture("legacy.yaml"), { env: { USER: "ada" } });
  assert(parsed.ok, JSON.stringify(parsed));
  const { nodes, environments, communication, training, name } = parsed.value;
  assert.equal(name, "Home AI Lab");
  assert.deepEqual(nodes.map((node) => node.name), ["gpu-master", "gpu-node1", "gpu2"]);
  assert.deepEqual(nodes.map((node) => node.connect), [
    { kind: "ssh", host: "192.168.1.100", user: "ada" },
    { kind: "ssh", host: "192.168.1.101", user: "ada", port: 2222 },
    { kind: "ssh", host: "192.168.1.102", user: "ada", port: 22 },
  ]);
  assert.deepEqual(nodes.map((node) => node.project), [
    "~/projects/distributed-tuning",
    "/home/ada/projects/distributed-tuning",
    "~/projects/distributed-tuning",
  ]);
  assert.deepEqual(nodes[0]?.hardware, {});
  assert.deepEqual(nodes[1]?.hardware, {
    gpuModel: "RTX 4070",
    vramGb: 8,
    cpuCores: 16,
    ramGb: 32,
  });
  assert.deepEqual(environments, { default: { kind: "conda", env: "distributed-tuning" } });
  assert(nodes.every((node) => node.activate === "default"));
  assert.deepEqual(communication, { backend: "gloo", timeoutMs: 1_800_000 });
  assert.equal(training["default_learning_rate"], 0.0002);
});

Deno.test("nodes that are renamed are worth a warning", () => {
  const parsed = parseCluster("cluster.yaml", fixture("legacy.yaml"), { env: { USER: "ada" } });
  assert.deepEqual(parsed.ok && parsed.warnings.map(formatProblem), [
    "cluster.yaml:7:15: the node `GPU_Master` is called `gpu-master` from now on",
    "cluster.yaml:17:11: the node `gpu_node1` is called `gpu-node1` from now on",
  ]);
});

Deno.test("without a known user ssh chooses, and the master may be this machine", () => {
  const minimal = parseCluster("cluster.yaml", fixture("legacy_minimal.yaml"));
  assert.deepEqual(minimal.ok && minimal.value.nodes[0]?.connect, { kind: "local" });
  const around = { hostname: "gpu_master" };
  const parsed = parseCluster("cluster.yaml", fixture("legacy.yaml"), around);
  assert.deepEqual(parsed.ok && parsed.value.nodes[0]?.connect, { kind: "local" });
  assert.deepEqual(parsed.ok && parsed.value.nodes[2]?.connect, {
    kind: "ssh",
    host: "192.168.1.102",
    port: 22,
  });
});

Deno.test("today's sections stand beside the earlier ones", () => {
  const parsed = parse(
    "workers: [{name: a, ip: 10.0.0.1}]\nqueues: [{name: night}]\nnodes: [{name: b}]\n",
  );
  assert(parsed.ok);
  assert.deepEqual(parsed.value.nodes.map((node) => node.name), ["a", "b"]);
  assert.deepEqual(parsed.value.queues.map((queue) => queue.name), ["night", "default"]);
});

Deno.test("wrong values and unknown keys are problems in the earlier form too", () => {
  const parsed = parse(`cluster: {master: {hostname: "a b", user: "\${FOO}"}}
workers:
 - {name: x, ip: -bad, ssh_port: '22', hardware: {vram_gb: big}}
 - 3
environmnt: 2
`);
  assert.deepEqual(parsed.ok ? [] : parsed.problems.map(formatProblem), [
    'c.yaml:1:30: `cluster.master.hostname` must be a host name or address that does not begin with `-`, not "a b"',
    "c.yaml:1:43: `${FOO}` has no value here (write the value itself)",
    'c.yaml:3:18: `workers[0].ip` must be a host name or address that does not begin with `-`, not "-bad"',
    'c.yaml:3:34: `workers[0].ssh_port` must be a whole number from 1 to 65535, not "22" (remove the quotes)',
    'c.yaml:3:40: `workers[0].hardware.vramGb` must be a number greater than 0, not "big"',
    "c.yaml:4:4: `workers[1].name` is missing (it must be a name of lower-case letters, digits, `.` and `-`)",
    "c.yaml:5:1: unknown key `environmnt` (did you mean `environment`?)",
  ]);
});

Deno.test("what objects inherit is no key, and a time-out has an end", () => {
  const read = (text: string) => parseCluster("cluster.yaml", new TextEncoder().encode(text));
  assert.ok(read("cluster: {master: {hostname: h, hardware: {constructor: 1}}}\n").ok);
  const endless = read("cluster: {master: {hostname: h}, communication: {timeout_seconds: 1e308}}");
  assert.ok(!endless.ok && /number of seconds/.test(endless.problems[0]?.message ?? ""));
});
