import assert from "node:assert/strict";
import { SimRemote, SimRepository } from "./repository.ts";

const files = (...entries: [string, string][]) => new Map(entries);

Deno.test("a status commit is a compare-and-swap, and the same files make none", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  const first = await repository.commitStatus({
    base: undefined,
    files: files(["a", "1"]),
    message: "x",
  });
  assert.deepEqual(first, { kind: "ok", value: remote.status });
  const base = remote.status;
  const same = await repository.commitStatus({ base, files: files(["a", "1"]), message: "y" });
  assert.deepEqual(same, { kind: "ok", value: base });
  assert.deepEqual(remote.messages, ["x"]);
  const stale = await repository.commitStatus({ base: undefined, files: files(), message: "z" });
  assert.equal(stale.kind, "retryable");
});

Deno.test("files to keep stay, all others that are not named go", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  remote.tamper({ keep: "1", drop: "2" });
  await repository.commitStatus({
    base: remote.status,
    files: files(["new", "3"]),
    keep: ["keep", "missing"],
    message: "x",
  });
  assert.deepEqual([...remote.files(remote.status ?? "").keys()], ["keep", "new"]);
});

Deno.test("a push fails as it was told to", async () => {
  for (
    const [fault, kind, done] of [
      ["lost-race", "retryable", false],
      ["timeout-undone", "unknown", false],
      ["timeout-done", "unknown", true],
    ] as const
  ) {
    const remote = new SimRemote();
    const repository = new SimRepository(remote);
    repository.failPush(fault);
    const outcome = await repository.commitStatus({
      base: undefined,
      files: files(["a", "1"]),
      message: "x",
    });
    assert.equal(outcome.kind, kind);
    assert.equal(remote.messages.length, done ? 1 : 0);
  }
});

Deno.test("branches can be edited, rewritten and deleted", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  const first = remote.push({ "jobs/a.yaml": "1" });
  remote.edit({ "jobs/b.yaml": { text: "a.yaml", mode: "120000" }, "jobs/a.yaml": undefined });
  const tree = await repository.listTree(remote.desired ?? "");
  assert.deepEqual(tree.map((e) => [e.path, e.mode]), [["jobs/b.yaml", "120000"]]);
  remote.desired = first;
  remote.status = undefined;
  assert.deepEqual(await repository.refresh(), {
    kind: "ok",
    value: { desired: first, status: undefined },
  });
  repository.unreachable = true;
  assert.equal((await repository.refresh()).kind, "retryable");
});

Deno.test("blobs are read by id, without those that are too large", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  remote.push({ a: "short", b: "much longer" });
  const [a, b] = (await repository.listTree(remote.desired ?? "")).map((e) => e.oid);
  const blobs = await repository.readBlobs([a ?? "", b ?? ""], 6);
  assert.deepEqual([...blobs.keys()], [a]);
});

Deno.test("the same folder has the same tree id in every commit", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  const first = remote.push({ "scripts/t.py": "1", "jobs/a.yaml": "x" });
  const second = remote.edit({ "jobs/a.yaml": "y" });
  assert.equal(
    await repository.treeId(first, "scripts"),
    await repository.treeId(second, "scripts"),
  );
  assert.notEqual(await repository.treeId(first, ""), await repository.treeId(second, ""));
  assert.equal(await repository.treeId(first, "nothing"), undefined);
});

Deno.test("every claim has a higher epoch and the same repository", async () => {
  const remote = new SimRemote();
  const claims = [new SimRepository(remote), new SimRepository(remote)].map((r) =>
    r.claimEpoch("x")
  );
  assert.deepEqual((await Promise.all(claims)).map((c) => c.kind === "ok" && c.value), [
    { epoch: 1, repository: remote.id },
    { epoch: 2, repository: remote.id },
  ]);
});
