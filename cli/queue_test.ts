import assert from "node:assert/strict";
import { parse } from "yaml";
import { GitStateRepository } from "../providers/git/repository.ts";
import { ago, attempt, cluster, NOW, running, status } from "../reconciler/testing/build.ts";
import { showQueue } from "./queue.ts";
import { readCluster, readSnapshot, type Snapshot } from "./status_source.ts";
import { printed, withFiles } from "./testing.ts";

const rules = cluster(["n1"], {
  queues: [{ name: "day", priority: 10, quotaGpus: 4, maxGpus: 8 }],
  users: [{ name: "ada", groups: [], share: 2, maxGpus: 1, gpuHoursPerWeek: 100 }],
});

const snapshot: Snapshot = {
  commit: "c",
  desired: "d",
  unreadable: [],
  toMend: [],
  jobs: [
    running("a", ["n1"], {
      owner: "ada",
      queue: "day",
      attempts: [attempt(1, ["n1"], { startedAt: ago(7_200_000) })],
    }),
    status("b", { owner: "bob", queue: "day", priority: 7, parent: "sweep" }),
    status("c"),
  ],
  queue: {
    waiting: [
      {
        position: 1,
        job: "b",
        needs: "2 node(s) with 4 GPU(s)",
        reason: "Resources",
        message: "1 of 2 node(s) found",
        ahead: 0,
        expectedStart: new Date(NOW + 5_400_000).toISOString(),
        expectedBy: "history",
      },
      { position: 2, job: "c", reason: "StartAfter", message: "not before\x1b[2J noon" },
    ],
    total: 230,
  },
};

Deno.test("the queue is three tables: who waits, the users, the queues", async () => {
  const { code, out, err } = await printed(() => showQueue(snapshot, rules, "table", NOW));
  assert.equal(code, 0);
  assert.deepEqual(out.split("\n"), [
    "POSITION  NAME  QUEUE    PRIORITY  OWNER  NEEDS                    REASON      AHEAD  EXPECTED",
    "1         b     day      7         bob    2 node(s) with 4 GPU(s)  Resources   0      in 1h30m by history",
    "2         c     default  0         -      -                        StartAfter  -      -",
    "",
    "USER  GPUS  SHARE  USED  WEEK  LIMIT",
    "ada   1     2      1.99  2     1 GPU, 100 h a week",
    "",
    "QUEUE  PRIORITY  GPUS  QUOTA  MAX",
    "day    10        1     4      8",
  ]);
  assert.equal(err, "and 228 more that wait");
});

Deno.test("wide adds the parent, the sentence made safe to print, and the score", async () => {
  const { out } = await printed(() => showQueue(snapshot, rules, "wide", NOW));
  assert.match(out, /EXPECTED +PARENT +MESSAGE$/m);
  assert.match(out, /in 1h30m by history +sweep +1 of 2 node\(s\) found$/m);
  assert.match(out, /not before\\u001b\[2J noon$/m);
  assert.match(out, /SCORE\nada .* 1\.5$/m, "1.99 GPU-hours and the hour ahead, by a share of 2");
});

Deno.test("JSON and YAML hold the numbers, name only the names in order", async () => {
  const json = await printed(() => showQueue(snapshot, rules, "json", NOW));
  const read = JSON.parse(json.out);
  assert.deepEqual(read.waiting, snapshot.queue?.waiting);
  assert.equal(read.users[0].weekGpuHours, 2);
  assert.doesNotMatch(json.out.replaceAll("\n", ""), /\p{Cc}/u);
  const yaml = await printed(() => showQueue(snapshot, rules, "yaml", NOW));
  assert.deepEqual(parse(yaml.out), read);
  const names = await printed(() => showQueue(snapshot, rules, "name", NOW));
  assert.equal(names.out, "b\nc");
});

Deno.test("with nothing on the status branch it says so, and fails for no reason", async () => {
  const empty = { ...snapshot, commit: undefined, jobs: [], queue: undefined };
  const nothing = { ...rules, queues: [], users: [] };
  const { code, out, err } = await printed(() => showQueue(empty, nothing, "table", NOW));
  assert.deepEqual({ code, out }, { code: 0, out: "" });
  assert.match(err, /ugro\/status does not exist/);
});

Deno.test("a queue that cannot be read is unknown, and not empty", async () => {
  const torn = { ...snapshot, queue: undefined };
  const { code, out, err } = await printed(() => showQueue(torn, rules, "table", NOW));
  assert.equal(code, 1);
  assert.match(err, /^warning: queue\.yaml .* nobody knows who waits/);
  assert.doesNotMatch(err, /nobody waits/);
  assert.match(out, /^ada +1/m);
  const json = await printed(() => showQueue(torn, rules, "json", NOW));
  assert.equal(JSON.parse(json.out).waiting, undefined);
});

Deno.test("status files that cannot be read are told, and fail", async () => {
  const torn = { ...snapshot, unreadable: ["jobs/x.yaml: phase: Invalid input"] };
  const { code, err } = await printed(() => showQueue(torn, rules, "name", NOW));
  assert.equal(code, 1);
  assert.match(err, /^warning: jobs\/x\.yaml/);
});

Deno.test("queues and users come from the branch that people write", async () => {
  const declared = "nodes: [{name: n1, host: n1}]\nqueues: [{name: day, priority: 3}]\n";
  await withFiles({ "cluster.yaml": declared }, async (folder) => {
    await commit(folder, "trunk");
    const { cluster: found, problems } = await clusterOf(folder, "trunk");
    assert.deepEqual(found?.queues.find(({ name }) => name === "day")?.priority, 3);
    assert.deepEqual(problems, []);
  });
});

Deno.test("a branch without cluster.yaml, and one that is broken, are told with what to do", async () => {
  await withFiles({ "cluster.yaml": "nodes: 3\n" }, async (folder) => {
    await commit(folder, "main");
    const broken = await clusterOf(folder, "main");
    assert.equal(broken.cluster, undefined);
    assert.match(broken.problems[0] ?? "", /^cluster\.yaml:1:\d+: /);
    const missing = await clusterOf(folder, "other");
    assert.equal(missing.cluster, undefined);
    assert.match(missing.problems[0] ?? "", /not found .*--branch/);
  });
});

/** The cluster at the head of a branch of a real repository. */
async function clusterOf(folder: string, branch: string) {
  const dirs = { mirrorDir: `${folder}/.mirror`, codeDir: `${folder}/.code` };
  const repository = new GitStateRepository({ remote: folder, branch, ...dirs });
  try {
    return await readCluster(repository, (await readSnapshot(repository)).desired);
  } finally {
    await repository.close();
  }
}

async function commit(folder: string, branch: string): Promise<void> {
  const who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"];
  for (
    const args of [
      ["init", "--quiet", `--initial-branch=${branch}`],
      ["add", "."],
      ["commit", "--quiet", "--message", "x"],
    ]
  ) {
    const { success, stderr } = await new Deno.Command("git", {
      args: ["-C", folder, ...who, ...args],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  }
}
