/** The oracles of chaos must be able to fail. */
import assert from "node:assert/strict";
import type { Attempt, JobStatus, Phase } from "../../../jobs/status.ts";
import type { Witness } from "../witness.ts";
import type { Entry } from "./branch.ts";
import { folderProblems } from "./folders.ts";
import { historyProblems, overlapProblems, stopProblems, truthProblems } from "./story.ts";

const T0 = Date.parse("2026-01-01T00:00:00Z");

function attempt(number: number, fields: Partial<Attempt> = {}): Attempt {
  return {
    attempt: number,
    commit: "c",
    specDigest: "s",
    codeDigest: null,
    placement: [{ node: "h1", gpus: ["g1"] }, { node: "h2", gpus: ["g2"] }],
    because: "there was room",
    recordedAt: new Date(T0).toISOString(),
    ...fields,
  };
}

function entries(...said: [Phase, ...Attempt[]][]): Entry[] {
  return said.map(([phase, ...attempts], index) => ({
    commit: `commit${index}`,
    status: {
      name: "demo",
      phase,
      attempt: attempts.at(-1)?.attempt ?? 0,
      attempts,
    } as unknown as JobStatus,
  }));
}

interface Life {
  readonly attempt?: number;
  readonly rank?: number;
  readonly job?: string;
  readonly host?: string;
  readonly gpu?: string;
  /** Milliseconds after T0. */
  readonly from: number;
  readonly to: number;
  readonly finished?: boolean;
}

function trace(life: Life): Witness {
  const { attempt = 1, rank = 0, job = "demo", host = "h1", gpu = "g1", finished } = life;
  const at = (ms: number) => ({ time: (T0 + ms) / 1000, gpu });
  const events = new Map([["start", at(life.from)], ["alive", at(life.to)]]);
  if (finished) events.set("end", at(life.to));
  return { job, attempt, rank, host, resumeFrom: "", note: undefined, events };
}

Deno.test("a history of legal steps has no problem; an illegal step is one", () => {
  const one = attempt(1);
  const done = attempt(1, { end: "succeeded" });
  const good = entries(["Pending"], ["Launching", one], ["Running", one], ["Succeeded", done]);
  assert.deepEqual(historyProblems("demo", good), []);
  const bad = entries(["Succeeded", done], ["Running", done]);
  assert.match(historyProblems("demo", bad).join(), /Succeeded became Running/);
});

Deno.test("attempts neither go back, nor end twice, nor overtake one that has not ended", () => {
  const failed = attempt(1, { end: "failed" });
  const lost = attempt(1, { end: "node-lost" });
  const back = entries(["Running", failed, attempt(2)], ["Running", failed]);
  assert.match(historyProblems("demo", back).join(), /attempt 2 became 1/);
  const twice = entries(["Recovering", failed], ["Recovering", lost]);
  assert.match(historyProblems("demo", twice).join(), /had ended \(failed\)/);
  const risen = entries(["Recovering", failed], ["Running", attempt(1)]);
  assert.match(historyProblems("demo", risen).join(), /had ended \(failed\) and now lives/);
  const both = entries(["Running", attempt(1), attempt(2)]);
  assert.match(historyProblems("demo", both).join(), /attempt 1 has not ended, yet 2 follows/);
});

Deno.test("ranks that no commit knows, that came too early or are elsewhere are told", () => {
  const history = entries(["Running", attempt(1)]);
  const truth = (life: Life) => truthProblems("demo", history, [trace(life)], 2).join();
  assert.equal(truth({ from: 5, to: 9 }), "");
  assert.match(truth({ attempt: 2, from: 5, to: 9 }), /no commit tells of this attempt/);
  assert.match(truth({ from: -5, to: 9 }), /before its attempt was recorded/);
  assert.match(truth({ rank: 1, from: 5, to: 9 }), /ran on h1, but its place is h2/);
});

Deno.test("success is true only when every rank finished in that attempt", () => {
  const history = entries(["Succeeded", attempt(1, { end: "succeeded" })]);
  const first = trace({ from: 5, to: 9, finished: true });
  const second = { rank: 1, host: "h2", from: 5, to: 9 };
  const finished = trace({ ...second, finished: true });
  assert.deepEqual(truthProblems("demo", history, [first, finished], 2), []);
  const said = truthProblems("demo", history, [first, trace(second)], 2);
  assert.match(said.join(), /only 1 of 2 ranks finished/);
  const none = entries(["Succeeded", attempt(1, { end: "failed" })]);
  assert.match(truthProblems("demo", none, [], 2).join(), /none of its attempts did/);
});

Deno.test("an attempt was stopped only if somebody wanted so", () => {
  const endedAt = new Date(T0 + 5_000).toISOString();
  const history = entries(["Recovering", attempt(1, { end: "stopped", endedAt })]);
  const said = (deeds: string[], ...away: string[]) => {
    const outages = away.map((host) => ({ host, beganMs: T0, endedMs: T0 + 9 }));
    return stopProblems("demo", history, new Set(deeds), outages).join();
  };
  assert.match(said([]), /demo\/1 is said to have been stopped/);
  assert.match(said([], "h3"), /demo\/1 is said to have been stopped/);
  assert.equal(said([], "h2"), "");
  assert.equal(said(["demo"]), "");
});

Deno.test("two attempts of a job overlap only where nobody could see the older one", () => {
  const traces = [
    trace({ from: 0, to: 5_000 }),
    trace({ attempt: 2, host: "h2", gpu: "g2", from: 4_000, to: 9_000 }),
  ];
  assert.match(overlapProblems(traces, []).join(), /attempt 2 began on h2 while rank 0/);
  const outage = (host: string) => [{ host, beganMs: T0 + 1_000, endedMs: T0 + 6_000 }];
  assert.deepEqual(overlapProblems(traces, outage("h1")), []);
  assert.equal(overlapProblems(traces, outage("h2")).length, 1);
});

Deno.test("a GPU is never in two jobs at once, whatever was cut", () => {
  const outages = [{ host: "h1", beganMs: T0, endedMs: T0 + 9_000 }];
  const lives = (from: number) => [
    trace({ from: 0, to: 5_000 }),
    trace({ job: "other", from, to: 9_000 }),
  ];
  assert.deepEqual(overlapProblems(lives(6_000), outages), []);
  assert.match(overlapProblems(lives(4_000), outages).join(), /g1: other\/1 began beside demo\/1/);
});

Deno.test("folders that nobody knows or needs are told", () => {
  const attempts = [2, 3, 4, 5].map((n) => attempt(n, { end: "failed" }));
  const [last] = entries(["Failed", ...attempts]);
  const statuses = new Map([["demo", (last as Entry).status]]);
  const run = (path: string) => [`runs/demo/${path}/`, `runs/demo/${path}/0/`];
  const look = (...paths: string[]) => folderProblems("h1", paths, statuses).join();
  assert.equal(look("runs/", "code/", "epoch", "runs/demo/", ...run("5"), ...run("3")), "");
  assert.match(look("core"), /core is none of the work directory's/);
  assert.match(look("code/.incoming-1-2"), /left from a transfer/);
  assert.match(look("runs/.new-1-2/"), /left from a launch/);
  assert.match(look("runs/other/"), /a job that nobody knows/);
  assert.match(look("runs/demo/"), /is empty/);
  assert.match(look(...run("2")), /should have been cleaned/);
  assert.match(look(...run("6")), /newer than attempt 5/);
  const [running] = entries(["Running", attempt(1)]);
  const lives = new Map([["demo", (running as Entry).status]]);
  assert.match(folderProblems("h1", run("1"), lives).join(), /an attempt that has not ended/);
  assert.match(look("runs/demo/5/1/"), /not where its attempt/);
});
