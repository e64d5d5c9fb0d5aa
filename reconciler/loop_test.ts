import assert from "node:assert/strict";
import { VirtualClock } from "../providers/sim/clock.ts";
import { Controller, DeposedError, type PassResult } from "./controller.ts";
import { Loop } from "./loop.ts";
import { Harness } from "./testing/harness.ts";

const IDLE: PassResult = {
  planned: true,
  actions: [],
  mutations: 0,
  committed: false,
  wakeAtMs: undefined,
  failures: 0,
};

/** A loop over passes that a test makes up; each is noted with its time and whether it fetched. */
function setUp(pass: (nth: number, now: number) => Partial<PassResult> | Error) {
  const clock = new VirtualClock(0);
  const passes: (readonly [number, boolean])[] = [];
  const controller = {
    pass: (refresh: boolean) => {
      passes.push([clock.now(), refresh]);
      const result = pass(passes.length, clock.now());
      return result instanceof Error
        ? Promise.reject(result)
        : Promise.resolve({ ...IDLE, ...result });
    },
  } as unknown as Controller;
  const loop = new Loop(controller, clock, () => {}, 10_000);
  const stop = new AbortController();
  const ended = loop.run(stop.signal).then(() => undefined, (error: unknown) => error);
  const end = async () => {
    stop.abort();
    await clock.advance(100);
    return await ended;
  };
  return { clock, loop, passes, end, ended };
}

Deno.test("without hints a pass is made at each poll, and fetches", async () => {
  const { clock, passes, end } = setUp(() => ({}));
  await clock.advance(25_000);
  assert.deepEqual(passes, [[0, true], [10_000, true], [20_000, true]]);
  assert.equal(await end(), undefined);
});

Deno.test("hints that come together make one pass; only those of the repository fetch", async () => {
  const { clock, loop, passes, end } = setUp(() => ({}));
  await clock.advance(1000);
  for (let i = 0; i < 5; i++) loop.hint("nodes");
  await clock.advance(1000);
  loop.hint("repository");
  await clock.advance(1000);
  assert.deepEqual(passes, [[0, true], [1015, false], [2015, true]]);
  await end();
});

Deno.test("a hint during a pass is not lost", async () => {
  const world = setUp((nth) => {
    if (nth === 1) queueMicrotask(() => world.loop.hint("nodes"));
    return {};
  });
  await world.clock.advance(1000);
  assert.deepEqual(world.passes, [[0, true], [15, false]]);
  await world.end();
});

Deno.test("a pass wakes when the plan says so, without fetching", async () => {
  const { clock, passes, end } = setUp((nth, now) => nth === 1 ? { wakeAtMs: now + 1234 } : {});
  await clock.advance(5000);
  assert.deepEqual(passes, [[0, true], [1234, false]]);
  await end();
});

Deno.test("polls back off up to eight times while nothing is known of the repository", async () => {
  const { clock, passes, end } = setUp((nth) => nth < 6 ? { planned: false, failures: 1 } : {});
  await clock.advance(400_000);
  const fetches = passes.filter(([, refresh]) => refresh).map(([at]) => at / 1000);
  assert.deepEqual(fetches.slice(0, 7), [0, 20, 60, 140, 220, 300, 310]);
  await end();
});

Deno.test("an unexpected error is counted and tried again after a while", async () => {
  const { clock, loop, passes, end } = setUp((nth) => nth === 1 ? new Error("boom") : {});
  await clock.advance(2000);
  assert.equal(loop.stats.errors, 1);
  assert.deepEqual(passes.map(([at]) => at), [0, 1000]);
  await end();
});

Deno.test("after mutations it looks again at once, but never spins", async () => {
  const { clock, passes, end } = setUp(() => ({ mutations: 1 }));
  await clock.advance(10_000);
  assert.deepEqual(passes.slice(0, 3).map(([at]) => at), [0, 0, 0]);
  assert.ok(passes.length < 30, `${passes.length} passes in ten seconds`);
  await end();
});

Deno.test("a wake-up that lies in the past for ever does not spin either", async () => {
  const { clock, passes, end } = setUp((_, now) => ({ wakeAtMs: now - 5 }));
  await clock.advance(10_000);
  assert.ok(passes.length < 30, `${passes.length} passes in ten seconds`);
  await end();
});

Deno.test("launches that failed are tried again after a second", async () => {
  const { clock, passes, end } = setUp((nth) => nth === 1 ? { failures: 1, mutations: 1 } : {});
  await clock.advance(3000);
  assert.deepEqual(passes.map(([at]) => at), [0, 1000]);
  await end();
});

Deno.test("a deposed controller ends", async () => {
  const { clock, ended } = setUp(() => new DeposedError("stale-epoch"));
  await clock.advance(1);
  assert.equal((await ended as Error).name, "DeposedError");
});

Deno.test("a controller that a newer one has replaced is told so by the nodes, and changes nothing", async () => {
  const harness = new Harness(1, { a: "command: [x]\n" });
  const old = await harness.start();
  await harness.until("a", "Running");
  const young = await harness.start();
  await harness.clock.advance(1000);
  harness.remote.edit({ "jobs/a.yaml": "command: [y]\nenv: {X: y}\n" });
  old.loop.hint("repository");
  await harness.clock.advance(60_000);
  assert.equal((await old.ended as Error).name, "DeposedError");
  assert.equal(harness.status("a")?.attempt, 2);
  assert.deepEqual(harness.liveAttempts("a"), [2]);
  assert.equal(young.loop.stats.errors, 0);
  await harness.close();
});

Deno.test("a clock that is set back does not put the next poll off for as long", async () => {
  let offMs = 0;
  const { clock, passes, end } = setUp(() => ({}));
  const now = clock.now.bind(clock);
  clock.now = () => now() - offMs;
  await clock.advance(10_000);
  const before = passes.length;
  offMs = 3_600_000;
  await clock.advance(100_000);
  assert.ok(passes.slice(before).some(([, fetches]) => fetches));
  await end();
});
