import assert from "node:assert/strict";
import { VirtualClock } from "./clock.ts";

Deno.test("sleeps end in the order of their times, and time stands where they say", async () => {
  const clock = new VirtualClock(0);
  const seen: string[] = [];
  for (const ms of [300, 100, 200]) {
    clock.sleep(ms).then(() => seen.push(`${ms} at ${clock.now()}`));
  }
  await clock.advance(250);
  assert.deepEqual(seen, ["100 at 100", "200 at 200"]);
  assert.equal(clock.now(), 250);
  await clock.advance(50);
  assert.equal(seen.at(-1), "300 at 300");
});

Deno.test("what a sleeper does next happens before time goes on", async () => {
  const clock = new VirtualClock(0);
  const seen: number[] = [];
  const worker = async () => {
    for (let i = 0; i < 3; i++) {
      await clock.sleep(10);
      seen.push(clock.now());
    }
  };
  const done = worker();
  await clock.advance(1000);
  await done;
  assert.deepEqual(seen, [10, 20, 30]);
});

Deno.test("an aborted sleep ends at once, also when it was aborted before", async () => {
  const clock = new VirtualClock(0);
  const stop = new AbortController();
  const sleeping = clock.sleep(1000, stop.signal);
  stop.abort();
  await sleeping;
  await clock.sleep(1000, stop.signal);
  assert.equal(clock.now(), 0);
});

Deno.test("a callback that was taken back does not fire", async () => {
  const clock = new VirtualClock(0);
  let fired = 0;
  const cancel = clock.at(10, () => fired++);
  clock.at(10, () => fired++);
  cancel();
  await clock.advance(20);
  assert.equal(fired, 1);
});

Deno.test("it runs until something is so, and not past it", async () => {
  const clock = new VirtualClock(0);
  let count = 0;
  const tick = (): void => {
    count++;
    clock.at(clock.now() + 100, tick);
  };
  clock.at(0, tick);
  assert.equal(await clock.runUntil(() => count === 5, 10_000), true);
  assert.equal(clock.now(), 400);
  assert.equal(await clock.runUntil(() => count === 500, 1000), false);
});

Deno.test("ten thousand timers fire in order", async () => {
  const clock = new VirtualClock(0);
  const seen: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    const at = (i * 7919) % 10_007;
    clock.at(at, () => seen.push(at));
  }
  await clock.advance(10_007);
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
  assert.equal(seen.length, 10_000);
});
