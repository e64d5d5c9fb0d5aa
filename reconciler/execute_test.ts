import assert from "node:assert/strict";
import type { NodeName } from "../cluster/node.ts";
import type { NeededSecret } from "../jobs/job.ts";
import type { RunId } from "../jobs/run.ts";
import { VirtualClock } from "../providers/sim/clock.ts";
import { SimFleet } from "../providers/sim/fleet.ts";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import { SimWorld } from "../providers/sim/world.ts";
import { execute, launchSpec } from "./execute.ts";
import type { Action } from "./model.ts";
import type { SecretStore } from "./ports.ts";
import { attempt, cluster, job, type JobChanges, nodeSpec } from "./testing/build.ts";

const NODES = ["n1", "n2", "n3"];

function setUp() {
  const clock = new VirtualClock();
  const sim = new SimWorld(clock);
  for (const name of NODES) sim.add(name);
  const fleet = new SimFleet(sim);
  const base = cluster(NODES);
  fleet.configure(base.nodes, { epoch: 2, repository: "r" });
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  const logged: string[] = [];
  const doors = { fleet, repository, log: (_: string, msg: string) => logged.push(msg) };
  const act = (actions: readonly Action[]) => execute(actions, base, doors);
  const runs = () =>
    [...sim.machines.values()].flatMap((m) =>
      m.records().map((r) => `${r.job}/${r.attempt}/${r.rank} on ${m.name} port ${r.masterPort}`)
    );
  return { clock, sim, fleet, remote, act, runs, logged };
}

type Launch = Extract<Action, { kind: "launch" }>;

function launch(
  nodes: readonly string[],
  changes: Partial<Launch> = {},
  of: JobChanges = {},
): Launch {
  const digest = of.codeDigest ?? null;
  return {
    kind: "launch",
    job: job("a", { resources: { nodes: nodes.length }, ...of }),
    attempt: attempt(1, nodes, { codeDigest: digest }),
    ranks: nodes.map((_, rank) => rank),
    masterPort: null,
    because: "test",
    ...changes,
  };
}

Deno.test("rank 0 is launched first, and the others get the port that it found", async () => {
  const { act, runs } = setUp();
  const done = await act([launch(["n1", "n2", "n3"])]);
  assert.deepEqual([done.mutations, done.failures.size, done.deposed], [3, 0, undefined]);
  const ports = runs().map((text) => text.replace(/.* port /, ""));
  assert.equal(new Set(ports).size, 1);
  assert.equal(runs().length, 3);
});

Deno.test("an interrupted launch starts only what is missing", async () => {
  const { act, runs, sim } = setUp();
  await act([launch(["n1", "n2"])]);
  sim.mutations.launch = 0;
  const done = await act([launch(["n1", "n2"], { ranks: [1], masterPort: 4711 })]);
  assert.equal(sim.mutations.launch, 1);
  assert.equal(done.failures.size, 0);
  assert.equal(runs().length, 2, "and even that returns what was there");
});

Deno.test("when rank 0 cannot be launched, no other rank is", async () => {
  const { act, runs, sim } = setUp();
  sim.machine("n1").diskFull = true;
  const done = await act([launch(["n1", "n2"])]);
  const failure = done.failures.get("a/1");
  assert.deepEqual([failure?.rank, failure?.node, failure?.terminal], [0, "n1", false]);
  assert.match(failure?.reason ?? "", /no-space/);
  assert.deepEqual(runs(), []);
});

Deno.test("a reply that is lost is a failure of unknown outcome, never a terminal one", async () => {
  const { act, runs, sim } = setUp();
  sim.drop("launch", "reply");
  const done = await act([launch(["n1"])]);
  assert.equal(done.failures.get("a/1")?.terminal, false);
  assert.equal(runs().length, 1, "the run is there all the same");
});

Deno.test("code is shipped to each node once, before the launch", async () => {
  const { act, sim, remote, runs } = setUp();
  const codeDigest = remote.idOf("tree");
  await act([launch(["n1", "n2"], {}, { codeDigest })]);
  assert.deepEqual([sim.mutations.putCode, runs().length], [2, 2]);
  const again = launch(["n1"], { attempt: attempt(2, ["n1"], { codeDigest }) }, { codeDigest });
  await act([again]);
  assert.equal(sim.mutations.putCode, 2);
});

Deno.test("code that does not arrive starts nothing", async () => {
  const { act, sim, runs } = setUp();
  sim.drop("putCode", "request", "n2");
  const done = await act([launch(["n1", "n2"], {}, { codeDigest: "c0de" })]);
  assert.equal(done.failures.get("a/1")?.node, "n2");
  assert.deepEqual(runs(), []);
});

Deno.test("a refusal for an old epoch deposes the controller", async () => {
  const { act, fleet, sim } = setUp();
  sim.machine("n1").launch(9, { job: "x", attempt: 1, rank: 0 }, specOf("x"));
  assert.ok(fleet);
  const done = await act([launch(["n1"])]);
  assert.match(done.deposed ?? "", /^stale-epoch/);
});

function specOf(name: string) {
  const spec = launchSpec(job(name), attempt(1, ["n1"]), 0, 0, cluster(NODES));
  if (!spec) throw new Error("n1 is in the cluster");
  return spec;
}

Deno.test("stops and cleanings go before launches", async () => {
  const { act, clock, logged } = setUp();
  await act([launch(["n1"])]);
  await clock.advance(1000);
  logged.length = 0;
  const run: RunId = { job: "a", attempt: 1, rank: 0 };
  const node = "n1" as NodeName;
  await act([
    launch(["n2"], { attempt: attempt(2, ["n2"]) }),
    { kind: "stop", node, run, graceMs: 0, because: "test" },
    { kind: "clean", node, job: "b", throughAttempt: 1, because: "test" },
  ]);
  assert.deepEqual(logged, ["stop", "clean", "launch"]);
});

Deno.test("a node is told everything about its rank, and nothing when it left the cluster", () => {
  const base = cluster([
    nodeSpec("n1", { address: "10.1.1.1" }),
    nodeSpec("n2", { address: "10.1.1.2", interface: "eth1", activate: "torch" }),
  ], { environments: { torch: { kind: "venv", path: "/opt/torch" } }, env: { A: "1", B: "1" } });
  const wanted = job("a", {
    env: { B: "2" },
    flags: ["--lr", "1"],
    args: ["x"],
    checkpoint: { pattern: "step-*", resumeArgs: ["--resume", "{path}"], neededBy: "all" },
  });
  const resumedFrom = { path: "checkpoints/a/step-9", step: 9 };
  const spec = launchSpec(wanted, attempt(3, ["n1", "n2"], { resumedFrom }), 1, 4711, base);
  assert.deepEqual(spec?.master, { address: "10.1.1.1", port: 4711 });
  assert.deepEqual([spec?.localAddress, spec?.interface], ["10.1.1.2", "eth1"]);
  assert.deepEqual(spec?.env, { A: "1", B: "2" });
  assert.deepEqual(spec?.activation, { kind: "venv", path: "/opt/torch" });
  assert.deepEqual(spec?.args, ["--lr", "1", "x"]);
  assert.deepEqual([spec?.resumeFrom, spec?.resumeStep], ["checkpoints/a/step-9", 9]);
  assert.deepEqual(spec?.resumeArgs, ["--resume", "{path}"]);
  assert.equal(spec?.rendezvousId, "a-3");
  assert.deepEqual(spec?.meta.nodes, ["n1", "n2"]);
  assert.equal(launchSpec(wanted, attempt(1, ["n9"]), 0, 0, base), undefined);
});

const SECRET: NeededSecret = { name: "HF_TOKEN", source: { kind: "file", name: "hf" } };

function withSecrets(store: SecretStore | undefined) {
  const world = setUp();
  const logged: unknown[] = [];
  const doors = {
    fleet: world.fleet,
    repository: new SimRepository(world.remote),
    ...(store ? { secrets: store } : {}),
    log: (...line: unknown[]) => void logged.push(line),
  };
  const action = launch(["n1", "n2"]);
  const spec = { ...action.job.spec, secrets: { HF_TOKEN: SECRET.source } };
  const act = () =>
    execute(
      [{ ...action, job: { ...action.job, spec, secrets: [SECRET] } }],
      cluster(NODES),
      doors,
    );
  return { ...world, act, logged };
}

Deno.test("secrets travel beside the spec to every rank; the spec and the log name them only", async () => {
  const { act, fleet, sim, logged } = withSecrets({
    read: () => Promise.resolve({ value: "hf_value" }),
  });
  assert.equal((await act()).failures.size, 0);
  assert.deepEqual([...fleet.secrets], ["hf_value"]);
  const records = JSON.stringify([...sim.machines.values()].map((m) => m.records()));
  assert.doesNotMatch(records + JSON.stringify(logged), /hf_value/);
  const named = { ...job("a").spec, secrets: { HF_TOKEN: SECRET.source } };
  const spec = launchSpec({ ...job("a"), spec: named }, attempt(1, ["n1"]), 0, 0, cluster(NODES));
  assert.deepEqual(spec?.secretNames, ["HF_TOKEN"]);
});

Deno.test("a secret that went away before the launch lets nothing start, and may come back", async () => {
  for (const store of [undefined, { read: () => Promise.resolve({ why: "does not exist" }) }]) {
    const { act, runs } = withSecrets(store);
    const failure = (await act()).failures.get("a/1");
    assert.equal(failure?.terminal, false);
    assert.match(failure?.reason ?? "", /^the secret HF_TOKEN \(the file hf of/);
    assert.deepEqual(runs(), []);
  }
});
