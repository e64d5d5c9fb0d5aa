import assert from "node:assert/strict";
import { DEFAULT_SCHEDULING, type SchedulingPolicy } from "../../cluster/cluster.ts";
import { schedule } from "../../reconciler/scheduling/schedule.ts";
import { room } from "../../reconciler/scheduling/testing.ts";
import type { Room } from "../../reconciler/scheduling/types.ts";
import { type Figures, figuresOf, jain } from "./figures.ts";
import { generate } from "./generate.ts";
import { replay, type Run, type World } from "./replay.ts";
import type { TraceRow } from "./trace.ts";
import { workloadOf } from "./workload.ts";

const MINUTE = 60;

/** Submission and duration in minutes, GPUs, user, priority. */
type Job = readonly [submit: number, lasts: number, gpus: number, user?: string, priority?: number];

function rowsOf(jobs: readonly Job[]): TraceRow[] {
  return jobs.map(([submit, lasts, gpus, user = "", priority = 0]) => ({
    submitSeconds: submit * MINUTE,
    durationSeconds: lasts * MINUTE,
    gpus,
    user,
    priority,
  }));
}

function run(
  policy: SchedulingPolicy,
  rooms: readonly Room[],
  rows: readonly TraceRow[],
  changes: Partial<World> = {},
): Run {
  return replay(workloadOf(rows, rooms, "exact"), {
    queues: [{ name: "default", priority: 0 }],
    users: [],
    groups: [],
    scheduling: { ...DEFAULT_SCHEDULING, policy },
    rooms,
    schedule,
    checkpointMs: 30 * MINUTE * 1000,
    ...changes,
  });
}

/** Start and end of each job in minutes, in the order of submission. */
function times({ outcomes }: Run): (readonly [number, number])[] {
  return outcomes.map(({ startMs = NaN, endMs = NaN }) => [startMs / 60_000, endMs / 60_000]);
}

/** Times in minutes, to a millionth. */
function inMinutes(figures: Figures, of: "completion" | "queueing") {
  const { meanSeconds, medianSeconds, p99Seconds, maxSeconds } = figures[of];
  return [meanSeconds, medianSeconds, p99Seconds, maxSeconds].map((seconds) =>
    Math.round(seconds / MINUTE * 1e6) / 1e6
  );
}

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual}, not ${expected}`);
}

const four = [room("n1", { gpus: 4 })];
/** The second does not fit beside the first; the third and the fourth would. */
const blocked: readonly Job[] = [
  [0, 100, 2, "ada"],
  [10, 100, 4, "bob"],
  [20, 50, 2, "ada"],
  [30, 10, 2, "bob"],
];

Deno.test("fifo: nobody passes a job that does not fit", () => {
  const result = run("fifo", four, rowsOf(blocked));
  assert.deepEqual(times(result), [[0, 100], [100, 200], [200, 250], [200, 210]]);
  const figures = figuresOf(result);
  assert.deepEqual(inMinutes(figures, "completion"), [175, 185, 228.8, 230]);
  assert.deepEqual(inMinutes(figures, "queueing"), [110, 130, 179.7, 180]);
  near(figures.utilisation, 2 * 30 / (4 * 30));
  // Two GPUs from the tenth minute on; from the twentieth the third job could have used them.
  near(figures.idle, 2 * 20 / (4 * 30));
  near(figures.fragmentation, 2 * 10 / (4 * 30));
  // Each may have two GPUs while both want some: ada for 250 minutes, bob for 190 and 10 more.
  near(figures.shareFairness, jain([300 / 500, 420 / 400]));
  near(figures.slowdownFairness, jain([(1 + 230 / 50) / 2, (190 / 100 + 180 / 10) / 2]));
  assert.equal(figures.makespanSeconds, 250 * MINUTE);
  assert.equal(figures.preemptions, 0);
});

Deno.test("default: jobs pass where they delay nobody", () => {
  const result = run("default", four, rowsOf(blocked));
  assert.deepEqual(times(result), [[0, 100], [100, 200], [20, 70], [70, 80]]);
  const figures = figuresOf(result);
  assert.deepEqual(inMinutes(figures, "completion"), [97.5, 75, 187.3, 190]);
  assert.deepEqual(inMinutes(figures, "queueing").slice(0, 2), [32.5, 20]);
  near(figures.utilisation, (2 * 30 + 2 * 10) / (4 * 30));
  near(figures.idle, 2 * 10 / (4 * 30));
  assert.equal(figures.makespanSeconds, 200 * MINUTE);
});

Deno.test("backfill: a job that would delay the first one waits", () => {
  const result = run("backfill", four, rowsOf([[0, 100, 2], [10, 100, 4], [20, 85, 2]]));
  assert.deepEqual(times(result), [[0, 100], [100, 200], [200, 285]]);
});

Deno.test("priority: the more urgent goes first", () => {
  const jobs = rowsOf([[0, 10, 4], [1, 10, 4, "", 0], [2, 10, 4, "", 100]]);
  assert.deepEqual(times(run("fifo", four, jobs)), [[0, 10], [10, 20], [20, 30]]);
  assert.deepEqual(times(run("priority", four, jobs)), [[0, 10], [20, 30], [10, 20]]);
});

Deno.test("fairshare: whoever has used least goes first", () => {
  const jobs = rowsOf([[0, 10, 4, "ada"], [1, 10, 4, "ada"], [2, 10, 4, "bob"]]);
  assert.deepEqual(times(run("fairshare", four, jobs)), [[0, 10], [20, 30], [10, 20]]);
});

Deno.test("fairshare counts what was used in the past, the older the less", () => {
  // Ada used hers just now, bob as much ten half-lives ago.
  const jobs = rowsOf([
    [0, 60, 4, "bob"],
    [600, 60, 4, "ada"],
    [661, 10, 4, "cyd"],
    [662, 10, 4, "ada"],
    [663, 10, 4, "bob"],
  ]);
  const scheduling = { ...DEFAULT_SCHEDULING, policy: "fairshare", halfLifeMs: 3_600_000 } as const;
  const result = run("fairshare", four, jobs, { scheduling });
  assert.deepEqual(times(result).slice(3), [[681, 691], [671, 681]]);
});

Deno.test("a job that is stopped for another goes on from its newest checkpoint", () => {
  const preemption = { ...DEFAULT_SCHEDULING.preemption, byPriority: true };
  const scheduling = { ...DEFAULT_SCHEDULING, policy: "priority", preemption } as const;
  const jobs = rowsOf([[0, 100, 4, "ada", 0], [45, 10, 4, "bob", 1000]]);
  const result = run("priority", four, jobs, { scheduling });
  // The GPUs change hands within a second, each time; 30 of 45 minutes were saved.
  const second = 1 / 60;
  const [first, urgent] = times(result);
  near(urgent![0], 45 + second);
  near(first![1], 45 + second + 10 + 70);
  const figures = figuresOf(result);
  assert.equal(figures.preemptions, 1);
  near(figures.lostGpuHours, 4 * 15 / 60);
  near(figures.queueing.meanSeconds, (600 + 1) / 2);
});

Deno.test("a job that nothing can hold never starts, and the others are counted without it", () => {
  const figures = figuresOf(run("default", four, rowsOf([[0, 10, 1], [1, 10, 64], [2, 10, 1]])));
  assert.equal(figures.jobs, 3);
  assert.equal(figures.neverStarted, 1);
  assert.equal(figures.farBehind, 0);
  assert.equal(figures.completion.meanSeconds, 10 * MINUTE);
});

Deno.test("the window ends with the last submission, also of a job that never starts", () => {
  const figures = figuresOf(run("default", four, rowsOf([[0, 10, 1], [100, 10, 64]])));
  near(figures.utilisation, 10 / (4 * 100));
  const atOnce = figuresOf(run("fifo", four, rowsOf([[0, 10, 4], [0, 10, 2]])));
  near(atOnce.utilisation, (40 + 20) / (4 * 20));
  near(atOnce.idle, 0);
});

Deno.test("a job that is queued far longer than all others is counted", () => {
  // A hundred jobs start at once; one of low priority waits two days for all of them.
  const jobs: Job[] = Array.from({ length: 100 }, (_, i) => [i * 30, 30, 4]);
  const figures = figuresOf(run("priority", four, rowsOf([...jobs, [1, 10, 4, "", -100]])));
  assert.equal(figures.queueing.maxSeconds, 2999 * MINUTE);
  assert.equal(figures.farBehind, 1);
});

Deno.test("who has used up the GPU-hours of the week starts when they are a week old", () => {
  const users = [{ name: "ada", groups: [], share: 1, gpuHoursPerWeek: 4 }];
  const jobs = rowsOf([[0, 60, 4, "ada"], [70, 60, 4, "ada"]]);
  const [, second] = times(run("default", four, jobs, { users }));
  const week = 7 * 24 * 60;
  assert.ok(second![0] > week && second![0] <= week + 10, `starts at ${second![0]}`);
});

Deno.test("ends and arrivals of one second are one pass, and passes are a second apart", () => {
  const rows = rowsOf([[0, 10, 1], [10, 1, 1], [10, 1, 1]]).map((row, i) =>
    i === 2 ? { ...row, submitSeconds: row.submitSeconds + 0.4 } : row
  );
  const seen: number[] = [];
  run("fifo", four, rows, {
    schedule: (input) => {
      seen.push(input.now);
      return schedule(input);
    },
  });
  assert.deepEqual(seen, [0, 600_000, 601_000]);
});

for (const policy of ["fifo", "priority", "backfill", "fairshare", "default"] as const) {
  Deno.test(`${policy}: no GPU twice, all work done, and the same figures again`, () => {
    const rooms = Array.from({ length: 4 }, (_, i) => room(`n${i}`, { gpus: 8 }));
    const rows = generate({ count: 400, load: 0.9, seed: 11 }, rooms, []);
    const result = run(policy, rooms, rows);
    const changes = result.stays.flatMap(({ startMs, endMs, gpus }) => [
      [startMs, gpus] as const,
      // GPUs are given away at the next whole second.
      [endMs, -gpus] as const,
    ]).sort(([a, x], [b, y]) => a - b || x - y);
    let held = 0;
    for (const [, change] of changes) {
      held += change;
      assert.ok(held <= 32);
    }
    for (const { job, heldMs } of result.outcomes) assert.equal(heldMs, job.durationMs);
    assert.deepEqual(figuresOf(run(policy, rooms, rows)), figuresOf(result));
    assert.ok(rooms.every(({ free }) => free.length === 8));
  });
}
