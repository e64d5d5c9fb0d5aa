/** A push of one manifest is a training on three hosts. */
import assert from "node:assert/strict";
import { job } from "./harness.ts";
import { must } from "./processes.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice, witnesses } from "./witness.ts";

const suite = await labSuite();
const GANG = { resources: { nodes: 3, gpusPerNode: 1 } };

suite.test("a pushed manifest trains on three hosts to the end", { torch: true }, async (t) => {
  const harness = await t.harness({ python: t.python });
  await harness.push({
    "jobs/hello.yaml": job({
      ...GANG,
      script: "scripts/ddp.py",
      training: { steps: 12, "step-time": 0.2, "ckpt-every": 6 },
      args: ["--witness", harness.witnessDir],
      checkpoint: { pattern: "step-*.pt", resume: "--resume-from {path}" },
    }),
  }, "train hello");
  const done = await harness.until("hello", (s) => s.phase === "Succeeded", 60_000);
  const [attempt] = done.attempts;
  assert.equal(done.attempts.length, 1);
  assert.deepEqual(attempt?.exitCodes, [0, 0, 0]);
  assert.equal(attempt?.end, "succeeded");

  const history = await harness.statusHistory("hello");
  const running = history.find((s) => s.phase === "Running");
  assert(running, `the status branch never said Running: ${history.map((s) => s.phase)}`);
  const placement = running.attempts[0]?.placement ?? [];
  assert.deepEqual(new Set(placement.map((p) => p.node)), new Set(["h1", "h2", "h3"]));
  for (const { node, gpus } of placement) {
    const owned = (await t.lab.host(node).readGpus()).gpus.map((gpu) => gpu.uuid);
    assert.deepEqual(gpus, owned);
  }

  const starts = witnesses(harness.witnessDir, "hello");
  assert.deepEqual(starts.map((w) => w.rank), [0, 1, 2]);
  assert.equal(starts.every((w) => w.events.has("end")), true);
  if (t.lab.kind === "namespaces") {
    assert.deepEqual(starts.map((w) => w.host), placement.map((p) => p.node));
  }
  assertNoRankTwice(harness.witnessDir);
  for (const [rank, { node }] of placement.entries()) {
    assert.match(await harness.output(t.lab.host(node), "hello", 1, rank) ?? "", /step 12 loss/);
  }
  await harness.assertDesiredUntouched();
  assert.deepEqual(harness.processesOf("hello"), []);
});

suite.test(
  "code of another repository is shipped at the revision that the manifest names",
  {},
  async (t) => {
    const harness = await t.harness();
    const other = `${t.lab.dir}/other`;
    const commit = async (text: string) => {
      await Deno.mkdir(`${other}/pkg`, { recursive: true });
      await Deno.writeTextFile(`${other}/pkg/main.py`, `print("${text}", flush=True)\n`);
      const who = ["-c", "user.name=o", "-c", "user.email=o@example.org"];
      const git = (...args: string[]) => must(["git", "-C", other, ...who, ...args]);
      await must(["git", "init", "-q", "-b", "main", other]);
      await git("add", "-A");
      await git("commit", "-q", "-m", text);
      return (await git("rev-parse", "HEAD")).trim();
    };
    const first = await commit("the first version");
    await commit("the second version");
    const code = (rev: string) => ({
      code: { git: `file://${other}`, rev },
      script: "pkg/main.py",
    });
    await harness.push({
      "jobs/pinned.yaml": job({ ...code(first), launcher: "processes" }),
      "jobs/newest.yaml": job({ ...code("main"), launcher: "processes" }),
    });
    for (
      const [name, text] of [["pinned", "the first version\n"], ["newest", "the second version\n"]]
    ) {
      const done = await harness.until(name ?? "", (s) => s.phase === "Succeeded", 20_000);
      const node = t.lab.host(done.attempts[0]?.placement[0]?.node ?? "");
      assert.equal(await harness.output(node, name ?? "", 1, 0), text);
      assert.match(done.attempts[0]?.codeDigest ?? "", /^[0-9a-f]{40}$/);
    }
  },
);

suite.test("a script that knows nothing of UGRO runs unchanged", { torch: true }, async (t) => {
  const harness = await t.harness({ python: t.python });
  await harness.push({
    "jobs/team/plain.yaml": job({
      ...GANG,
      script: "scripts/plain_ddp.py",
      training: { epochs: 2, lr: 0.125, "batch-size": 16 },
    }),
  });
  const done = await harness.until("plain", (s) => s.phase === "Succeeded", 60_000);
  const first = done.attempts[0]?.placement[0]?.node ?? "";
  const printed = await harness.output(t.lab.host(first), "plain", 1, 0) ?? "";
  assert.match(printed, /world size 3 lr 0.125/);
  assert.match(printed, /step 16 loss/);
});
