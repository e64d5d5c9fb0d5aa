import assert from "node:assert/strict";
import { isLive } from "../providers/sim/run.ts";
import type { Fleet, StateRepository } from "./ports.ts";
import { Harness, type SimDoors } from "./testing/harness.ts";

const GANG = "command: [train]\nresources: {nodes: 2, gpusPerNode: 2}\nrecovery: {backoff: 1s}\n";
const ONE = "command: [train]\nresources: {gpusPerNode: 4}\n";

/** What a controller is killed at: the n-th effect, before it or after it. */
interface Crash {
  readonly at: number;
  readonly when: "before" | "after";
}

const EFFECTS = ["launch", "stop", "clean", "putCode", "commitStatus"] as const;

/** Doors that die at an effect: from then on nothing gets through and nothing comes back. */
function mortal(crash: Crash, onDeath: () => void) {
  let count = 0;
  let dead = false;
  const never = new Promise<never>(() => {});
  const guard = <T extends object>(door: T): T =>
    new Proxy(door, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
        if (!(EFFECTS as readonly unknown[]).includes(key)) return call;
        return async (...args: unknown[]) => {
          if (dead) return await never;
          const mine = count++;
          if (mine === crash.at && crash.when === "before") {
            dead = true;
            onDeath();
            return await never;
          }
          const result = await call(...args);
          if (mine !== crash.at) return result;
          dead = true;
          onDeath();
          return await never;
        };
      },
    });
  return {
    wrap: ({ repository, fleet }: SimDoors): SimDoors => ({
      repository: guard<StateRepository>(repository),
      fleet: guard<Fleet>(fleet),
    }),
    effects: () => count,
  };
}

/** Nothing that the invariants forbid is true at this instant. */
function assertSane(harness: Harness): void {
  const attempts = new Map<string, Set<number>>();
  const gpus = new Map<string, string>();
  for (const machine of harness.world.machines.values()) {
    for (const run of machine.runs.values()) {
      assert.ok(run.agentStarts <= 1, `${run.id.job}/${run.id.attempt} was started twice`);
      if (!isLive(run)) continue;
      const set = attempts.get(run.id.job) ?? new Set();
      attempts.set(run.id.job, set.add(run.id.attempt));
      for (const uuid of run.spec.gpus) {
        assert.equal(gpus.get(uuid), undefined, `${uuid} is in two runs`);
        gpus.set(uuid, run.id.job);
      }
    }
  }
  for (const [job, set] of attempts) assert.equal(set.size, 1, `${job} lives ${set.size} times`);
}

Deno.test("a controller killed before or after any effect is replaced by one that converges", async () => {
  for (const when of ["before", "after"] as const) {
    for (let at = 0;; at++) {
      const harness = new Harness(3, { gang: GANG, one: ONE, gone: ONE });
      harness.world.behave("gang", { durationMs: 60_000, failAfterMs: 20_000, failAttempts: 1 });
      harness.world.behave("one", { durationMs: 90_000 });
      let died = false;
      const crash = mortal({ at, when }, () => died = true);
      const first = await harness.start(crash.wrap);
      harness.clock.at(harness.clock.now() + 30_000, () => {
        harness.remote.edit({ "jobs/gone.yaml": undefined });
      });
      await harness.clock.runUntil(() => died, 300_000);
      await first.kill();
      const second = await harness.start();
      await harness.clock.runUntil(() => {
        assertSane(harness);
        return harness.status("gang")?.phase === "Succeeded" &&
          harness.status("one")?.phase === "Succeeded" &&
          harness.status("gone")?.phase === "Cancelled";
      }, 600_000);
      const phases = ["gang", "one", "gone"].map((name) => harness.status(name)?.phase);
      assert.deepEqual(phases, ["Succeeded", "Succeeded", "Cancelled"], `${when} effect ${at}`);
      assert.equal(harness.status("one")?.attempt, 1, `${when} effect ${at}: one ran once`);
      assert.equal(second.loop.stats.errors, 0);
      assert.equal(harness.world.liveRuns().length, 0, "nothing is left on any node");
      await harness.close();
      if (!died) {
        assert.ok(at > 8, `only ${at} effects`);
        break;
      }
    }
  }
});

Deno.test("twenty jobs drain through two machines", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `job-${i + 1}`);
  const harness = new Harness(2, Object.fromEntries(names.map((name) => [name, ONE])));
  for (const name of names) harness.world.behave(name, { durationMs: 120_000 });
  const { loop } = await harness.start();
  await harness.clock.runUntil(() => {
    assertSane(harness);
    return names.every((name) => harness.status(name)?.phase === "Succeeded");
  }, 3_600_000);
  assert.deepEqual(names.filter((name) => harness.status(name)?.phase !== "Succeeded"), []);
  assert.equal(harness.world.mutations.launch, 20);
  assert.equal(loop.stats.errors, 0);
  assert.ok(harness.remote.messages.length < 60, `${harness.remote.messages.length} commits`);
  await harness.close();
});

Deno.test("ten passes over an unchanged world commit nothing and send nothing", async () => {
  const wide = "command: [train]\nresources: {nodes: 9}\n";
  const harness = new Harness(3, { gang: GANG, wide, bad: "command: 7\n" });
  const { controller, fleet } = await harness.controller();
  for (let i = 0; i < 5; i++) {
    await controller.pass(true);
    await harness.clock.advance(6000);
  }
  const commits = harness.remote.messages.length;
  const { world } = harness;
  const before = { ...world.mutations };
  for (let i = 0; i < 10; i++) {
    const result = await controller.pass(i % 2 === 0);
    assert.deepEqual([result.committed, result.mutations], [false, 0]);
    await harness.clock.advance(20_000);
  }
  const next = await harness.controller();
  const result = await next.controller.pass(true);
  assert.equal(result.committed, false, "nor does a controller that has just been started");
  assert.equal(harness.remote.messages.length, commits);
  assert.deepEqual(world.mutations, before);
  await fleet.close();
  await next.fleet.close();
});

Deno.test("a partition makes a job Unknown, and what ran on is adopted afterwards", async () => {
  const harness = new Harness(3, { gang: GANG });
  harness.world.behave("gang", { durationMs: 300_000 });
  await harness.start();
  const before = await harness.until("gang", "Running");
  const node = before.attempts[0]?.placement[1]?.node ?? "";
  harness.world.cut(node);
  await harness.until("gang", "Unknown");
  await harness.clock.advance(30_000);
  assert.deepEqual(harness.liveAttempts("gang"), [1]);
  harness.world.restore(node);
  const after = await harness.until("gang", "Running");
  assert.equal(after.attempt, 1);
  assert.equal((await harness.until("gang", "Succeeded")).attempt, 1);
  await harness.close();
});

Deno.test("a partition that outlasts nodeLostAfter moves the job, and the old attempt is fenced", async () => {
  const harness = new Harness(3, { one: ONE });
  harness.world.behave("one", { durationMs: 900_000, sharedCheckpoints: true });
  await harness.start();
  const before = await harness.until("one", "Running");
  const node = before.attempts[0]?.placement[0]?.node ?? "";
  harness.world.cut(node);
  await harness.until("one", "Unknown");
  await harness.clock.advance(70_000);
  assert.equal(harness.status("one")?.attempt, 2);
  harness.world.restore(node);
  await harness.clock.advance(2000);
  assert.deepEqual(harness.liveAttempts("one"), [2]);
  await harness.close();
});

Deno.test("a crash moves the job to another machine, from its last checkpoint", async () => {
  const harness = new Harness(3, { one: ONE });
  harness.world.behave("one", {
    durationMs: 600_000,
    checkpointEveryMs: 30_000,
    sharedCheckpoints: true,
  });
  await harness.start();
  const before = await harness.until("one", "Running");
  await harness.clock.advance(100_000);
  harness.world.machine(before.attempts[0]?.placement[0]?.node ?? "").crash();
  await harness.clock.advance(90_000);
  const after = harness.status("one");
  assert.deepEqual([after?.phase, after?.attempt, after?.retries], ["Running", 2, 0]);
  assert.equal(after?.attempts[1]?.resumedFrom?.step, 90);
  const done = await harness.until("one", "Succeeded", 700_000);
  assert.equal(done.attempt, 2);
  await harness.close();
});

Deno.test("a machine that reboots is no fault of the job", async () => {
  const harness = new Harness(1, { one: "command: [x]\nrecovery: {maxRetries: 0}\n" });
  await harness.start();
  await harness.until("one", "Running");
  harness.world.machine("n1").boot();
  await harness.clock.advance(10_000);
  const after = harness.status("one");
  assert.deepEqual([after?.phase, after?.attempt, after?.retries], ["Running", 2, 0]);
  await harness.close();
});
