import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import { FakeClock } from "./fixtures/fake_clock.ts";
import FAKE from "./fixtures/fake_runner.py" with { type: "text" };
import { claim, launchSpec, nodeSpec, WatchedFleet } from "./fixtures/fleet.ts";

const A = "a" as NodeName;
const SPEC = launchSpec(["true"], "/nonexistent");
const run = (job: string) => ({ job, attempt: 1, rank: 0 });
const query = (job: string) => [{ job, dir: "/c", pattern: "*" }];

/** A connected fleet of one local node with the fake runner, under a clock moved by hand. */
async function connected() {
  const clock = new FakeClock();
  const fleet = new WatchedFleet({ clock, runnerSource: FAKE });
  fleet.configure([nodeSpec("a")], claim(3));
  await fleet.next(/connected/);
  return { clock, fleet };
}

Deno.test("the first observation waits for the connection", async () => {
  const fleet = new WatchedFleet({ runnerSource: FAKE });
  fleet.configure([nodeSpec("a"), nodeSpec("b")], claim(1));
  const seen = await fleet.observe([]);
  assert.deepEqual([...seen.values()].map((one) => one.state), ["reachable", "reachable"]);
  assert.match(fleet.logged[0] ?? "", /a line that is no frame .*Welcome!/);
  await fleet.close();
});

Deno.test("a node that cannot be started is unknown with its reason, and holds up no other", async () => {
  const fleet = new WatchedFleet({ runnerSource: FAKE });
  fleet.configure([
    nodeSpec("a"),
    nodeSpec("b", { kind: "local" }, { python: "/nonexistent/python" }),
    nodeSpec("c", { kind: "ssh", host: "-oProxyCommand=id" }),
  ], claim(1));
  const seen = await fleet.observe([]);
  assert.equal(seen.get(A)?.state, "reachable");
  const reasons = [...seen.values()].map((one) => one.state === "unknown" ? one.reason : "");
  assert.match(
    reasons[1] ?? "",
    /^There is no \/nonexistent\/python on this machine: set the node/,
  );
  assert.match(reasons[2] ?? "", /is not a host name/);
  const refused = await fleet.launch("b" as NodeName, run("x"), SPEC);
  assert.equal(refused.kind, "retryable");
  await fleet.close();
});

Deno.test("a late observation makes a node unknown, and no second request is sent", async () => {
  const { clock, fleet } = await connected();
  const configuredMs = clock.now();
  await clock.advance(500);
  const late = fleet.observe(query("hold"));
  await clock.advance(0);
  await clock.advance(3000);
  const [first] = (await late).values();
  assert.ok(first?.state === "unknown" && first.sinceMs === configuredMs);
  const [second] = (await fleet.observe([])).values();
  assert.ok(second?.state === "unknown" && /not answered yet/.test(second.reason));
  assert.equal((await fleet.tail(A, run("release"), 0, "agent", 1)).kind, "ok");
  await fleet.next(/answers again/);
  const [third] = (await fleet.observe([])).values();
  assert.equal(third?.state, "reachable");
  await fleet.close();
});

Deno.test("an observation that makes no sense is unknown, and the next one counts", async () => {
  const { fleet } = await connected();
  const [first] = (await fleet.observe(query("garbled"))).values();
  assert.ok(first?.state === "unknown" && /runs\.0\.job/.test(first.reason));
  const [second] = (await fleet.observe([])).values();
  assert.equal(second?.state, "reachable");
  await fleet.close();
});

Deno.test("what a node refuses is terminal or retryable by its code", async () => {
  const { fleet } = await connected();
  const kinds = [
    ["stale-epoch", "terminal"],
    ["conflict", "terminal"],
    ["invalid", "terminal"],
    ["not-found", "terminal"],
    ["no-space", "retryable"],
    ["failed", "retryable"],
    ["new-code", "unknown"],
  ] as const;
  for (const [code, kind] of kinds) {
    assert.equal((await fleet.launch(A, run(`refuse-${code}`), SPEC)).kind, kind, code);
  }
  assert.equal((await fleet.stop(A, run("x"), 0, "test")).kind, "terminal");
  assert.equal((await fleet.clean(A, "x", 1)).kind, "ok");
  const launched = await fleet.launch(A, run("fine"), SPEC);
  assert.ok(launched.kind === "ok" && launched.value.created && launched.value.run.job === "fine");
  await fleet.close();
});

Deno.test("a launch without a readable answer in time is unknown", async () => {
  const { clock, fleet } = await connected();
  assert.equal((await fleet.launch(A, run("garbled"), SPEC)).kind, "unknown");
  const silent = fleet.launch(A, run("silent"), SPEC);
  await clock.advance(10_000);
  assert.equal((await silent).kind, "unknown");
  assert.match(await fleet.next(/no answer/), /no answer for 10 s/);
  await fleet.close();
});

Deno.test("a session that dies leaves its launch unknown, says why, and comes back", async () => {
  const { clock, fleet } = await connected();
  assert.equal((await fleet.launch(A, run("die"), SPEC)).kind, "unknown");
  assert.match(await fleet.next(/ended/), /exit code 3: RuntimeError: told to die/);
  const [seen] = (await fleet.observe([])).values();
  assert.ok(seen?.state === "unknown" && /told to die/.test(seen.reason));
  assert.equal((await fleet.launch(A, run("x"), SPEC)).kind, "retryable");
  await clock.advance(1000);
  await fleet.next(/connected/);
  assert.equal((await fleet.launch(A, run("x"), SPEC)).kind, "ok");
  // The same end again is reported again.
  await fleet.launch(A, run("die"), SPEC);
  await fleet.next(/told to die/);
  await fleet.close();
});

Deno.test("events of the runner are passed on", async () => {
  const { fleet } = await connected();
  fleet.tail(A, run("event"), 0, "agent", 1);
  assert.equal(await fleet.next(/run/), "a: run demo/1/0 exited");
  await fleet.close();
});

Deno.test("code goes over in bounded pieces, once", async () => {
  const { fleet } = await connected();
  const archive = { digest: "d1", tar: new Uint8Array(9 * 1024 * 1024) };
  assert.equal(fleet.hasCode(A, "d1"), false);
  const both = await Promise.all([fleet.putCode(A, archive), fleet.putCode(A, archive)]);
  assert.deepEqual(both.map((one) => one.kind), ["ok", "ok"]);
  assert.equal(fleet.hasCode(A, "d1"), true);
  await fleet.putCode(A, archive);
  const count = await fleet.tail(A, run("x"), 0, "agent", 1);
  assert.deepEqual(JSON.parse(count.kind === "ok" ? count.value : ""), {
    calls: 9,
    bytes: 9 * 4 * Math.ceil(1024 * 1024 / 3),
  });
  await fleet.close();
});

Deno.test("configure keeps what stayed, replaces what changed and closes what left", async () => {
  const { fleet } = await connected();
  await fleet.putCode(A, { digest: "d1", tar: new Uint8Array(1) });
  fleet.configure([nodeSpec("a"), nodeSpec("b")], claim(4));
  assert.equal(fleet.hasCode(A, "d1"), true);
  await fleet.next(/b: connected/);
  const cordoned = { reason: "fan" };
  fleet.configure([nodeSpec("a", { kind: "local" }, { cordoned }), nodeSpec("b")], claim(4));
  assert.equal(fleet.hasCode(A, "d1"), true);
  fleet.configure([nodeSpec("a", { kind: "local" }, { workdir: "~/other" })], claim(4));
  assert.equal(fleet.hasCode(A, "d1"), false);
  await fleet.next(/a: connected/);
  assert.deepEqual([...(await fleet.observe([])).keys()], ["a"]);
  assert.equal((await fleet.clean("b" as NodeName, "x", 1)).kind, "retryable");
  await fleet.close();
});

Deno.test("closing while connecting leaves nothing behind", async () => {
  const clock = new FakeClock();
  const fleet = new WatchedFleet({ clock, runnerSource: FAKE });
  fleet.configure([nodeSpec("a")], claim(1));
  await fleet.close();
  assert.equal(clock.sleeping, 0);
});
