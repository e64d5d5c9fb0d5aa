import assert from "node:assert/strict";
import type { CronSchedule, DesiredJob } from "../jobs/job.ts";
import type { JobStatus } from "../jobs/status.ts";
import { asTemplateSays, withInstances } from "./instances.ts";
import type { Desired } from "./model.ts";
import { plan } from "./plan.ts";
import { attempt, job, type JobChanges, status, world } from "./testing/build.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** When the run of the second of January is due. */
const DUE = Date.UTC(2026, 0, 2, 3);
const RUN = "nightly-20260102-0300";
const iso = (ms: number) => new Date(ms).toISOString();

/** A job that runs at 03:00 UTC each day. */
function nightly(schedule: Partial<CronSchedule> = {}, changes: JobChanges = {}): DesiredJob {
  return job("nightly", {
    ...changes,
    schedule: {
      cron: "0 3 * * *",
      timezone: "UTC",
      concurrency: "forbid",
      keep: 3,
      startWithinMs: HOUR,
      ...schedule,
    },
  });
}

/** The template as the status branch knows it: scheduled since the day before. */
function known(changes: Partial<JobStatus> = {}): JobStatus {
  const long = iso(DUE - DAY + HOUR);
  return status("nightly", { reason: "Scheduled", submittedAt: long, since: long, ...changes });
}

/** A run that is remembered, of so many days before `DUE`. */
function ran(daysAgo: number, changes: Partial<JobStatus> = {}): JobStatus {
  const day = iso(DUE - daysAgo * DAY).slice(0, 10).replaceAll("-", "");
  return status(`nightly-${day}-0300`, {
    parent: "nightly",
    file: "jobs/nightly.yaml",
    ...changes,
  });
}

const DONE = { phase: "Succeeded", reason: "Succeeded" } as const;
const FAILED = { phase: "Failed", reason: "exit-code" } as const;
const GONE = { phase: "Succeeded", reason: "ManifestDeleted" } as const;
const live = attempt(1, ["n1"], { startedAt: iso(DUE), specDigest: "old", codeDigest: "tree-1" });

interface Given {
  readonly jobs?: readonly DesiredJob[];
  readonly history?: readonly JobStatus[];
  readonly unreadable?: Readonly<Record<string, string>>;
  readonly now?: number;
  readonly onNodes?: readonly string[];
}

function serve({ jobs = [nightly()], history, unreadable, now = DUE, onNodes }: Given) {
  const input = world({
    jobs,
    history: history ?? [known()],
    nodes: [],
    unreadable: unreadable ?? {},
  });
  const given = withInstances(input.desired, input.history, now, onNodes);
  const names = [...given.desired.jobs.keys()].filter((name) => !input.desired.jobs.has(name));
  return {
    ...given,
    given: input.desired as Desired,
    runs: names.toSorted(),
    run: (name = RUN) => given.desired.jobs.get(name),
    message: given.templates.get("nightly")?.message,
  };
}

Deno.test("without a schedule nothing is touched", () => {
  const result = serve({ jobs: [job("a")], history: [] });
  assert.equal(result.desired, result.given);
  assert.equal(result.templates.size, 0);
  assert.equal(result.wakeAtMs, undefined);
});

Deno.test("a time that comes makes an ordinary job, and the template stays known", () => {
  const before = serve({ now: DUE - 1 });
  assert.deepEqual(before.runs, []);
  assert.equal(before.wakeAtMs, DUE);
  assert.deepEqual(before.templates.get("nightly"), {
    nextMs: DUE,
    reason: "Scheduled",
    message: "its next run is due at 2026-01-02T03:00Z",
  });
  const after = serve({ jobs: [nightly({}, { priority: 7 })] });
  assert.deepEqual(after.runs, [RUN]);
  assert.ok(after.run("nightly")?.spec.schedule);
  const { spec, file, specDigest } = after.run() as DesiredJob;
  assert.deepEqual([file, specDigest], ["jobs/nightly.yaml", "d1"]);
  assert.deepEqual([spec.name, spec.parent, spec.priority], [RUN, "nightly", 7]);
  assert.ok(!("schedule" in spec));
  assert.equal(after.wakeAtMs, DUE + DAY);
});

Deno.test("a template that is new, or was not on for a while, makes no run for the past", () => {
  const late = iso(DUE + 1);
  const cases: [string, JobStatus[]][] = [
    ["never seen", []],
    ["first seen after the time", [known({ submittedAt: late, since: late })]],
    ["scheduled again after the time", [known({ since: late })]],
    ["deleted", [known({ phase: "Cancelled", reason: "ManifestDeleted" })]],
    ["suspended", [known({ phase: "Suspended", reason: "Suspended" })]],
    ["an ordinary job until now", [known({ phase: "Running", reason: "Running" })]],
  ];
  for (const [name, history] of cases) {
    const { runs, wakeAtMs } = serve({ history, now: DUE + MINUTE });
    assert.deepEqual(runs, [], name);
    assert.equal(wakeAtMs, DUE + DAY, name);
  }
  const unreadable = { nightly: "torn" };
  assert.deepEqual(serve({ history: [], unreadable, now: DUE + MINUTE }).runs, []);
});

Deno.test("a manifest that was broken at the time has its run once it is valid", () => {
  const broken = known({ phase: "Invalid", reason: "ManifestInvalid", since: iso(DUE - 1) });
  assert.deepEqual(serve({ history: [broken], now: DUE + MINUTE }).runs, [RUN]);
});

Deno.test("a run may begin late, up to startWithin", () => {
  assert.deepEqual(serve({ now: DUE + HOUR }).runs, [RUN]);
  assert.deepEqual(serve({ now: DUE + HOUR + 1 }).runs, []);
});

Deno.test("of the times missed only the newest is made up for", () => {
  const hourly = nightly({ cron: "0 * * * *", startWithinMs: DAY });
  assert.deepEqual(serve({ jobs: [hourly], now: DUE + 5 * HOUR }).runs, ["nightly-20260102-0800"]);
});

Deno.test("a time has one run, whatever became of it", () => {
  for (const known_ of [ran(0), ran(0, DONE), ran(0, FAILED), ran(0, GONE)]) {
    const { run } = serve({ history: [known(), known_], now: DUE + MINUTE });
    const isDeleted = known_.reason === "ManifestDeleted";
    assert.equal(run() === undefined, isDeleted, known_.reason);
  }
  const unreadable = { [RUN]: "torn" };
  const hidden = serve({ unreadable, now: DUE + MINUTE });
  assert.deepEqual(hidden.runs, [RUN]);
  // What cannot be read may run: none begins beside it.
  assert.deepEqual(serve({ unreadable, now: DUE + DAY }).runs, [RUN]);
});

Deno.test("an earlier time than the newest run has none, as when the schedule is edited", () => {
  const history = [known(), ran(0, DONE)];
  const early = nightly({ cron: "30 2 * * *" });
  assert.deepEqual(serve({ jobs: [early], history, now: DUE + MINUTE }).runs, [RUN]);
});

Deno.test("unfinished runs stay, and the newest finished ones", () => {
  const history = [
    known(),
    ran(1, DONE),
    ran(2, FAILED),
    ran(3, { phase: "Recovering" }),
    ran(4, { phase: "Cancelled", reason: "Cancelled" }),
    ran(5, DONE),
    ran(6, GONE),
    ran(7, { phase: "Running", reason: "Running", attempts: [live] }),
  ];
  const kept = (keep: number) =>
    serve({ jobs: [nightly({ keep })], history, now: DUE - 1 }).runs.map((name) =>
      name.slice(8, 16)
    );
  assert.deepEqual(kept(3), ["20251226", "20251229", "20251230", "20251231", "20260101"].sort());
  assert.deepEqual(kept(1), ["20251226", "20251230", "20260101"]);
  // The newest tells that its time has had its run.
  assert.deepEqual(kept(0), ["20251226", "20251230", "20260101"]);
});

Deno.test("jobs of a matrix that the manifest once declared are no runs", () => {
  const child = status("nightly-1", { parent: "nightly" });
  const stranger = status("nightly-20251230-0300", { parent: "other" });
  const other = status("other-20251230-0300", { parent: "nightly" });
  const history = [known(), child, stranger, other];
  assert.deepEqual(serve({ history, now: DUE - 1 }).runs, []);
});

Deno.test("forbid begins none beside an unfinished one, and makes up for it within startWithin", () => {
  const busy = [known(), ran(1, { phase: "Running", reason: "Running", attempts: [live] })];
  const held = serve({ history: busy });
  assert.deepEqual(held.runs, ["nightly-20260101-0300"]);
  assert.equal(
    held.message,
    "nightly-20260101-0300 has not ended, and `concurrency: forbid` begins no run beside it",
  );
  assert.equal(held.templates.get("nightly")?.nextMs, DUE + DAY);
  const free = [known(), ran(1, DONE)];
  assert.deepEqual(serve({ history: free, now: DUE + MINUTE }).runs.at(-1), RUN);
});

Deno.test("a run that ends in time changes nothing of what its template says", () => {
  const next = "its next run is due at 2026-01-03T03:00Z";
  for (const changes of [{}, { phase: "Running", attempts: [live] } as const, DONE]) {
    const { message } = serve({ history: [known(), ran(0, changes)], now: DUE + MINUTE });
    assert.equal(message, next);
  }
});

Deno.test("what a held template says does not change while time passes", () => {
  const every = nightly({ cron: "* * * * *" });
  const busy = [known(), ran(1, { phase: "Running", reason: "Running", attempts: [live] })];
  const says = (now: number) => serve({ jobs: [every], history: busy, now }).message;
  assert.match(says(DUE) ?? "", /has not ended/);
  assert.equal(says(DUE), says(DUE + 2 * HOUR));
});

Deno.test("replace cancels the older unfinished ones, allow runs all", () => {
  const history = [known(), ran(1, { phase: "Running", attempts: [live] }), ran(2, DONE)];
  const states = (concurrency: CronSchedule["concurrency"], more: JobStatus[] = []) => {
    const result = serve({ jobs: [nightly({ concurrency })], history: [...history, ...more] });
    return result.runs.map((name) => result.run(name)?.spec.state);
  };
  // Not before the newer one is on record.
  assert.deepEqual(states("replace"), ["running", "running", "running"]);
  assert.deepEqual(states("replace", [ran(0)]), ["running", "cancelled", "running"]);
  assert.deepEqual(states("allow", [ran(0)]), ["running", "running", "running"]);
  // Also after the newest has ended.
  assert.deepEqual(states("replace", [ran(0, DONE)]), ["running", "cancelled", "running"]);
});

Deno.test("a run that a newer one replaces says so, now and later", () => {
  const jobs = [nightly({ concurrency: "replace" })];
  const before = ran(1, { reason: "Resources" });
  const history = [known(), before, ran(0)];
  const input = { ...world({ jobs, history, nodes: [] }), now: DUE };
  const first = plan(input);
  const replaced = first.statuses.get(before.name);
  assert.deepEqual([replaced?.phase, replaced?.reason], ["Cancelled", "Replaced"]);
  assert.match(replaced?.message ?? "", /a newer run of its schedule takes its place/);
  const again = plan({ ...input, history: { ...input.history, jobs: first.statuses } });
  assert.equal(again.statuses.get(before.name), replaced);
});

Deno.test("there is a limit to what piles up", () => {
  const pile = Array.from({ length: 100 }, (_, i) => ran(i + 1));
  const allow = nightly({ concurrency: "allow" });
  assert.equal(serve({ jobs: [allow], history: [known(), ...pile.slice(1)] }).runs.length, 100);
  const full = serve({ jobs: [allow], history: [known(), ...pile] });
  assert.equal(full.runs.length, 100);
  assert.match(full.message ?? "", /^100 of its runs have not ended/);
});

Deno.test("a suspended or cancelled template makes no run and gives its state to unfinished ones", () => {
  const history = [known(), ran(1, { phase: "Running", attempts: [live] }), ran(2, FAILED)];
  for (const state of ["suspended", "cancelled"] as const) {
    const result = serve({ jobs: [nightly({ concurrency: "allow" }, { state })], history });
    assert.deepEqual(result.runs, ["nightly-20251231-0300", "nightly-20260101-0300"]);
    assert.equal(result.run("nightly-20260101-0300")?.spec.state, state);
    assert.equal(result.run("nightly-20251231-0300")?.spec.state, "running");
    assert.equal(result.wakeAtMs, undefined);
    assert.equal(result.message, `its manifest says \`state: ${state}\`, so that no run begins`);
  }
});

Deno.test("an edited template restarts nothing that runs", () => {
  const edited = [nightly({}, { specDigest: "new", codeDigest: "tree-2" })];
  const digests = (changes: Partial<JobStatus>) => {
    const { run, given } = serve({ jobs: edited, history: [known(), ran(0, changes)] });
    const found = run() as DesiredJob;
    assert.equal(asTemplateSays(found, given).specDigest, "new");
    return [found.specDigest, found.codeDigest];
  };
  assert.deepEqual(digests({ phase: "Running", attempts: [live] }), ["old", "tree-1"]);
  assert.deepEqual(digests({ phase: "Unknown", attempts: [live] }), ["old", "tree-1"]);
  // Not seen to run yet, or to be launched anew: as the template is now.
  const { startedAt: _, ...recorded } = live;
  assert.deepEqual(digests({ phase: "Launching", attempts: [recorded] }), ["new", "tree-2"]);
  const lost = { ...live, end: "node-lost" } as const;
  assert.deepEqual(digests({ phase: "Recovering", attempts: [lost] }), ["new", "tree-2"]);
  assert.deepEqual(digests({}), ["new", "tree-2"]);
});

Deno.test("a job without a schedule is launched as it is", () => {
  const { desired } = world({ jobs: [job("a"), job("p")], nodes: [] });
  const child = job("a", { parent: "p", specDigest: "mine" });
  assert.equal(asTemplateSays(child, desired), child);
  assert.equal(asTemplateSays(job("a", { specDigest: "mine" }), desired).specDigest, "mine");
});

Deno.test("nothing in the template runs again what has ended", () => {
  const end = { ...live, end: "failed" as const, failure: { class: "exit-code", message: "1" } };
  const edited = nightly({}, {
    specDigest: "new",
    rerun: 3,
    recovery: { maxRetries: 99, backoffMs: 1, maxBackoffMs: 1 },
    deadlineMs: DUE + 9 * DAY,
  });
  const of = (changes: Partial<JobStatus>) =>
    serve({ jobs: [edited], history: [known(), ran(0, changes)] }).run() as DesiredJob;
  const failed = of({ ...FAILED, retries: 4, rerun: 1, attempts: [end] });
  assert.deepEqual([failed.specDigest, failed.codeDigest], ["old", "tree-1"]);
  assert.equal(failed.spec.rerun, 1);
  assert.equal(failed.spec.recovery.maxRetries, 3);
  assert.ok(!("deadlineMs" in failed.spec));
  const late = { phase: "Failed", reason: "Deadline", since: iso(DUE + 5) } as const;
  assert.equal(of(late).spec.deadlineMs, DUE + 5);
  const unmoved = nightly({}, { deadlineMs: DUE });
  const { run } = serve({ jobs: [unmoved], history: [known(), ran(0, late)] });
  assert.equal(run()?.spec.deadlineMs, DUE); // its message names it
  assert.equal(of({ phase: "Cancelled", reason: "Cancelled" }).spec.state, "cancelled");
});

Deno.test("no run begins before startAfter or after the deadline", () => {
  const now = DUE + MINUTE;
  const later = serve({ jobs: [nightly({}, { startAfterMs: DUE + 5 * DAY })], now });
  assert.deepEqual(later.runs, []);
  assert.equal(later.wakeAtMs, DUE + 5 * DAY);
  assert.deepEqual(serve({ jobs: [nightly({}, { startAfterMs: DUE })], now }).runs, [RUN]);
  const over = serve({ jobs: [nightly({}, { deadlineMs: DUE + 1 })], now });
  assert.deepEqual([over.runs, over.wakeAtMs], [[], undefined]);
  assert.equal(
    over.message,
    "no time of `schedule: 0 3 * * *` (UTC) is to come before its deadline; " +
      "change it to have further runs",
  );
});

Deno.test("a schedule without a time to come says so", () => {
  const { message, wakeAtMs } = serve({ jobs: [nightly({ cron: "0 0 30 2 *" })] });
  assert.equal(wakeAtMs, undefined);
  assert.match(message ?? "", /^no time of `schedule: 0 0 30 2 \*` \(UTC\) is to come; change/);
});

Deno.test("another job keeps its name", () => {
  const other = job(RUN, { priority: 3 });
  const result = serve({ jobs: [nightly(), other] });
  assert.equal(result.run(), other);
  assert.match(result.message ?? "", /^its run nightly-20260102-0300 was left out: a job of that/);
});

Deno.test("two templates share nothing", () => {
  const hourly = { ...nightly({ cron: "0 * * * *" }), file: "jobs/hourly.yaml" };
  const second = { ...hourly, spec: { ...hourly.spec, name: job("hourly").spec.name } };
  const history = [known(), { ...known(), name: "hourly" }];
  const result = serve({ jobs: [nightly(), second], history, now: DUE + 2 * HOUR });
  assert.deepEqual(result.runs, ["hourly-20260102-0500"]);
  assert.equal(result.wakeAtMs, DUE + 3 * HOUR);
});

Deno.test("a run that only its node remembers is wanted, so that it is not stopped", () => {
  const onNodes = [RUN, "nightly-20260102-0301", "nightly-20270102-0300", "other-20260102-0300"];
  const result = serve({ history: [], onNodes, now: DUE + 5 * HOUR });
  assert.deepEqual(result.runs, [RUN]);
  // None begins beside it.
  assert.deepEqual(serve({ onNodes, now: DUE + DAY }).runs, [RUN]);
});

Deno.test("a node may not claim as many runs as it likes", () => {
  const claims = Array.from({ length: 40 }, (_, i) => ran(i).name);
  const { runs } = serve({ history: [], onNodes: claims });
  assert.deepEqual(runs, claims.slice(0, 10).toSorted());
});

Deno.test("its input is not changed", () => {
  const input = world({ jobs: [nightly()], history: [known()], nodes: [] });
  withInstances(input.desired, input.history, DUE);
  assert.deepEqual([...input.desired.jobs.keys()], ["nightly"]);
});
