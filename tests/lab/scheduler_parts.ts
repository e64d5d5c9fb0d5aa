/**
 * Stories of the scheduler that fit on one cluster side by side: each brings its manifests and
 * checks what became of them.
 *
 * @example
 * const part = matrix(harness);
 * await harness.push(part.files);
 * await part.check();
 *
 * @module
 */
import assert from "node:assert/strict";
import type { JobStatus } from "../../jobs/status.ts";
import { type Files, type Harness, job } from "./harness.ts";
import { eventually } from "./processes.ts";
import { mostGpusAtOnce, range, succeeded, tracesOf } from "./scheduler_support.ts";

/** Manifests, and what is to become of them. */
export interface Part {
  readonly files: Files;
  check(): Promise<void>;
}

/** Six jobs of one manifest, four at once, each with its own parameters. */
export function matrix(harness: Harness): Part {
  const lr = [0.1, 0.01, 0.001];
  const seed = [1, 2];
  const manifest = job({
    script: "scripts/params.py",
    launcher: "processes",
    training: { epochs: 3 },
    matrix: { lr, seed },
    maxParallel: 4,
    args: [
      "--job",
      "{job}",
      "--both",
      "{matrix.lr}/{matrix.seed}",
      "--witness",
      harness.witnessDir,
    ],
  });
  const check = async () => {
    const children = await eventually("see six jobs succeed", 60_000, async () => {
      const all = (await harness.statuses()).filter(({ parent }) => parent === "sweep");
      return all.filter(succeeded).length === 6 ? all : undefined;
    }, async () => JSON.stringify(await harness.statuses(), undefined, 1));
    assert.equal(children.length, 6);
    const most = mostGpusAtOnce(children);
    assert(most <= 4, `${most} at once`);
    const got = children.map(({ name }) => gotParameters(harness, name));
    assert.deepEqual(got.toSorted(), lr.flatMap((l) => seed.map((s) => `3 ${l} ${s}`)).toSorted());
  };
  return { files: { "jobs/sweep.yaml": manifest }, check };
}

/** What one job of the matrix got: arguments, placeholders and UGRO_CONFIG say the same. */
function gotParameters(harness: Harness, name: string): string {
  const [trace, ...more] = tracesOf(harness, name);
  assert.deepEqual(more, [], `${name} ran once`);
  const { flags, training } = trace?.lines[0] as unknown as {
    flags: Record<string, string>;
    training: { epochs: number; lr: number; seed: number };
  };
  const { epochs, lr, seed } = training;
  const both = `${lr}/${seed}`;
  assert.deepEqual(flags, { epochs: `${epochs}`, lr: `${lr}`, seed: `${seed}`, job: name, both });
  return `${epochs} ${lr} ${seed}`;
}

/** prep, then train, which fails; what follows then, and what never does. */
export function chain(harness: Harness): Part {
  const step = (after: unknown, exit = 0) =>
    job({
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["0.5", "--exit", exit, "--witness", harness.witnessDir],
      recovery: { maxRetries: 0 },
      ...(after === undefined ? {} : { after }),
    });
  const files = {
    "jobs/prep.yaml": step(undefined),
    "jobs/train.yaml": step("prep", 3),
    "jobs/report.yaml": step([{ job: "train", when: "any" }]),
    "jobs/rescue.yaml": step([{ job: "train", when: "failure" }, "prep"]),
    "jobs/publish.yaml": step("train"),
  };
  const check = async () => {
    const until = (name: string, fits: (status: JobStatus) => boolean) =>
      harness.until(name, fits, 40_000);
    const report = await until("report", succeeded);
    const rescue = await until("rescue", succeeded);
    const prep = await until("prep", succeeded);
    const train = await until("train", (s) => s.phase === "Failed");
    const publish = await until("publish", (s) => s.reason === "DependencyNeverSatisfied");
    for (const [before, next] of [[prep, train], [train, report], [train, rescue]] as const) {
      assertEndedBefore(before, next);
    }
    assert.equal(publish.phase, "Pending");
    assert.match(publish.message, /^train failed; it waits until train is run again and succeeds/);
    assert.deepEqual(tracesOf(harness, "publish"), []);
    await said(harness, ["train"], "Dependency", "waits for prep to succeed");
    await said(harness, ["report"], "Dependency", "waits for train to end");
  };
  return { files, check };
}

function assertEndedBefore(first: JobStatus, next: JobStatus): void {
  const [ended, began] = [first.attempts[0]?.endedAt, next.attempts[0]?.recordedAt];
  const names = `${first.name} (ended ${ended}) before ${next.name} (began ${began})`;
  assert(ended !== undefined && began !== undefined && ended <= began, names);
}

/** Ada may have two GPUs at once, the queue that bob uses one; there is room for all they want. */
export const QUOTAS = {
  queues: [{ name: "default" }, { name: "night", maxGpus: 1 }],
  users: [{ name: "ada", maxGpus: 2 }, { name: "bob" }],
};

/** Two users who want more than they may have at once (`QUOTAS`). */
export function quotas(harness: Harness): Part {
  const manifest = (fields: Readonly<Record<string, unknown>>) =>
    job({
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["1", "--witness", harness.witnessDir],
      ...fields,
    });
  const ada = range(1, 4).map((k) => `ada-${k}`);
  const bob = range(1, 3).map((k) => `bob-${k}`);
  const files = Object.fromEntries([
    ...ada.map((name) => [`jobs/${name}.yaml`, manifest({ owner: "ada" })]),
    ...bob.map((name) => [`jobs/${name}.yaml`, manifest({ owner: "bob", queue: "night" })]),
  ]);
  const end = (names: readonly string[]) =>
    Promise.all(names.map((name) => harness.until(name, succeeded, 60_000)));
  const check = async () => {
    assert.equal(mostGpusAtOnce(await end(ada)), 2);
    assert.equal(mostGpusAtOnce(await end(bob)), 1);
    const more = "at once; with this job's 1 it would be more";
    await said(harness, ada, "Quota", `user ada may use 2 GPUs ${more}`);
    await said(harness, bob, "Quota", `queue night may use 1 GPU ${more}`);
  };
  return { files, check };
}

/** Throws unless some of these jobs waited for this reason, and always in these words. */
async function said(
  harness: Harness,
  names: readonly string[],
  reason: string,
  message: string,
): Promise<void> {
  const history = await Promise.all(names.map((name) => harness.statusHistory(name)));
  const messages = history.flat().filter((s) => s.reason === reason).map((s) => s.message);
  assert.deepEqual(new Set(messages), new Set([message]), `${names}: ${reason}`);
}
