import assert from "node:assert/strict";
import { parse } from "yaml";
import type { JobStatus } from "../jobs/status.ts";
import type { Snapshot } from "./model.ts";
import { plan } from "./plan.ts";
import { queueFile } from "./queue_file.ts";
import { statusFiles } from "./status_files.ts";
import {
  ago,
  attempt,
  cluster,
  job,
  type JobChanges,
  NOW,
  reachable,
  run,
  running,
  status,
  type World,
  world,
} from "./testing/build.ts";

const MINUTE = 60_000;

function snapshot(given: World): Snapshot {
  const input = world(given);
  return { ...input, plan: plan(input) };
}

/** A pass that left these statuses. */
function left(given: World, statuses: readonly JobStatus[]): Snapshot {
  const view = snapshot(given);
  const byName = new Map([...view.plan.statuses.values(), ...statuses].map((s) => [s.name, s]));
  return { ...view, plan: { ...view.plan, statuses: byName } };
}

/** `a` has the only GPU since 9 seconds; `b` waits for it. */
function crowded(changes: JobChanges, given: Partial<World> = {}): World {
  return {
    jobs: [job("a", changes), job("b", { owner: "ada" })],
    history: [running("a", ["n1"])],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })],
    ...given,
  };
}

Deno.test("a start that follows from limits stands in the file, to the minute, and stays", () => {
  const given = crowded({ maxDurationMs: 60 * MINUTE });
  const [waits] = queueFile(snapshot(given)).waiting;
  // It ends at 12:59:51 at the latest.
  assert.equal(waits?.expectedStart, new Date(NOW + 60 * MINUTE).toISOString());
  assert.equal(waits?.expectedBy, "limit");
  const later = snapshot({ ...given, now: NOW + 10 * MINUTE });
  assert.deepEqual(queueFile(later).waiting[0], waits);
});

Deno.test("a start that is guessed stands in no file", () => {
  const view = snapshot(crowded({}));
  assert.equal(view.plan.waiting[0]?.expected?.basis, "guess");
  assert.doesNotMatch([...statusFiles(view).values()].join("\n"), /guess|expected(Start|By)/);
});

Deno.test("where a start is not known, the file names who has no length, and stays", () => {
  const wide = job("w", { resources: { nodes: 4 }, maxDurationMs: 60 * MINUTE });
  const names = ["d4", "d1", "d3", "d2"];
  const given = (some: readonly string[]): World => ({
    jobs: [wide, ...some.map((name) => job(name))],
    history: some.map((name, i) => running(name, [`n${i}`])),
    nodes: names.map((_, i) => {
      const name = some[i];
      return reachable(`n${i}`, name ? { runs: [run(name, 1, 0, [`n${i}`])] } : {});
    }),
  });
  const unknownOf = (world: World) => queueFile(snapshot(world)).waiting[0]?.expectedUnknown;
  assert.equal(unknownOf(given(["d4"])), "d4 has no maxDuration");
  assert.equal(unknownOf(given(["d4", "d1"])), "d1, d4 have no maxDuration");
  assert.equal(unknownOf(given(names)), "d1, d2, d3 and others have no maxDuration");
  const later = { ...given(names), now: NOW + 7 * MINUTE };
  assert.deepEqual(queueFile(snapshot(later)), queueFile(snapshot(given(names))));
  assert.equal(unknownOf(crowded({ maxDurationMs: 60 * MINUTE })), undefined);
  const page = statusFiles(snapshot(given(["d4"]))).get("README.md") ?? "";
  assert.match(page, /not known&#58; d4 has no maxDuration \|/);
});

Deno.test("no file tells how much of the week is used up while somebody uses it", () => {
  const users = [{ name: "ada", groups: [], share: 1, gpuHoursPerWeek: 1 }];
  const given = crowded({ owner: "ada" }, {
    history: [running("a", ["n1"], {
      owner: "ada",
      attempts: [attempt(1, ["n1"], { startedAt: ago(120 * MINUTE) })],
    })],
    cluster: cluster(["n1"], { users }),
  });
  const view = snapshot(given);
  assert.equal(view.plan.waiting[0]?.reason, "Quota");
  assert.ok((view.plan.waiting[0]?.numbers?.["usedHours"] ?? 0) > 1);
  const file = queueFile(view);
  assert.match(file.waiting[0]?.message ?? "", /may use 1 GPU-hours in seven days/);
  assert.deepEqual(queueFile(snapshot({ ...given, now: NOW + 7 * MINUTE })), file);
});

Deno.test("queues and users are told with the GPUs that their jobs have, sorted by name", () => {
  const queues = [
    { name: "night", priority: -1, maxGpus: 4 },
    { name: "day", priority: 0, quotaGpus: 2 },
  ];
  const shared = attempt(1, ["n2"], { placement: [{ node: "n2", gpus: ["GPU-x"], share: 0.1 }] });
  const view = left({ nodes: [], cluster: cluster(["n1"], { queues }) }, [
    running("a", ["n1", "n2"], { queue: "day", owner: "eve" }),
    ...["b", "c", "d"].map((name) => running(name, ["n2"], { owner: "bob", attempts: [shared] })),
    status("e", { owner: "zoe", attempts: [attempt(1, ["n1"], { end: "failed" })] }),
  ]);
  const file = queueFile(view);
  assert.deepEqual(file.queues, [
    { name: "day", gpus: 2, quota: 2 },
    { name: "default", gpus: 0.3 },
    { name: "night", gpus: 0, max: 4 },
  ]);
  assert.deepEqual(file.users, [{ owner: "bob", gpus: 0.3 }, { owner: "eve", gpus: 2 }]);
});

Deno.test("each list has its limit, and the file says how many wait", () => {
  const jobs = Array.from({ length: 250 }, (_, i) => job(`j${i}`, { owner: `u${i}` }));
  const live = Array.from({ length: 250 }, (_, i) => running(`r${i}`, [], { owner: `v${i}` }));
  const file = queueFile(left({ jobs, nodes: [] }, live));
  assert.deepEqual([file.waiting.length, file.total, file.users.length], [200, 250, 200]);
});

Deno.test("the file says what each job needs, a run of a schedule as its template does", () => {
  const view = snapshot(crowded({}));
  const read = parse(statusFiles(view).get("queue.yaml") ?? "");
  assert.equal(read.waiting[0].needs, "1 node(s) with 1 GPU(s)");
  assert.equal(read.waiting[0].ahead, 0);
  const template = job("nightly", { resources: { nodes: 2 } });
  const child = "nightly-20260101-0300";
  const statuses = new Map([[child, status(child, { parent: "nightly" })]]);
  const desired = { ...view.desired, jobs: new Map([["nightly", template]]) };
  const waiting = [{ job: child, reason: "Resources", message: "x" }];
  const [waits] =
    queueFile({ ...view, desired, plan: { ...view.plan, statuses, waiting } }).waiting;
  assert.equal(waits?.needs, "2 node(s) with 1 GPU(s)");
});
