import assert from "node:assert/strict";
import { stringify } from "yaml";
import type { JobStatus } from "../jobs/status.ts";
import { show } from "./status.ts";
import { readSnapshot, type Snapshot } from "./status_source.ts";
import { printed, withFiles } from "./testing.ts";
import { GitStateRepository } from "../providers/git/repository.ts";

const now = Date.parse("2026-03-01T12:00:00Z");

const running: JobStatus = {
  name: "demo",
  file: "jobs/demo.yaml",
  commit: "0123456789abcdef0123456789abcdef01234567",
  specDigest: "s1",
  queue: "default",
  priority: 5,
  owner: "ada",
  phase: "Running",
  reason: "AllRanksRunning",
  message: "runs on 2 nodes",
  since: "2026-03-01T11:57:00Z",
  submittedAt: "2026-03-01T10:00:00Z",
  attempt: 2,
  retries: 1,
  rerun: 0,
  conditions: [{
    type: "Placed",
    status: "True",
    reason: "Fits",
    message: "",
    since: "2026-03-01T11:57:00Z",
  }],
  attempts: [
    {
      attempt: 1,
      commit: "0123456789abcdef0123456789abcdef01234567",
      specDigest: "s1",
      codeDigest: null,
      placement: [{ node: "gpu1", gpus: ["GPU-a"] }],
      because: "the only node that is free",
      recordedAt: "2026-03-01T11:00:00Z",
      startedAt: "2026-03-01T11:00:05Z",
      endedAt: "2026-03-01T11:50:05Z",
      end: "failed",
      exitCodes: [1],
      failure: {
        class: "gpu-oom",
        node: "gpu1",
        rank: 0,
        message: "CUDA out of memory\x1b[2J\nTried 2 GiB",
      },
    },
    {
      attempt: 2,
      commit: "0123456789abcdef0123456789abcdef01234567",
      specDigest: "s1",
      codeDigest: null,
      placement: [{ node: "gpu2", gpus: ["GPU-b", "GPU-c"] }, { node: "gpu3", gpus: ["cpu:0"] }],
      because: "two nodes are free",
      resumedFrom: { path: "/ckpt/step-40", step: 40 },
      recordedAt: "2026-03-01T11:56:55Z",
      startedAt: "2026-03-01T11:57:00Z",
    },
  ],
};
const { owner: _, ...anonymous } = running;
const waiting: JobStatus = {
  ...anonymous,
  name: "wide",
  phase: "Pending",
  reason: "Resources",
  message: "needs 4 nodes, 2 are free",
  attempt: 0,
  attempts: [],
  conditions: [],
};
const deleted: JobStatus = {
  ...running,
  name: "old",
  phase: "Cancelled",
  reason: "ManifestDeleted",
  attempts: running.attempts.slice(0, 1),
};
const snapshot: Snapshot = {
  commit: "c",
  jobs: [running, waiting, deleted],
  unreadable: [],
  toMend: [],
  queue: {
    waiting: [{
      position: 3,
      job: "wide",
      needs: "4 node(s) with 1 GPU(s)",
      reason: "Resources",
      message: "2 of 4 node(s) found\x1b[2J",
      ahead: 2,
      expectedStart: "2026-03-01T14:10:00.000Z",
      expectedBy: "limit",
    }],
    total: 3,
  },
  desired: "d",
};

Deno.test("the table lists each job; what is over and deleted is only counted", async () => {
  const { code, out, err } = await printed(() => show(snapshot, undefined, "table", now));
  assert.equal(code, 0);
  assert.deepEqual(out.split("\n"), [
    "NAME  PHASE    ATTEMPT  NODES      REASON           AGE",
    "demo  Running  2        gpu2,gpu3  AllRanksRunning  3m",
    "wide  Pending  -        -          Resources        3m",
  ]);
  assert.equal(err, "and 1 of deleted manifests (-o wide lists them)");
});

Deno.test("wide adds queue, owner, parent and the sentence", async () => {
  const child = { ...running, name: "sweep-1", parent: "sweep" };
  const jobs = [...snapshot.jobs, child];
  const { out } = await printed(() => show({ ...snapshot, jobs }, undefined, "wide", now));
  assert.match(
    out,
    /gpu2 \(2 GPUs\), gpu3 \(1 CPU slot\).* default +5 +ada +- +1 .*runs on 2 nodes/,
  );
  assert.match(out, /^sweep-1 .* ada +sweep +1 /m);
  assert.match(out, /^old +Cancelled/m);
});

Deno.test("the story of a job tells its attempts, newest first, made safe to print", async () => {
  const { code, out } = await printed(() => show(snapshot, "demo", "table", now));
  assert.equal(code, 0);
  assert.match(out, /^demo: Running for 3m \(AllRanksRunning\)\n {2}runs on 2 nodes\n/);
  assert.ok(out.indexOf("attempt 2: running") < out.indexOf("attempt 1: failed"));
  assert.match(out, /resumed +from step 40: \/ckpt\/step-40/);
  assert.match(out, /ended 2026-03-01T11:50:05Z after 50m$/m);
  assert.match(out, /failure +gpu-oom on gpu1, rank 0\n {4}CUDA out of memory\\u001b\[2J\n/);
});

Deno.test("the story of a job that waits tells its place, and when it is expected to start", async () => {
  const { out } = await printed(() => show(snapshot, "wide", "table", now));
  const line = /^ {2}waits {7}(.*)$/m.exec(out)?.[1];
  assert.equal(
    line,
    "2 before it; expected in 2h10m by limit; needs 4 node(s) with 1 GPU(s); " +
      "2 of 4 node(s) found\\u001b[2J",
  );
  const { out: other } = await printed(() => show(snapshot, "demo", "table", now));
  assert.doesNotMatch(other, /^ {2}waits/m);
});

Deno.test("the story says nothing twice, and why a start is not known", async () => {
  const needs = "4 node(s) with 1 GPU(s)";
  const message = `needs ${needs}; the cluster has 3 such node(s)`;
  const { expectedStart: _1, expectedBy: _2, ...entry } = snapshot.queue!.waiting[0]!;
  const tell = async (change: object, told = "waits") => {
    const waits = { ...entry, ahead: 0, needs, ...change };
    const queue = { waiting: [waits], total: 1 };
    const jobs = [{ ...waiting, message: told }];
    const { out } = await printed(() => show({ ...snapshot, jobs, queue }, "wide", "table", now));
    return /^ {2}waits {7}(.*)$/m.exec(out)?.[1];
  };
  assert.equal(await tell({ message }), `0 before it; ${message}`);
  assert.equal(await tell({ message }, message), "0 before it");
  assert.equal(
    await tell({ message: "1 of 4 found", expectedUnknown: "d1 has no maxDuration" }),
    `0 before it; start not known: d1 has no maxDuration; needs ${needs}; 1 of 4 found`,
  );
});

Deno.test("failures are counted as what they are", async () => {
  const jobs = [{ ...running, phase: "Failed" as const, retries: 4 }];
  const { out } = await printed(() => show({ ...snapshot, jobs }, "demo", "table", now));
  assert.match(out, /^ {2}failures +4 counted towards `recovery\.maxRetries`$/m);
  assert.doesNotMatch(out, /retries +4/);
});

Deno.test("a manifest of many jobs is told as the list of its jobs", async () => {
  const jobs = [
    { ...running, name: "sweep-1", parent: "sweep" },
    { ...waiting, name: "sweep-2", parent: "sweep" },
    { ...deleted, name: "sweep-3", parent: "sweep" },
    waiting,
  ];
  const { code, out, err } = await printed(() =>
    show({ ...snapshot, jobs }, "sweep", "table", now)
  );
  assert.deepEqual({ code, err }, { code: 0, err: "" });
  assert.match(out, /^sweep: a manifest of 2 jobs \(1 Pending, 1 Running\)\n\nNAME/);
  assert.deepEqual(out.match(/^sweep-\d/gm), ["sweep-1", "sweep-2"]);
  const names = await printed(() => show({ ...snapshot, jobs }, "sweep", "name", now));
  assert.equal(names.out, "sweep-1\nsweep-2\nsweep-3");
});

Deno.test("a deleted manifest whose job never ran is not listed", async () => {
  const never = { ...deleted, name: "never", attempt: 0, attempts: [] };
  const going = { ...deleted, name: "going", attempts: running.attempts };
  const jobs = [never, going];
  const { out, err } = await printed(() => show({ ...snapshot, jobs }, undefined, "table", now));
  assert.doesNotMatch(out, /never/);
  assert.match(out, /^going /m, "it has not stopped yet");
  assert.match(err, /^and 1 of deleted manifests/);
});

Deno.test("the list tells the problems of manifests, one a file, whatever phase the job is in", async () => {
  const problem = { file: "jobs/el.yaml", line: 4, column: 37, message: "a `{`\x1b[2J" };
  const of = (name: string, file: string) => ({
    ...running,
    name,
    phase: "Failed" as const,
    problems: [{ ...problem, file }, { ...problem, file, line: 9 }],
  });
  const twice = [of("el-1", "jobs/el.yaml"), of("el-2", "jobs/el.yaml")];
  const { code, err } = await printed(() =>
    show({ ...snapshot, jobs: twice }, undefined, "table", now)
  );
  assert.equal(code, 0);
  assert.equal(err, "warning: jobs/el.yaml:4:37: a `{`\\u001b[2J");
  const many = Array.from({ length: 7 }, (_, i) => of(`j${i}`, `jobs/j${i}.yaml`));
  const all = await printed(() => show({ ...snapshot, jobs: many }, undefined, "table", now));
  assert.match(all.err, /and problems of 2 more manifests/);
});

Deno.test("the story tells for whom an attempt made room, its memory, share and parent", async () => {
  const [first] = running.attempts;
  assert.ok(first);
  const attempts = [{
    ...first,
    end: "evicted" as const,
    placement: [{ node: "gpu1", gpus: ["GPU-a"], share: 0.5 }],
    peakMiB: 12_595,
    evicted: {
      reason: "Preempted" as const,
      by: "urgent-1",
      message: "urgent-1 has a higher priority",
      at: "2026-03-01T11:49:00Z",
    },
  }];
  const jobs = [{ ...running, parent: "sweep", attempts }];
  const { out } = await printed(() => show({ ...snapshot, jobs }, "demo", "table", now));
  assert.match(out, /^attempt 1: evicted$/m);
  assert.match(
    out,
    /evicted +made room for urgent-1: urgent-1 has a higher priority \(Preempted at 2026/,
  );
  assert.match(out, /^ {2}peak memory 12\.3 GB of a GPU$/m);
  assert.match(out, /gpu1 \(0\.5 of 1 GPU\)/);
  assert.match(out, /^ {2}one of +sweep$/m);
});

Deno.test("an unknown job fails with the likely one; unreadable files are told and fail", async () => {
  const missing = await printed(() => show(snapshot, "dmeo", "table", now));
  assert.equal(missing.code, 1);
  assert.equal(missing.err, "error: no job dmeo on the status branch; did you mean demo?");
  const torn = { ...snapshot, unreadable: ["jobs/x.yaml: phase: Invalid input"] };
  const { code, err } = await printed(() => show(torn, undefined, "name", now));
  assert.equal(code, 1);
  assert.match(err, /^warning: jobs\/x\.yaml: phase/);
});

Deno.test("JSON and YAML hold the whole status, and JSON no raw control character", async () => {
  const { out } = await printed(() => show(snapshot, "demo", "json", now));
  assert.deepEqual(JSON.parse(out), running);
  assert.doesNotMatch(out.replaceAll("\n", ""), /\p{Cc}/u);
  const yaml = await printed(() => show(snapshot, undefined, "yaml", now));
  assert.match(yaml.out, /^- name: demo$/m);
});

Deno.test("without a status branch there is nothing to show, which is no failure", async () => {
  const empty = { commit: undefined, jobs: [], unreadable: [], toMend: [] };
  const { code, out, err } = await printed(() => show(empty, undefined, "table", now));
  assert.deepEqual({ code, out }, { code: 0, out: "" });
  assert.match(err, /ugro\/status does not exist/);
});

Deno.test("the snapshot comes from the branch ugro/status of a real repository", async () => {
  const condition = { type: "HostKeyChanged", status: "True", message: "it has changed", fix: "x" };
  const files = {
    "jobs/demo.yaml": stringify(running),
    "jobs/torn.yaml": "phase: 1\n",
    "queue.yaml": stringify({ ...snapshot.queue, held: [] }),
    "cluster.yaml": stringify({ nodes: [{ name: "n1", conditions: [condition] }, { name: "n2" }] }),
  };
  await withFiles(files, async (folder) => {
    await git(folder, "init", "--quiet", "--initial-branch=ugro/status");
    await git(folder, "add", ".");
    await git(folder, "commit", "--quiet", "--message", "status");
    const repository = new GitStateRepository({
      remote: folder,
      mirrorDir: `${folder}/.mirror`,
      codeDir: `${folder}/.code`,
    });
    const found = await readSnapshot(repository).finally(() => repository.close());
    assert.deepEqual(found.jobs, [running]);
    assert.equal(found.unreadable.length, 1);
    assert.match(found.unreadable[0] ?? "", /^jobs\/torn\.yaml: /);
    assert.deepEqual(found.queue, snapshot.queue);
    assert.equal(found.desired, undefined);
    assert.deepEqual(found.toMend, ["n1: HostKeyChanged: it has changed; fix: x"]);
  });
});

Deno.test("a queue that is not as UGRO writes it is unknown", async () => {
  await withFiles({ "queue.yaml": "waiting: 3\n" }, async (folder) => {
    await git(folder, "init", "--quiet", "--initial-branch=ugro/status");
    await git(folder, "add", ".");
    await git(folder, "commit", "--quiet", "--message", "status");
    const dirs = { mirrorDir: `${folder}/.mirror`, codeDir: `${folder}/.code` };
    const repository = new GitStateRepository({ remote: folder, ...dirs });
    const found = await readSnapshot(repository).finally(() => repository.close());
    assert.equal(found.queue, undefined);
  });
});

async function git(folder: string, ...args: string[]): Promise<void> {
  const who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"];
  const { success, stderr } = await new Deno.Command("git", {
    args: ["-C", folder, ...who, ...args],
  })
    .output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
