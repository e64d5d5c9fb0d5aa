import assert from "node:assert/strict";
import type { Heads, Outcome } from "../../reconciler/ports.ts";
import { LEASE, valueOf } from "../git/testing.ts";
import { type PushFault, SimRemote, SimRepository } from "./repository.ts";

const files = (...entries: [string, string][]) => new Map(entries);
const commitOf = (text: string, base?: string) => ({
  base,
  files: files(["a", text]),
  message: text,
});

Deno.test("a push fails as it was told to", async () => {
  const cases: readonly [PushFault, Outcome<string>["kind"], boolean][] = [
    ["lost-race", "retryable", false],
    ["timeout-undone", "unknown", false],
    ["timeout-done", "unknown", true],
    ["unanswered-undone", "unknown", false],
    ["unanswered-done", "ok", true],
    ["timeout-late", "unknown", false],
    ["refused", "terminal", false],
  ];
  for (const [fault, kind, done] of cases) {
    const remote = new SimRemote();
    const repository = new SimRepository(remote);
    repository.failPush(fault);
    assert.equal((await repository.commitStatus(commitOf("1"))).kind, kind, fault);
    assert.equal(remote.messages.length, done ? 1 : 0, fault);
    assert.equal(remote.statusLog.length, done || fault === "lost-race" ? 1 : 0, fault);
    // It was for one push only.
    const head = valueOf(await repository.refresh()).status;
    valueOf(await repository.commitStatus(commitOf("2", head)));
  }
});

Deno.test("a push without an answer, under a head of somebody else, may have been done: unknown", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote, {
    gate: (op, phase) => {
      if (op === "look:status" && phase === "before") remote.tamper({ b: "on top" });
      return Promise.resolve();
    },
  });
  repository.failPush("unanswered-done");
  assert.equal((await repository.commitStatus(commitOf("1"))).kind, "unknown");
  assert.equal(remote.statusFile("a"), "1");
});

Deno.test("a lease that loses its race says the same in another version", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  repository.failPush("lost-race", "lease");
  assert.equal((await repository.writeLease(undefined, LEASE)).kind, "retryable");
  const version = valueOf(await repository.writeLease(undefined, LEASE));
  repository.failPush("lost-race", "lease");
  assert.equal((await repository.writeLease(version, { ...LEASE, beat: 1 })).kind, "retryable");
  const shown = valueOf(await repository.readLease());
  assert.deepEqual(shown?.lease, LEASE);
  assert.notEqual(shown?.version, version);
});

Deno.test("a late push arrives when it is let, if its branch still stands there", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  repository.failPush("timeout-late");
  await repository.commitStatus(commitOf("late"));
  assert.equal(remote.status, undefined);
  assert.equal(remote.deliverLate(), 1);
  assert.equal(remote.statusFile("a"), "late");

  const base = valueOf(await repository.refresh()).status;
  repository.failPush("timeout-late");
  await repository.commitStatus(commitOf("too late", base));
  valueOf(await repository.commitStatus(commitOf("faster", base)));
  assert.equal(remote.deliverLate(), 0);
  assert.equal(remote.statusFile("a"), "faster");
});

Deno.test("the remote remembers who moved what, and on what", async () => {
  let now = 1000;
  const remote = new SimRemote(() => now);
  const repository = new SimRepository(remote, { now: () => now, name: "c1" });
  const first = valueOf(await repository.commitStatus(commitOf("1")));
  now = 2000;
  const second = valueOf(await repository.commitStatus(commitOf("2", first)));
  remote.rewindStatus(first);
  remote.deleteStatus();
  assert.deepEqual(remote.statusLog, [
    { commit: first, from: undefined, parent: undefined, message: "1\n", atMs: 1000, by: "c1" },
    { commit: second, from: first, parent: first, message: "2\n", atMs: 2000, by: "c1" },
    { commit: first, from: second, parent: undefined, message: "1\n", atMs: 2000, by: "person" },
    { commit: undefined, from: first, parent: undefined, message: "", atMs: 2000, by: "person" },
  ]);
  assert.deepEqual(remote.messages, ["1\n", "2\n"]);
  valueOf(await repository.writeLease(undefined, LEASE));
  assert.deepEqual(remote.leaseLog.map(({ message }) => message), ["lease: epoch 3 for host:1\n"]);
  assert.deepEqual(JSON.parse(remote.leaseFile() ?? ""), LEASE);
});

Deno.test("the gate stands before and after what reaches the remote or writes", async () => {
  const seen: string[] = [];
  const remote = new SimRemote();
  const gate = (op: string, phase: string) => {
    const { status, lease } = remote;
    if (op.startsWith("push")) seen.push(`${phase} ${op} ${status ?? lease ? "done" : "undone"}`);
    else seen.push(`${phase} ${op}`);
    return Promise.resolve();
  };
  const repository = new SimRepository(remote, { gate });
  const take = () => seen.splice(0);
  valueOf(await repository.refresh());
  assert.deepEqual(take(), ["before ls-remote", "after ls-remote"]);
  remote.push({ a: "1" });
  valueOf(await repository.refresh());
  assert.deepEqual(take().filter((op) => op.startsWith("before")), [
    "before ls-remote",
    "before fetch",
  ]);
  valueOf(await repository.readLease());
  assert.deepEqual(take(), ["before ls-remote:lease", "after ls-remote:lease"]);
  valueOf(await repository.writeLease(undefined, LEASE));
  assert.deepEqual(take(), [
    "before commit",
    "after commit",
    "before push:lease undone",
    "after push:lease done",
  ]);
  repository.failPush("unanswered-done");
  valueOf(await repository.commitStatus(commitOf("1")));
  assert.deepEqual(take().filter((op) => op.startsWith("before")), [
    "before commit",
    "before push:status done",
    "before look:status",
  ]);
  await repository.resolveCode({ kind: "git", url: "u", rev: "r" });
  assert.deepEqual(take(), ["before resolve", "after resolve"]);
});

Deno.test("a controller that dies in the gate has done what came before, and no more", async () => {
  for (const phase of ["before", "after"] as const) {
    const remote = new SimRemote();
    const dead = new Promise<void>(() => {});
    const repository = new SimRepository(remote, {
      gate: (op, at) => op === "push:status" && at === phase ? dead : Promise.resolve(),
    });
    let ended = false;
    void repository.commitStatus(commitOf("1")).then(() => ended = true);
    for (let step = 0; step < 100; step++) await undefined;
    assert.equal(ended, false);
    assert.equal(remote.status === undefined, phase === "before");
  }
});

Deno.test("branches can be edited, rewritten and deleted", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  const first = remote.push({ "jobs/a.yaml": "1" });
  remote.edit({ "jobs/b.yaml": { text: "a.yaml", mode: "120000" }, "jobs/a.yaml": undefined });
  const tree = await repository.listTree(remote.desired ?? "");
  assert.deepEqual(tree.map((e) => [e.path, e.mode]), [["jobs/b.yaml", "120000"]]);
  const desired = async (outcome: Promise<Outcome<Heads>>) => valueOf(await outcome).desired;
  remote.rewrite(first);
  assert.equal(await desired(repository.refresh()), first);
  remote.rewrite(remote.unrelated({ x: "1" }));
  assert.deepEqual([...remote.files(remote.desired ?? "").keys()], ["x"]);
  remote.deleteDesired();
  assert.equal(await desired(repository.refresh()), undefined);
  assert.throws(() => remote.rewrite("1".repeat(40)), /not in the mirror/);
});

Deno.test("what a remote keeps is bounded, and heads are always kept", async () => {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  const desired = remote.push({ "cluster.yaml": "x" });
  let base: string | undefined;
  let version: string | undefined;
  const texts: string[] = [];
  for (let i = 0; i < 1500; i++) {
    base = valueOf(await repository.commitStatus(commitOf(`text ${i}`, base)));
    version = valueOf(await repository.writeLease(version, { ...LEASE, beat: i }));
    texts.push(remote.idOf(`text ${i}`));
  }
  const kept = texts.filter((oid) => remote.text(oid) !== undefined).length;
  assert.ok(kept >= 499 && kept <= 800, `${kept} texts`);
  const heads = valueOf(await repository.refresh());
  assert.deepEqual(heads, {
    desired,
    status: base,
    lease: { version, lease: { ...LEASE, beat: 1499 } },
  });
  assert.equal((await repository.listTree(desired)).length, 1);
  const first = remote.statusLog[0]?.commit ?? "";
  await assert.rejects(() => repository.listTree(first), /not in the mirror/);
});

Deno.test("code of other repositories has a name, or cannot be reached", async () => {
  const repository = new SimRepository(new SimRemote());
  const code = { kind: "git", url: "u", rev: "r" } as const;
  const tree = valueOf(await repository.resolveCode(code));
  assert.equal(valueOf(await repository.resolveCode({ ...code })), tree);
  assert.equal((await repository.archive(tree)).digest, tree);
  repository.codeUnreachable = true;
  assert.equal((await repository.resolveCode(code)).kind, "retryable");
});
