import assert from "node:assert/strict";
import fc from "fast-check";
import { VirtualClock } from "../providers/sim/clock.ts";
import type { Leadership } from "./leadership.ts";
import type { Lease } from "./ports.ts";
import { leadershipOver, LeaseBranch, LeaseDoor, type WriteFault } from "./testing/lease_door.ts";

class Two {
  readonly clock = new VirtualClock();
  readonly branch = new LeaseBranch();
  readonly stop = new AbortController();
  readonly doors = [this.#door(), this.#door()] as const;
  readonly leader = leadershipOver(this.doors[0], this.clock, "a");
  readonly standby = leadershipOver(this.doors[1], this.clock, "b");
  tookOverAtMs: number | undefined;

  #door() {
    return new LeaseDoor(this.branch, this.clock);
  }

  get lease(): Lease | undefined {
    return this.branch.at?.lease;
  }

  async lead(): Promise<void> {
    assert.equal((await this.leader.take()).kind, "ok");
    void this.leader.keep(this.stop.signal);
  }

  standBy(): void {
    void this.standby.standBy(this.stop.signal).then((claim) => {
      if (!claim) return;
      this.tookOverAtMs = this.clock.now();
      void this.standby.keep(this.stop.signal);
    });
  }

  /** A leader and a standby that it knows of. */
  async watched(): Promise<void> {
    await this.lead();
    this.standBy();
    await this.clock.advance(25_000);
    assert.equal(this.lease?.watched, true);
  }

  /** Stops one of them as SIGSTOP would; the answer lets it go on. */
  pause(index: 0 | 1): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.doors[index].paused = promise;
    return () => {
      this.doors[index].paused = undefined;
      resolve();
    };
  }

  async end(): Promise<void> {
    this.stop.abort();
    await this.clock.advance(120_000);
  }
}

Deno.test("a controller that works alone renews nothing, and may act for ever", async () => {
  const two = new Two();
  await two.lead();
  const { writes } = two.branch;
  for (let i = 0; i < 100; i++) {
    await two.clock.advance(10_000);
    assert.ok(two.leader.mayAct());
  }
  assert.equal(two.branch.writes, writes);
  await two.end();
});

Deno.test("a standby takes over within 15 s of the leader's death, with the next epoch", async () => {
  const two = new Two();
  await two.watched();
  const before = two.leader.claim;
  two.pause(0);
  const diedAtMs = two.clock.now();
  await two.clock.advance(15_000);
  assert.ok(two.tookOverAtMs !== undefined && two.tookOverAtMs - diedAtMs <= 15_000);
  assert.deepEqual(two.standby.claim, { ...before, epoch: before.epoch + 1 });
  await two.end();
});

Deno.test("a leader that was paused may not act when it wakes, and learns that it is deposed", async () => {
  const two = new Two();
  await two.watched();
  const resume = two.pause(0);
  await two.clock.advance(20_000);
  assert.ok(two.standby.mayAct());
  assert.equal(two.leader.mayAct(), false, "by its own clock, before it has heard anything");
  resume();
  await two.clock.advance(1000);
  assert.match(two.leader.deposed ?? "", /b has claimed the repository with epoch 2/);
  await two.end();
});

Deno.test("a standby waits for as long as the leader lives, however slow the remote is", async () => {
  const two = new Two();
  await two.lead();
  for (const door of two.doors) door.latencyMs = 1500;
  two.standBy();
  for (let i = 0; i < 600; i++) {
    await two.clock.advance(1000);
    assert.ok(two.leader.mayAct(), `at ${i} s`);
  }
  assert.equal(two.tookOverAtMs, undefined);
  await two.end();
});

Deno.test("an outage of the remote moves no lease: what cannot be seen may have changed", async () => {
  const two = new Two();
  await two.watched();
  for (const door of two.doors) door.unreachable = true;
  await two.clock.advance(8000);
  assert.equal(two.leader.mayAct(), false);
  await two.clock.advance(300_000);
  for (const door of two.doors) door.unreachable = false;
  await two.clock.advance(5000);
  assert.deepEqual([two.leader.mayAct(), two.tookOverAtMs], [true, undefined]);
  await two.end();
});

Deno.test("a leader that is told to stop gives the lease up, and nobody waits", async () => {
  const two = new Two();
  await two.watched();
  const leftAtMs = two.clock.now();
  await two.leader.release();
  two.pause(0);
  await two.clock.advance(2000);
  assert.ok((two.tookOverAtMs ?? Infinity) - leftAtMs <= 2000);
  await two.end();
});

Deno.test("a lease that was deleted or set back is written again by its holder", async () => {
  const two = new Two();
  await two.watched();
  const older = two.lease;
  await two.clock.advance(10_000);
  for (const lease of [older, undefined]) {
    const { beat = 0 } = two.lease ?? {};
    two.branch.set(lease);
    await two.clock.advance(5000);
    assert.equal(two.lease?.epoch, 1);
    assert.ok((two.lease?.beat ?? 0) >= beat);
  }
  assert.ok(two.leader.mayAct());
  assert.equal(two.tookOverAtMs, undefined);
  await two.end();
});

Deno.test("a standby that goes leaves the leader alone; one that dies is forgotten", async () => {
  const two = new Two();
  await two.lead();
  const going = new AbortController();
  const gone = two.standby.standBy(going.signal);
  await two.clock.advance(30_000);
  going.abort();
  await two.clock.advance(10_000);
  assert.equal(await gone, undefined);
  assert.deepEqual([two.lease?.standby, two.lease?.watched], [undefined, false]);
  two.standBy();
  await two.clock.advance(30_000);
  two.pause(1);
  await two.clock.advance(16 * 60_000);
  assert.deepEqual([two.lease?.standby, two.lease?.watched], [undefined, false]);
  const { writes } = two.branch;
  await two.clock.advance(60_000);
  assert.equal(two.branch.writes, writes, "nothing is renewed for nobody");
  await two.end();
});

Deno.test("`start` claims at once; the controller before it is deposed", async () => {
  const two = new Two();
  await two.lead();
  assert.equal((await two.standby.take()).kind, "ok");
  await two.clock.advance(21_000);
  assert.ok(two.leader.deposed);
  assert.ok(two.standby.mayAct());
  await two.end();
});

Deno.test("a claim whose answer is lost is looked up", async () => {
  for (const fault of ["reply-lost", "request-lost"] as const) {
    const two = new Two();
    two.doors[0].faults.push(fault);
    const taking = two.leader.take();
    await two.clock.advance(10_000);
    assert.equal((await taking).kind, "ok");
    assert.equal(two.lease?.epoch, 1);
    await two.end();
  }
});

/** What happens to one of two controllers, and when after what came before. */
type Blow =
  & { readonly afterMs: number; readonly to: 0 | 1 }
  & (
    | { readonly kind: "pause" | "unreachable"; readonly forMs: number }
    | { readonly kind: "latency"; readonly ms: number }
    | { readonly kind: "fault"; readonly fault: WriteFault }
  );

const blow: fc.Arbitrary<Blow> = fc.tuple(
  fc.record({ afterMs: fc.nat(30_000), to: fc.constantFrom(0 as const, 1 as const) }),
  fc.oneof(
    fc.record({
      kind: fc.constantFrom("pause" as const, "unreachable" as const),
      forMs: fc.nat(90_000),
    }),
    fc.record({ kind: fc.constant("latency" as const), ms: fc.nat(6000) }),
    fc.record({
      kind: fc.constant("fault" as const),
      fault: fc.constantFrom<WriteFault>("reply-lost", "request-lost"),
    }),
  ),
).map(([when, what]) => ({ ...when, ...what }));

/** Leads for ever: stands by, keeps, and stands by again when it is deposed. */
async function follow(two: Two, index: 0 | 1, current: (Leadership | undefined)[]): Promise<void> {
  for (let term = 0; !two.stop.signal.aborted; term++) {
    const name = `${"ab"[index]}${term}`;
    const leadership = leadershipOver(two.doors[index], two.clock, name);
    current[index] = leadership;
    if (!await leadership.standBy(two.stop.signal)) return;
    await leadership.keep(two.stop.signal);
  }
}

Deno.test("whatever is paused, slow, cut or lost: two never may act at once", async () => {
  let turns = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(blow, { maxLength: 12 }), async (blows) => {
      const two = new Two();
      await two.lead();
      const current: (Leadership | undefined)[] = [two.leader, undefined];
      void follow(two, 1, current);
      const check = () => {
        const acting = current.filter((one) => one?.mayAct());
        assert.ok(acting.length <= 1, "two may act");
        return false;
      };
      for (const blow of blows) {
        await two.clock.runUntil(check, blow.afterMs);
        strike(two, blow);
      }
      const first = current[1];
      await two.clock.runUntil(check, 300_000);
      if (two.leader.deposed || current[1] !== first) turns++;
      check();
      await two.end();
    }),
    { numRuns: 300, seed: 3 },
  );
  assert.ok(turns > 20, `only ${turns} runs changed the leader`);
});

function strike(two: Two, blow: Blow): void {
  const door = two.doors[blow.to];
  if (blow.kind === "latency") door.latencyMs = blow.ms;
  else if (blow.kind === "fault") door.faults.push(blow.fault);
  else if (blow.kind === "pause") {
    if (door.paused) return;
    const resume = two.pause(blow.to);
    two.clock.at(two.clock.now() + blow.forMs, resume);
  } else {
    door.unreachable = true;
    two.clock.at(two.clock.now() + blow.forMs, () => door.unreachable = false);
  }
}

Deno.test("a standby that was forgotten is heard again when it speaks", async () => {
  const two = new Two();
  await two.watched();
  const resume = two.pause(1);
  assert.ok(await two.clock.runUntil(() => two.lease?.standby === undefined, 16 * 60_000));
  resume();
  await two.clock.advance(30_000);
  assert.equal(two.lease?.watched, true);
  await two.clock.advance(300_000);
  assert.deepEqual([two.leader.mayAct(), two.tookOverAtMs], [true, undefined]);
  await two.end();
});
