import assert from "node:assert/strict";
import {
  type Intent,
  LAUNCH_TIMEOUT_MS,
  type Obstacle,
  type Step,
  stepAttempt,
  type StepInput,
  TEARDOWN_GRACE_MS,
} from "./attempt_step.ts";
import { ago, attempt, ended, NOW, policy, run, STOPPED, unknown } from "./testing/build.ts";
import type { NodeName } from "../cluster/node.ts";
import type { RunRecord } from "../jobs/run.ts";
import type { RankView } from "./view.ts";

const NODES = ["n1", "n2"];
const n = (rank: number) => NODES[rank] as NodeName;
const rec = (rank: number, changes: Partial<RunRecord> = {}) => run("a", 1, rank, NODES, changes);

/** Every kind of rank that there is, by a word. */
const RANKS: Readonly<Record<string, (rank: number) => RankView>> = {
  starting: (r) => ({ kind: "live", node: n(r), run: rec(r, { state: "starting" }) }),
  running: (r) => ({ kind: "live", node: n(r), run: rec(r) }),
  stopping: (r) => ({
    kind: "live",
    node: n(r),
    run: rec(r, { state: "stopping", stop: STOPPED }),
  }),
  succeeded: (r) => ({ kind: "ended", node: n(r), run: rec(r, ended(0)), rebooted: false }),
  failed: (r) => ({ kind: "ended", node: n(r), run: rec(r, ended(1)), rebooted: false }),
  stopped: (r) => ({
    kind: "ended",
    node: n(r),
    run: rec(r, { ...ended(1, { reason: "stopped" }), stop: STOPPED }),
    rebooted: false,
  }),
  rebooted: (r) => ({
    kind: "ended",
    node: n(r),
    run: rec(r, { state: "lost", processes: 0 }),
    rebooted: true,
  }),
  leftover: (r) => ({ kind: "leftover", node: n(r), run: rec(r, { state: "lost" }) }),
  absent: (r) => ({ kind: "absent", node: n(r) }),
  unknown: (r) => ({ ...unknown(n(r), 8000), kind: "unknown" }),
  gone: (r) => ({ ...unknown(n(r), 60_000), kind: "unknown" }),
  removed: (r) => ({ kind: "removed", node: n(r) }),
};

const STOP: Intent = {
  kind: "stop",
  phase: "Suspended",
  reason: "Suspended",
  message: "its manifest says `state: suspended`",
  graceMs: 30_000,
};
const EVICT: Intent = { ...STOP, phase: "Pending", reason: "Preempted", end: "evicted" };
const INTENTS: Readonly<Record<string, Intent>> = {
  run: { kind: "run" },
  keep: { kind: "keep" },
  stop: STOP,
};

interface Case extends Partial<Omit<StepInput, "ranks">> {
  readonly ranks: readonly string[];
}

function step({ ranks, ...changes }: Case): Step {
  return stepOf(ranks.map((word, i) => (RANKS[word] as (rank: number) => RankView)(i)), changes);
}

function stepOf(ranks: readonly RankView[], changes: Partial<StepInput> = {}): Step {
  return stepAttempt({
    attempt: attempt(1, NODES, { recordedAt: ago(1000) }),
    ranks,
    phase: "Running",
    intent: { kind: "run" },
    obstacle: () => undefined,
    launchFailure: undefined,
    policy: policy(),
    networkWorks: true,
    now: NOW,
    ...changes,
  });
}

/** Steps of a gang of two with the intent to run, keep or stop: in words. */
const TABLE: readonly (readonly [string, string, string, string, string])[] = [
  // rank 0, rank 1, run, keep, stop
  ["running", "running", "running", "running", "stopping"],
  ["starting", "running", "starting", "starting", "stopping"],
  ["running", "succeeded", "running", "running", "stopping"],
  ["succeeded", "succeeded", "end succeeded", "end succeeded", "end succeeded"],
  ["running", "failed", "stopping", "stopping", "stopping"],
  ["failed", "failed", "end failed", "end failed", "end stopped"],
  ["succeeded", "failed", "end failed", "end failed", "end stopped"],
  ["stopping", "running", "stopping", "running", "stopping"],
  ["stopped", "running", "stopping", "stopping", "stopping"],
  ["stopped", "stopped", "end stopped", "end stopped", "end stopped"],
  ["stopped", "failed", "end failed", "end failed", "end stopped"],
  ["running", "rebooted", "stopping", "stopping", "stopping"],
  ["failed", "rebooted", "end node-lost", "end node-lost", "end stopped"],
  ["leftover", "running", "stopping", "stopping", "stopping"],
  ["leftover", "absent", "stopping", "stopping", "stopping"],
  ["absent", "absent", "complete 0 1", "complete 0 1", "end stopped"],
  ["running", "absent", "complete 1", "complete 1", "stopping"],
  ["running", "unknown", "unknown", "unknown", "stopping"],
  ["unknown", "unknown", "unknown", "unknown", "unknown"],
  ["absent", "unknown", "unknown", "unknown", "unknown"],
  ["failed", "unknown", "end node-lost", "end node-lost", "unknown"],
  ["running", "gone", "stopping", "stopping", "stopping"],
  ["gone", "gone", "end node-lost", "end node-lost", "end stopped"],
  ["unknown", "gone", "end node-lost", "end node-lost", "unknown"],
  ["running", "removed", "stopping", "stopping", "stopping"],
  ["removed", "removed", "end node-lost", "end node-lost", "end stopped"],
  ["stopped", "gone", "end node-lost", "end node-lost", "end stopped"],
];

function words(found: Step): string {
  if (found.kind === "end") return `end ${found.end}`;
  return found.kind === "complete" ? `complete ${found.ranks.join(" ")}` : found.kind;
}

for (const [first, second, ...expected] of TABLE) {
  Deno.test(`a gang of a ${first} and a ${second} rank takes the step of the table`, () => {
    const found = Object.values(INTENTS).map((intent) =>
      words(step({ ranks: [first, second], intent }))
    );
    assert.deepEqual(found, expected);
    if (first === second) return;
    const mirrored = Object.values(INTENTS).map((intent) =>
      words(step({ ranks: [second, first], intent }))
    );
    const swapped = expected.map((text) =>
      text.replace(/complete ([01])$/, (_, rank) => `complete ${1 - Number(rank)}`)
    );
    assert.deepEqual(mirrored, swapped, "the order of ranks does not matter");
  });
}

/** A gang that is evicted: only what a rank did before any was told counts. */
const EVICTIONS: readonly (readonly [string, string, string])[] = [
  ["running", "running", "stopping"],
  ["stopping", "running", "stopping"],
  ["stopped", "stopped", "end evicted"],
  ["succeeded", "succeeded", "end succeeded"],
  ["succeeded", "stopped", "end evicted"],
  ["failed", "failed", "end failed"],
  ["failed", "succeeded", "end failed"],
  ["failed", "running", "stopping"],
  ["failed", "stopping", "stopping"],
  ["failed", "stopped", "end evicted"],
  ["failed", "unknown", "end node-lost"],
  ["rebooted", "rebooted", "end node-lost"],
  ["absent", "absent", "end evicted"],
  ["unknown", "unknown", "unknown"],
  ["stopped", "unknown", "unknown"],
  ["stopped", "gone", "end evicted"],
  ["gone", "gone", "end evicted"],
  ["removed", "removed", "end evicted"],
];

for (const [first, second, expected] of EVICTIONS) {
  Deno.test(`an evicted gang of a ${first} and a ${second} rank: ${expected}`, () => {
    assert.equal(words(step({ ranks: [first, second], intent: EVICT })), expected);
    assert.equal(words(step({ ranks: [second, first], intent: EVICT })), expected);
  });
}

Deno.test("every combination of ranks, intents, phases and times lands in exactly one step", () => {
  const kinds = ["end", "stopping", "unknown", "complete", "starting", "running"];
  const obstacles: (Obstacle | undefined)[] = [undefined, { kind: "taken", message: "taken" }];
  let count = 0;
  for (const first of Object.keys(RANKS)) {
    for (const second of Object.keys(RANKS)) {
      for (const intent of [...Object.values(INTENTS), EVICT]) {
        for (const networkWorks of [true, false]) {
          for (const recordedAt of [ago(1000), ago(LAUNCH_TIMEOUT_MS)]) {
            for (const obstacle of obstacles) {
              for (const startedAt of [undefined, ago(900)]) {
                const base = attempt(1, NODES, { recordedAt, ...(startedAt ? { startedAt } : {}) });
                const ranks = [first, second];
                const found = step({
                  ranks,
                  intent,
                  networkWorks,
                  attempt: base,
                  obstacle: () => obstacle,
                });
                count++;
                assert.ok(kinds.includes(found.kind), ranks.join());
                const alive = ranks.some((word) =>
                  ["starting", "running", "stopping", "leftover"].includes(word)
                );
                if (found.kind === "end") {
                  assert.ok(!alive, `${ranks}: an attempt never ends while a rank is seen alive`);
                  const good = ranks.every((word) => word === "succeeded");
                  assert.equal(found.end === "succeeded", good, "only if every rank exited 0");
                }
                if ("wakeAtMs" in found && found.wakeAtMs !== undefined) {
                  assert.ok(found.wakeAtMs > NOW, `${ranks}: a wake in the past would spin`);
                }
              }
            }
          }
        }
      }
    }
  }
  assert.equal(count, 12 * 12 * 4 * 2 * 2 * 2 * 2);
});

Deno.test("nobody is lost while no node answers at all", () => {
  const found = step({ ranks: ["gone", "gone"], networkWorks: false });
  assert.equal(found.kind, "unknown");
  assert.equal(
    step({ ranks: ["gone", "gone"], networkWorks: false, intent: STOP }).kind,
    "unknown",
  );
});

Deno.test("a node that came back after a reboot explains what its peers say, and is no fault of the job", () => {
  const found = step({ ranks: ["failed", "rebooted"] });
  assert.equal(found.kind === "end" && found.failure?.class, "node-lost");
  assert.match(found.kind === "end" ? found.failure?.message ?? "" : "", /n2 rebooted/);
});

Deno.test("a supervisor that was killed without a reboot is a failure that counts", () => {
  const lost: RankView = {
    kind: "ended",
    node: n(0),
    run: rec(0, { state: "lost", processes: 0 }),
    rebooted: false,
  };
  const found = stepAttempt({
    attempt: attempt(1, ["n1"]),
    ranks: [lost],
    phase: "Running",
    intent: { kind: "run" },
    obstacle: () => undefined,
    launchFailure: undefined,
    policy: policy(),
    networkWorks: true,
    now: NOW,
  });
  assert.equal(found.kind === "end" && found.end, "failed");
  assert.equal(found.kind === "end" && found.failure?.class, "supervisor-lost");
});

Deno.test("a failed gang is torn down with a short grace, whatever the job allows", () => {
  const found = step({ ranks: ["running", "failed"] });
  assert.equal(found.kind === "stopping" && found.graceMs, TEARDOWN_GRACE_MS);
  const wanted = step({ ranks: ["running", "failed"], intent: STOP });
  assert.equal(wanted.kind === "stopping" && wanted.graceMs, 30_000);
});

Deno.test("a node that vanishes while its gang fails is waited for, but not for long", () => {
  const fresh: RankView = { ...unknown("n2", 1000), kind: "unknown" };
  const common = {
    attempt: attempt(1, NODES),
    phase: "Running" as const,
    intent: { kind: "run" as const },
    obstacle: () => undefined,
    launchFailure: undefined,
    policy: policy(),
    networkWorks: true,
  };
  const failed = (RANKS["failed"] as (rank: number) => RankView)(0);
  const first = stepAttempt({ ...common, ranks: [failed, fresh], now: NOW });
  assert.equal(first.kind, "stopping");
  assert.equal(first.kind === "stopping" && first.wakeAtMs, NOW + 4000);
  const later = stepAttempt({ ...common, ranks: [failed, fresh], now: NOW + 4000 });
  assert.equal(words(later), "end node-lost");
});

Deno.test("a launch that does not come about in time fails, with what the node said last", () => {
  const late = attempt(1, NODES, { recordedAt: ago(LAUNCH_TIMEOUT_MS) });
  const failure = { terminal: false, node: "n1", rank: 0, reason: "no-space: the disk is full" };
  const found = step({
    ranks: ["absent", "absent"],
    phase: "Launching",
    attempt: late,
    launchFailure: failure,
  });
  assert.equal(words(found), "end failed");
  assert.match(found.kind === "end" ? found.failure?.message ?? "" : "", /60 s: no-space/);
  const stuck = step({ ranks: ["starting", "running"], phase: "Launching", attempt: late });
  assert.equal(stuck.kind, "stopping", "a rank that starts for ever is no launch either");
});

Deno.test("a launch that a node refuses for good fails at once", () => {
  const failure = { terminal: true, node: "n2", rank: 1, reason: "invalid: no such python" };
  const found = step({
    ranks: ["absent", "absent"],
    phase: "Launching",
    launchFailure: failure,
  });
  assert.equal(found.kind === "end" && found.failure?.class, "launch-refused");
});

Deno.test("a launch is not completed on a GPU that somebody else took, and waits for one that is unknown", () => {
  const taken = step({
    ranks: ["running", "absent"],
    phase: "Launching",
    obstacle: () => ({ kind: "taken", message: "GPU 0 is used by foreign process 7" }),
  });
  assert.equal(taken.kind, "stopping", "the rest of the gang is stopped first");
  const over = step({
    ranks: ["absent", "absent"],
    phase: "Launching",
    obstacle: () => ({ kind: "taken", message: "GPU 0 is used by foreign process 7" }),
  });
  assert.equal(over.kind === "end" && over.failure?.class, "gpu-busy");
  const unclear = step({
    ranks: ["running", "absent"],
    phase: "Launching",
    obstacle: () => ({ kind: "unknown", message: "nvidia-smi failed" }),
  });
  assert.equal(words(unclear), "complete ");
});

Deno.test("a run that vanishes from a node that answers has failed", () => {
  const started = attempt(1, NODES, { startedAt: ago(5000) });
  const found = step({ ranks: ["running", "absent"], attempt: started });
  assert.equal(found.kind, "stopping");
  const over = step({ ranks: ["absent", "absent"], attempt: started });
  assert.equal(over.kind === "end" && over.failure?.class, "run-vanished");
});

Deno.test("a stop for maxDuration ends as a failure, not as a wish", () => {
  const failure = { class: "max-duration", message: "it ran longer" };
  const intent: Intent = { ...STOP, phase: "Failed", failure };
  const found = step({ ranks: ["stopped", "stopped"], intent });
  assert.equal(words(found), "end failed");
});

Deno.test("an attempt without ranks never counts as a success", () => {
  assert.equal(words(step({ ranks: [] })), "end failed");
});

Deno.test("a run whose supervisor was killed before the stop reached it has failed", () => {
  const reaped = rec(0, { ...ended(0, { code: null, reason: "lost" }), stop: STOPPED });
  const result = stepOf([
    { kind: "ended", node: n(0), run: reaped, rebooted: false },
    (RANKS.stopped as (rank: number) => RankView)(1),
  ]);
  assert.equal(result.kind, "end");
  assert.equal(result.kind === "end" && result.failure?.class, "supervisor-lost");
});

Deno.test("what made a gang be stopped is recorded before, and is why it ends", () => {
  const first = step({ ranks: ["failed", "running"] });
  assert.equal(first.kind === "stopping" && first.failure?.class, "exit-code");
  const failure = { class: "exit-code", node: "n1", rank: 0, message: "ValueError" };
  const marked = attempt(1, NODES, { recordedAt: ago(1000), failure });
  // The node of the rank that failed has gone since, and only those that were told are seen.
  assert.deepEqual(step({ ranks: ["stopped", "stopped"], attempt: marked }), {
    kind: "end",
    end: "failed",
    failure,
  });
  const alive = step({ ranks: ["running", "running"], attempt: marked });
  assert.equal(alive.kind, "running", "who was not told to stop goes on");
});
