import assert from "node:assert/strict";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import { HistoryReader, parseStatus } from "./history.ts";
import { renderJob } from "./status_files.ts";
import { ago, attempt, running, status } from "./testing/build.ts";

function branch(files: Readonly<Record<string, string>>) {
  const remote = new SimRemote();
  remote.tamper(files);
  const repository = new SimRepository(remote);
  return { remote, repository, reader: new HistoryReader(repository) };
}

Deno.test("the history is what the job files say, and other files are nothing to it", async () => {
  const a = running("a", ["n1"]);
  const { remote, reader } = branch({
    "jobs/a.yaml": renderJob(a),
    "README.md": "# hello",
    "jobs/UPPER.yaml": "x",
    "jobs/deep/b.yaml": "x",
  });
  const history = await reader.read(remote.status, false);
  assert.deepEqual([...history.jobs], [["a", a]]);
  assert.equal(history.unreadable.size, 0);
});

Deno.test("an eviction, a share of a GPU and a peak of memory are read back as they were", () => {
  const evicted = {
    reason: "Reclaimed" as const,
    by: "b",
    message: "the queue research wants its quota back",
    at: ago(0),
  };
  const before = running("a", ["n1"], {
    parent: "sweep",
    attempts: [attempt(1, ["n1"], {
      placement: [{ node: "n1", gpus: ["GPU-n1-0"], share: 0.25 }],
      evicted,
      end: "evicted",
      peakMiB: 21_000,
    })],
  });
  const text = renderJob(before);
  assert.deepEqual(parseStatus(text), before);
  assert.equal(renderJob(parseStatus(text)), text, "and written back in the same order");
  assert.throws(() => parseStatus(text.replace("Reclaimed", "Robbed")), /evicted\.reason/);
});

Deno.test("a file that cannot be read holds its own job and no other", async () => {
  const { remote, reader } = branch({
    "jobs/a.yaml": renderJob(status("a")),
    "jobs/torn.yaml": "phase: [",
    "jobs/wrong.yaml": renderJob(status("wrong")).replace("phase: Pending", "phase: Dancing"),
    "jobs/copy.yaml": renderJob(status("a")),
  });
  const history = await reader.read(remote.status, false);
  assert.deepEqual([...history.jobs.keys()], ["a"]);
  assert.deepEqual([...history.unreadable.keys()].sort(), ["copy", "torn", "wrong"]);
  assert.match(history.unreadable.get("copy") ?? "", /about the job a/);
  assert.match(history.unreadable.get("wrong") ?? "", /^phase: /);
});

Deno.test("a file that was read before is not read again", async () => {
  const { remote, repository, reader } = branch({
    "jobs/a.yaml": renderJob(status("a")),
    "jobs/b.yaml": renderJob(status("b")),
  });
  await reader.read(remote.status, false);
  assert.equal(repository.blobsRead.length, 2);
  remote.tamper({ "jobs/b.yaml": renderJob(status("b", { message: "other" })) });
  const history = await reader.read(remote.status, false);
  assert.equal(repository.blobsRead.length, 3);
  assert.equal(history.jobs.get("b")?.message, "other");
});

Deno.test("without a branch there is no history, lost or not", async () => {
  const { reader } = branch({});
  const fresh = await reader.read(undefined, false);
  assert.deepEqual([fresh.jobs.size, fresh.lost], [0, false]);
  assert.equal((await reader.read(undefined, true)).lost, true);
});

Deno.test("aliases and huge documents are refused, not followed", () => {
  assert.throws(() => parseStatus("a: &x [1]\nb: *x\n"));
  assert.throws(() => parseStatus("{}"), /name/);
});
