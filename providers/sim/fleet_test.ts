import assert from "node:assert/strict";
import type { NodeName, NodeSpec } from "../../cluster/node.ts";
import type { LaunchSpec } from "../../reconciler/ports.ts";
import type { Behaviour } from "./behaviour.ts";
import { VirtualClock } from "./clock.ts";
import { SimFleet } from "./fleet.ts";
import { SimWorld } from "./world.ts";

const NAMES = ["a", "b"] as NodeName[];
const [A, B] = NAMES as [NodeName, NodeName];

function nodeSpec(name: NodeName): NodeSpec {
  return {
    name,
    connect: { kind: "ssh", host: name },
    address: name,
    labels: {},
    hardware: {},
    cpuSlots: 0,
    workdir: "~/.ugro",
    python: "python3",
  };
}

function specFor(rank: number, nodes: number, changes: Partial<LaunchSpec> = {}): LaunchSpec {
  return {
    nodes,
    gpusPerNode: 1,
    gpus: [`GPU-${NAMES[rank]}-0`],
    master: { address: "a", port: 0 },
    localAddress: "a",
    rendezvousId: "x-1",
    launcher: "torchrun",
    program: { kind: "command", argv: ["train"] },
    args: [],
    code: null,
    workdir: null,
    project: null,
    env: {},
    python: "python3",
    activation: null,
    checkpointDir: "checkpoints/x",
    resumeFrom: null,
    resumeStep: null,
    resumeArgs: [],
    config: {},
    graceMs: 30_000,
    meta: { commit: "c", specDigest: "d", nodes: NAMES, gpus: [] },
    ...changes,
  };
}

function setUp(behaviour: Partial<Behaviour> = {}) {
  const clock = new VirtualClock(1_000_000);
  const world = new SimWorld(clock);
  for (const name of NAMES) world.add(name);
  world.behave("x", behaviour);
  const session = (epoch: number, repository = "r") => {
    const fleet = new SimFleet(world);
    fleet.configure(NAMES.map(nodeSpec), { epoch, repository });
    return fleet;
  };
  const fleet = session(1);
  const gang = async (changes: Partial<LaunchSpec> = {}) => {
    for (const rank of [0, 1]) {
      await fleet.launch(NAMES[rank]!, id(rank), specFor(rank, 2, changes));
    }
  };
  const record = (rank: number) =>
    world.machine(NAMES[rank]!).records().find((r) => r.job === "x" && r.rank === rank);
  const checkpoints = async () => {
    const query = { job: "x", dir: "checkpoints/x", pattern: "step-*" };
    const seen = (await fleet.observe([query])).get(A);
    return seen?.state === "reachable" ? seen.checkpoints.get("x") ?? [] : [];
  };
  return { clock, world, fleet, session, gang, record, checkpoints };
}

const id = (rank: number, attempt = 1) => ({ job: "x", attempt, rank });

Deno.test("a launch is idempotent: the agent is started once, and the first run is returned", async () => {
  const { clock, world, fleet, record } = setUp();
  const first = await fleet.launch(A, id(0), specFor(0, 1));
  const again = await fleet.launch(A, id(0), specFor(0, 1));
  assert.deepEqual(
    [first, again].map((o) => o.kind === "ok" && o.value.created),
    [true, false],
  );
  assert.equal(record(0)?.state, "starting");
  await clock.advance(1000);
  await fleet.launch(A, id(0), specFor(0, 1));
  assert.equal(record(0)?.state, "running");
  assert.deepEqual(world.liveRuns().map((run) => run.agentStarts), [1]);
});

Deno.test("a gang trains from the moment its last rank runs, and ends everywhere at once", async () => {
  const { clock, gang, record } = setUp({ durationMs: 60_000 });
  await gang();
  await clock.advance(60_000);
  assert.equal(record(0)?.state, "running");
  await clock.advance(1000);
  assert.deepEqual([0, 1].map((rank) => record(rank)?.exit?.code), [0, 0]);
});

Deno.test("half a gang trains nothing", async () => {
  const { clock, fleet, record, checkpoints } = setUp({ durationMs: 60_000 });
  await fleet.launch(A, id(0), specFor(0, 2));
  await clock.advance(600_000);
  assert.equal(record(0)?.state, "running");
  assert.deepEqual(await checkpoints(), []);
});

Deno.test("training saves at its interval and resumes from a step", async () => {
  const { clock, gang, record, checkpoints } = setUp({
    durationMs: 100_000,
    checkpointEveryMs: 20_000,
  });
  await gang({ resumeStep: 40 });
  await clock.advance(45_000);
  assert.deepEqual((await checkpoints()).map((c) => c.step), [80, 60]);
  await clock.advance(16_000);
  assert.equal(record(0)?.exit?.code, 0, "60 s were left");
});

Deno.test("when a rank dies its peers fail after a while, or hang until somebody stops them", async () => {
  for (const onPeerDeath of ["fail", "hang"] as const) {
    const { clock, world, gang, record } = setUp({ onPeerDeath, peerDelayMs: 3000 });
    await gang();
    await clock.advance(5000);
    world.machine("a").killRank(id(0));
    assert.equal(record(0)?.exit?.signal, 9);
    await clock.advance(60_000);
    assert.equal(record(1)?.state, onPeerDeath === "fail" ? "exited" : "running");
  }
});

Deno.test("a stop is SIGTERM, a grace period, then SIGKILL; with no grace it kills", async () => {
  for (
    const [stopMs, graceMs, reason] of [[800, 5000, "stopped"], [9000, 5000, "killed"], [
      800,
      0,
      "killed",
    ]] as const
  ) {
    const { clock, fleet, record } = setUp({ stopMs });
    await fleet.launch(A, id(0), specFor(0, 1));
    await clock.advance(1000);
    await fleet.stop(A, id(0), graceMs, "test");
    await clock.advance(Math.min(stopMs, graceMs));
    assert.equal(record(0)?.exit?.reason, reason);
  }
});

Deno.test("a run that was told to stop before its agent started never starts it", async () => {
  const { clock, world, fleet, record } = setUp();
  await fleet.launch(A, id(0), specFor(0, 1));
  await fleet.stop(A, id(0), 5000, "test");
  await clock.advance(10_000);
  assert.deepEqual([record(0)?.exit?.code, record(0)?.startedAtMs], [null, null]);
  assert.equal(world.liveRuns().length, 0);
});

Deno.test("stopping what is not there is an error, and what has ended is not", async () => {
  const { clock, fleet } = setUp({ durationMs: 1000 });
  const missing = await fleet.stop(A, id(0), 0, "test");
  assert.match(missing.kind === "terminal" ? missing.reason : "", /^not-found/);
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(5000);
  assert.equal((await fleet.stop(A, id(0), 0, "test")).kind, "ok");
});

Deno.test("a node that has seen a newer controller refuses the older one", async () => {
  const { fleet, session } = setUp();
  await fleet.launch(A, id(0), specFor(0, 1));
  await session(2).observe([]);
  const refused = await fleet.stop(A, id(0), 0, "test");
  assert.match(refused.kind === "terminal" ? refused.reason : "", /^stale-epoch/);
});

Deno.test("a work directory belongs to one state repository", async () => {
  const { fleet, session } = setUp();
  await fleet.observe([]);
  const other = session(9, "another");
  assert.equal((await other.observe([])).get(A)?.state, "unknown");
  assert.equal((await other.launch(A, id(0), specFor(0, 1))).kind, "terminal");
});

Deno.test("a machine that crashes is unknown, and after its boot its runs are lost", async () => {
  const { clock, world, fleet, gang, record } = setUp({ checkpointEveryMs: 10_000 });
  await gang();
  await clock.advance(25_500);
  world.machine("a").crash();
  const away = (await fleet.observe([])).get(A);
  assert.deepEqual(away?.state === "unknown" && away.sinceMs, clock.now());
  const before = record(0)?.bootId;
  world.machine("a").boot();
  const back = (await fleet.observe([])).get(A);
  assert.notEqual(back?.state === "reachable" && back.bootId, before);
  assert.deepEqual([record(0)?.state, record(0)?.processes], ["lost", 0]);
  const saved = world.machine("a").checkpoints.list("checkpoints/x");
  assert.deepEqual(saved.map((c) => [c.step, c.complete]), [[30, false], [20, true], [10, true]]);
});

Deno.test("a cut loses requests or replies: unknown both times, done only the second", async () => {
  const { world, fleet, record } = setUp();
  world.cut("a", ["request"]);
  assert.equal((await fleet.launch(A, id(0), specFor(0, 1))).kind, "unknown");
  assert.equal(record(0), undefined);
  world.cut("a", ["reply"]);
  assert.equal((await fleet.launch(A, id(0), specFor(0, 1))).kind, "unknown");
  assert.equal(record(0)?.state, "starting");
  assert.equal((await fleet.observe([])).get(A)?.state, "unknown");
  world.restore("a");
  assert.equal((await fleet.observe([])).get(A)?.state, "reachable");
});

Deno.test("one dropped operation is one of its kind on its node", async () => {
  const { world, fleet } = setUp();
  world.drop("launch", "request", "b");
  const kinds = [];
  for (const node of [A, B, B]) kinds.push((await fleet.launch(node, id(0), specFor(0, 1))).kind);
  assert.deepEqual(kinds, ["ok", "unknown", "ok"]);
});

Deno.test("GPUs show who uses them, fall off, and cannot be seen when the tool fails", async () => {
  const { clock, world, fleet } = setUp();
  const machine = world.machine("a");
  await fleet.launch(A, id(0), specFor(0, 1));
  machine.occupy(1, 5000, 42);
  await clock.advance(1000);
  const gpus = async () => {
    const seen = (await fleet.observe([])).get(A);
    return seen?.state === "reachable" ? seen.gpus : undefined;
  };
  assert.deepEqual((await gpus())?.slice(0, 3).map((g) => g.processes[0]?.owner.kind), [
    "run",
    "foreign",
    undefined,
  ]);
  machine.dropGpu(0);
  assert.equal((await gpus())?.length, 7);
  assert.equal(machine.records()[0]?.exit?.signal, 9);
  machine.breakGpuTool("no driver");
  assert.equal(await gpus(), undefined);
});

Deno.test("a supervisor that dies leaves a lost run; stopping that kills what is left", async () => {
  const { clock, world, fleet, record } = setUp();
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(1000);
  world.machine("a").killSupervisor(id(0), 3);
  assert.deepEqual([record(0)?.state, record(0)?.processes], ["lost", 3]);
  await fleet.stop(A, id(0), 0, "test");
  assert.deepEqual([record(0)?.exit?.reason, record(0)?.processes], ["lost", 0]);
});

Deno.test("cleaning removes ended runs up to an attempt, and never a live one", async () => {
  const { clock, fleet, world } = setUp({ durationMs: 1000 });
  for (const attempt of [1, 2]) await fleet.launch(A, id(0, attempt), specFor(0, 1));
  await clock.advance(5000);
  await fleet.launch(A, id(0, 3), specFor(0, 1));
  await fleet.clean(A, "x", 1);
  assert.deepEqual(world.machine("a").records().map((r) => r.attempt), [2, 3]);
  await fleet.clean(A, "x", 3);
  assert.deepEqual(world.machine("a").records().map((r) => r.attempt), [3]);
});

Deno.test("code has to be there before a run that needs it", async () => {
  const { fleet } = setUp();
  const spec = specFor(0, 1, { code: "c0de" });
  assert.equal((await fleet.launch(A, id(0), spec)).kind, "terminal");
  await fleet.putCode(A, { digest: "c0de", tar: new Uint8Array() });
  assert.equal(fleet.hasCode(A, "c0de"), true);
  assert.equal((await fleet.launch(A, id(0), spec)).kind, "ok");
});

Deno.test("a machine in which nothing changes answers with the same object", async () => {
  const { fleet } = setUp();
  const [first, second] = [await fleet.observe([]), await fleet.observe([])];
  assert.equal(first.get(A), second.get(A));
});

Deno.test("a slow machine takes its time, and one that is too slow is unknown", async () => {
  const { clock, world, fleet } = setUp();
  world.machine("b").latencyMs = 2000;
  const asked = fleet.observe([]);
  await clock.advance(2000);
  assert.equal((await asked).get(B)?.state, "reachable");
  world.machine("b").latencyMs = 60_000;
  const again = fleet.observe([]);
  await clock.advance(5000);
  assert.deepEqual([(await again).get(A)?.state, (await again).get(B)?.state], [
    "reachable",
    "unknown",
  ]);
});

Deno.test("changes are told to those who listen, until they close", async () => {
  const { clock, fleet } = setUp();
  const told: string[] = [];
  fleet.onChange((node, what) => told.push(`${node}: ${what}`));
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(1000);
  assert.deepEqual(told, ["a: run x/1/0 created", "a: run x/1/0 running"]);
  await fleet.close();
  await fleet.stop(A, id(0), 0, "test");
  assert.equal(told.length, 2);
});

Deno.test("a boot brings cards back, and nothing that ran before it lives on", async () => {
  const { clock, world, fleet } = setUp();
  const machine = world.machine("a");
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(1000);
  machine.killSupervisor(id(0), 3);
  machine.dropGpu(1);
  machine.occupy(2, 5000);
  machine.boot();
  assert.deepEqual(machine.gpus.map((gpu) => [gpu.present, gpu.foreign.size]).flat(), [
    ...Array.from({ length: 8 }, () => [true, 0]).flat(),
  ]);
  assert.equal(world.liveRuns().length, 0);
});

Deno.test("a run that is killed may take its time to die", async () => {
  const { clock, world, fleet, record } = setUp({ stopMs: Infinity, killMs: 4000 });
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(1000);
  await fleet.stop(A, id(0), 0, "test");
  await clock.advance(3999);
  assert.deepEqual([record(0)?.state, world.liveRuns().length], ["stopping", 1]);
  await clock.advance(1);
  assert.deepEqual([record(0)?.exit?.reason, world.liveRuns().length], ["killed", 0]);
});

Deno.test("a run that lost its supervisor before its agent was started gets another one", async () => {
  const { clock, world, fleet, record } = setUp();
  await fleet.launch(A, id(0), specFor(0, 1));
  world.machine("a").killSupervisor(id(0));
  await clock.advance(1000);
  assert.equal(record(0)?.state, "lost");
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(1000);
  assert.deepEqual(world.liveRuns().map((run) => run.agentStarts), [1]);
});

Deno.test("a machine that is cut off tells no changes", async () => {
  const { clock, world, fleet } = setUp();
  const told: string[] = [];
  await fleet.launch(A, id(0), specFor(0, 1));
  fleet.onChange((_, what) => told.push(what));
  world.cut("a");
  await clock.advance(1000);
  world.restore("a");
  assert.deepEqual(told, ["session lost", "session up"]);
});

Deno.test("a witness sees everything, in the order in which it happens", async () => {
  const { clock, world, fleet } = setUp({ durationMs: 2000 });
  const seen: string[] = [];
  world.witness = (node, { kind }) => seen.push(`${node} ${kind}`);
  world.cut("a", ["reply"]);
  await fleet.launch(A, id(0), specFor(0, 1));
  await clock.advance(5000);
  assert.deepEqual(seen, ["a epoch", "a asked", "a created", "a started", "a ended"]);
});
