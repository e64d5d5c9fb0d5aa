import assert from "node:assert/strict";
import { schedule } from "./schedule.ts";

const HOSTS: [string, ...string[]] = ["h1", "h2", "h3"];

Deno.test("a seed determines the whole run, and another seed gives another one", () => {
  assert.deepEqual(schedule(1, 5, HOSTS), schedule(1, 5, HOSTS));
  assert.notDeepEqual(schedule(1, 5, HOSTS).events, schedule(2, 5, HOSTS).events);
});

Deno.test("events come in order, and no fault begins or lasts beyond the end", () => {
  const { events, faultsEndMs } = schedule(3, 2, HOSTS);
  assert.equal(faultsEndMs, 120_000);
  const times = events.map((event) => event.atMs);
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  const faults = events.filter((event) => "host" in event || "target" in event);
  for (const fault of faults) {
    assert(fault.atMs < faultsEndMs);
    if ("forMs" in fault) assert(fault.atMs + fault.forMs <= faultsEndMs);
  }
});

Deno.test("the short run already has every kind of fault and every deed of people", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { events } = schedule(seed, 1.1, HOSTS);
    const kinds = new Set(events.map((e) => e.kind === "kill" ? `kill ${e.target}` : e.kind));
    const expected = [
      ...["crash", "cut", "cut-to-host", "cut-from-host", "fill-disk", "fail-gpus"],
      ...["runner", "session", "supervisor", "agent", "rank"].map((target) => `kill ${target}`),
      ...["pause-rank", "hide-repository", "kill-service", "pause-service"],
      ...["submit", "edit", "suspend", "break", "delete", "cancel", "break-cluster"],
    ];
    assert.deepEqual(expected.filter((kind) => !kinds.has(kind as never)), [], `seed ${seed}`);
  }
});

Deno.test("what is out of order does not fail again before it was mended", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const until = new Map<string, number>();
    for (const event of schedule(seed, 5, HOSTS).events) {
      const outage = event.kind === "crash" || event.kind.startsWith("cut");
      if (!outage || !("host" in event)) continue;
      assert(event.atMs > (until.get(event.host) ?? 0), `seed ${seed}, ${event.host}`);
      until.set(event.host, event.atMs + event.forMs);
    }
  }
});

Deno.test("a job that people take away is gone, one that fails by design has failed", () => {
  const { jobs, events } = schedule(4, 5, HOSTS);
  const removed = new Set(
    events.flatMap((e) => e.kind === "delete" || e.kind === "cancel" ? [e.name] : []),
  );
  for (const { name, kind, fate } of jobs) {
    const expected = removed.has(name) ? "gone" : kind === "fails" ? "failed" : "succeeded";
    assert.equal(fate, expected, name);
    if (kind === "endless") assert(removed.has(name), name);
  }
  assert.equal(new Set(jobs.map((job) => job.name)).size, jobs.length);
});
