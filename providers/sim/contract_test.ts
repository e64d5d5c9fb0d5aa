/** The simulated git is held to what the system's git does, by the same assertions on both. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { StateRepository } from "../../reconciler/ports.ts";
import { Lab, LEASE, valueOf } from "../git/testing.ts";
import { SimRemote, SimRepository } from "./repository.ts";

type Branch = "main" | "ugro/status" | "ugro/lease";
type Fault = "unanswered-done" | "unanswered-undone" | "timeout-done" | "refused";

/** A remote and what happens to it. */
interface World {
  /** A controller of its own. */
  open(): StateRepository;
  /** Commits exactly these files, on top of `parent`. */
  commit(branch: Branch, files: Record<string, string>, parent?: string): Promise<string>;
  head(branch: Branch): Promise<string | undefined>;
  parent(commit: string): Promise<string | undefined>;
  /** Moves a branch, or deletes it. */
  move(branch: Branch, commit: string | undefined): Promise<void>;
  /** Whether the remote can be reached. */
  reachable(now: boolean): Promise<void>;
  /** All mirrors are damaged. */
  lose(): Promise<void>;
  /** What goes wrong with the next push to a branch. */
  fail(branch: Branch, fault: Fault): Promise<void>;
}

async function withSystem(test: (world: World) => Promise<void>): Promise<void> {
  await Lab.with(async (lab) => {
    const git = (...args: string[]) => lab.git(["--git-dir", lab.remote, ...args]);
    const hooks: Record<Fault, (ref: string) => Promise<void>> = {
      "unanswered-done": (ref) => lab.hook("post-receive", hookFor(ref, "sleep 20")),
      "unanswered-undone": (ref) => lab.hook("pre-receive", hookFor(ref, "exec sleep 20")),
      "timeout-done": (ref) =>
        lab.hook("post-receive", hookFor(ref, `mv ${lab.remote} ${lab.remote}.gone; sleep 20`)),
      "refused": (ref) => lab.hook("pre-receive", hookFor(ref, "exit 1")),
    };
    await test({
      open: () => lab.open({ networkMs: 1500 }),
      commit: (branch, files, parent) => lab.commit(branch, files, parent),
      head: (branch) => lab.head(branch),
      parent: async (commit) => (await git("show", "-s", "--format=%P", commit)) || undefined,
      move: async (branch, commit) => {
        if (commit === undefined) await git("update-ref", "-d", `refs/heads/${branch}`);
        else await git("update-ref", `refs/heads/${branch}`, commit);
      },
      reachable: (now) =>
        now
          ? Deno.rename(`${lab.remote}.gone`, lab.remote)
          : Deno.rename(lab.remote, `${lab.remote}.gone`),
      lose: async () => {
        for await (const { name } of Deno.readDir(lab.dir)) {
          if (/^mirror.*\.git$/.test(name)) {
            await Deno.remove(join(lab.dir, name), { recursive: true });
          }
        }
      },
      fail: (branch, fault) => hooks[fault](branch),
    });
  });
}

/** A hook that does something once, for one branch. */
function hookFor(branch: string, what: string): string {
  return `while read old new ref; do case "$ref" in */${branch}) rm "$0"; ${what};; esac; done`;
}

async function withSim(test: (world: World) => Promise<void>): Promise<void> {
  const remote = new SimRemote();
  const opened: SimRepository[] = [];
  const names = { "main": "desired", "ugro/status": "status", "ugro/lease": "lease" } as const;
  await test({
    open: () => {
      const repository = new SimRepository(remote);
      opened.push(repository);
      return repository;
    },
    commit: (branch, files, parent) => {
      const commit = parent === undefined ? remote.unrelated(files) : remote.child(parent, files);
      remote[names[branch]] = commit;
      return Promise.resolve(commit);
    },
    head: (branch) => Promise.resolve(remote.head(names[branch])),
    parent: (commit) => Promise.resolve(remote.commitAt(commit).parent),
    move: (branch, commit) => {
      remote[names[branch]] = commit;
      return Promise.resolve();
    },
    reachable: (now) => {
      for (const repository of opened) repository.unreachable = !now;
      return Promise.resolve();
    },
    lose: () => {
      for (const repository of opened) repository.loseMirror();
      return Promise.resolve();
    },
    fail: (branch, fault) => {
      const { [branch]: name } = names;
      if (name === "desired") throw new Error("nobody pushes there");
      opened.at(-1)?.failPush(fault, name);
      return Promise.resolve();
    },
  });
}

function onBoth(name: string, test: (world: World) => Promise<void>): void {
  Deno.test(`the system's git: ${name}`, () => withSystem(test));
  Deno.test(`the simulated git: ${name}`, () => withSim(test));
}

const files = (entries: Record<string, string>) => new Map(Object.entries(entries));

async function paths(state: StateRepository, commit: string | undefined): Promise<string[]> {
  return (await state.listTree(commit ?? "")).map(({ path }) => path);
}

onBoth("heads are told as they are; a deleted branch is not an unreachable one", async (world) => {
  const state = world.open();
  const none = { desired: undefined, status: undefined, lease: undefined };
  assert.deepEqual(valueOf(await state.refresh()), none);
  const first = await world.commit("main", { "jobs/a.yaml": "a" });
  await world.commit("ugro/status", { x: "x" });
  assert.equal(valueOf(await state.refresh()).desired, first);
  await world.reachable(false);
  assert.equal((await state.refresh()).kind, "unknown");
  await world.reachable(true);
  await world.move("main", undefined);
  const heads = valueOf(await state.refresh());
  assert.equal(heads.desired, undefined);
  assert.notEqual(heads.status, undefined);
  await world.move("ugro/status", undefined);
  assert.deepEqual(valueOf(await state.refresh()), none);
  await world.move("main", first);
  assert.equal(valueOf(await state.refresh()).desired, first);
});

onBoth("a desired branch that is rewritten is followed, back and forth", async (world) => {
  const state = world.open();
  const first = await world.commit("main", { a: "1", "b/c": "2" });
  const second = await world.commit("main", { a: "1" }, first);
  assert.equal(valueOf(await state.refresh()).desired, second);
  await world.move("main", first);
  assert.equal(valueOf(await state.refresh()).desired, first);
  assert.deepEqual(await paths(state, first), ["a", "b/c"]);
  const other = await world.commit("main", { z: "1" });
  assert.equal(valueOf(await state.refresh()).desired, other);
  assert.deepEqual(await paths(state, other), ["z"]);
  assert.deepEqual(await paths(state, second), ["a"], "an older commit can still be read");
});

onBoth("trees are listed, read and named by their contents", async (world) => {
  const state = world.open();
  const first = await world.commit("main", { "s/b.py": "1", "s/a.py": "much longer", "s.x": "é" });
  const second = await world.commit("main", { "s/b.py": "1", "s/a.py": "much longer" }, first);
  valueOf(await state.refresh());
  const listing = await state.listTree(first);
  assert.deepEqual(listing.map(({ path, size, mode }) => [path, size, mode]), [
    ["s.x", 2, "100644"],
    ["s/a.py", 11, "100644"],
    ["s/b.py", 1, "100644"],
  ]);
  const blobs = await state.readBlobs(listing.map(({ oid }) => oid), 5);
  assert.deepEqual([...blobs.values()].map((bytes) => new TextDecoder().decode(bytes)), ["é", "1"]);
  assert.equal(await state.treeId(first, "s"), await state.treeId(second, "./s/"));
  assert.notEqual(await state.treeId(first, ""), await state.treeId(second, ""));
  for (const none of ["nothing", "s/a.py", "../s"]) {
    assert.equal(await state.treeId(first, none), undefined, none);
  }
  const absent = "1".repeat(40);
  for (
    const read of [
      () => state.listTree(absent),
      () => state.readBlobs([absent], 10),
      () => state.treeId(absent, ""),
    ]
  ) await assert.rejects(read, { name: "GitError" });
});

onBoth("a status commit is on top of its base, holds its files and what is kept", async (world) => {
  const state = world.open();
  const base = await world.commit("ugro/status", { keep: "1", drop: "2", same: "3" });
  valueOf(await state.refresh());
  const commit = {
    base,
    files: files({ new: "4", same: "3" }),
    keep: ["keep", "missing"],
    message: "x",
  };
  const head = valueOf(await state.commitStatus(commit));
  assert.equal(await world.head("ugro/status"), head);
  assert.equal(await world.parent(head), base);
  assert.deepEqual(await paths(state, head), ["keep", "new", "same"]);
  // What a commit leaves in the cache is what another controller fetches.
  const other = world.open();
  assert.equal(valueOf(await other.refresh()).status, head);
  assert.deepEqual(await other.listTree(head), await state.listTree(head));
});

onBoth("the same files make no commit", async (world) => {
  const state = world.open();
  const commit = { base: undefined, files: files({ a: "1" }), message: "x" };
  const head = valueOf(await state.commitStatus(commit));
  assert.equal(valueOf(await state.commitStatus({ ...commit, base: head, message: "y" })), head);
  assert.equal(await world.head("ugro/status"), head);
});

onBoth(
  "of two status commits on one base one is lost, and one on a rewound branch",
  async (world) => {
    const [ada, bob] = [world.open(), world.open()];
    const commit = { base: undefined, files: files({ a: "0" }), message: "x" };
    const base = valueOf(await ada.commitStatus(commit));
    const late = await bob.commitStatus({ ...commit, files: files({ a: "bob" }) });
    assert.equal(late.kind, "retryable");
    valueOf(await bob.refresh());
    const outcomes = await Promise.all([
      ada.commitStatus({ base, files: files({ a: "ada" }), message: "x" }),
      bob.commitStatus({ base, files: files({ a: "bob" }), message: "x" }),
    ]);
    assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ["ok", "retryable"]);
    const head = await world.head("ugro/status");
    assert.equal(await world.parent(head ?? ""), base);
    valueOf(await ada.refresh());
    await world.move("ugro/status", base);
    const rewound = await ada.commitStatus({ base: head, files: files({ a: "z" }), message: "x" });
    assert.equal(rewound.kind, "retryable");
    await world.move("ugro/status", undefined);
    const deleted = await ada.commitStatus({ base: head, files: files({ a: "z" }), message: "x" });
    assert.equal(deleted.kind, "retryable");
    assert.equal(await world.head("ugro/status"), undefined);
  },
);

onBoth("bad files are terminal, a base that is not there is retryable", async (world) => {
  const state = world.open();
  const bad = { base: undefined, files: files({ a: "1", "a/b": "2" }), message: "x" };
  assert.equal((await state.commitStatus(bad)).kind, "terminal");
  const missing = { base: "1".repeat(40), files: files({ a: "1" }), message: "x" };
  assert.equal((await state.commitStatus(missing)).kind, "retryable");
});

const ANSWERS: readonly [Fault, "ok" | "unknown" | "terminal", boolean][] = [
  ["unanswered-done", "ok", true],
  ["unanswered-undone", "unknown", false],
  ["timeout-done", "unknown", true],
  ["refused", "terminal", false],
];
for (const [fault, kind, done] of ANSWERS) {
  onBoth(`a push that is ${fault} is ${kind}: of the status`, async (world) => {
    const state = world.open();
    await world.fail("ugro/status", fault);
    const commit = { base: undefined, files: files({ a: "1" }), message: "x" };
    assert.equal((await state.commitStatus(commit)).kind, kind);
    if (fault === "timeout-done") await healed(world);
    const head = await world.head("ugro/status");
    assert.equal(head !== undefined, done);
    assert.equal(valueOf(await state.refresh()).status, head);
    if (done) assert.equal(valueOf(await state.commitStatus({ ...commit, base: head })), head);
  });
  onBoth(`a push that is ${fault} is ${kind}: of the lease`, async (world) => {
    const state = world.open();
    const version = valueOf(await state.writeLease(undefined, LEASE));
    await world.fail("ugro/lease", fault);
    const next = { ...LEASE, beat: 1 };
    const outcome = await state.writeLease(version, next);
    assert.equal(outcome.kind, kind, JSON.stringify(outcome));
    if (fault === "timeout-done") await healed(world);
    const shown = valueOf(await state.readLease());
    assert.deepEqual(shown?.lease, done ? next : LEASE);
    assert.equal(shown?.version, await world.head("ugro/lease"));
  });
}

/** The remote comes back, if it was gone for more than the push. */
async function healed(world: World): Promise<void> {
  await world.reachable(true);
}

onBoth("the lease is created once, renewed in place, and claimed on top", async (world) => {
  const [ada, bob] = [world.open(), world.open()];
  assert.equal(valueOf(await ada.readLease()), undefined);
  const first = valueOf(await ada.writeLease(undefined, LEASE));
  assert.equal((await bob.writeLease(undefined, { ...LEASE, claim: "b" })).kind, "retryable");
  const second = valueOf(await ada.writeLease(first, { ...LEASE, beat: 1, watched: true }));
  assert.equal(await world.parent(second), undefined);
  const shown = valueOf(await bob.refresh()).lease;
  assert.deepEqual(shown, { version: second, lease: { ...LEASE, beat: 1, watched: true } });
  assert.deepEqual(valueOf(await bob.readLease()), shown);
  const claim = { ...LEASE, epoch: 4, claim: "b", owner: "bob" };
  const third = valueOf(await bob.writeLease(second, claim));
  assert.equal(await world.parent(third), second);
  const lost = await ada.writeLease(second, { ...LEASE, beat: 2 });
  assert.equal(lost.kind, "retryable");
  assert.deepEqual(valueOf(await ada.readLease()), { version: third, lease: claim });
  const fourth = valueOf(await bob.writeLease(third, { ...claim, beat: 1 }));
  assert.equal(await world.parent(fourth), second, "the history of claims does not grow");
});

onBoth("two who take the same lease: one has it", async (world) => {
  const [ada, bob] = [world.open(), world.open()];
  const base = valueOf(await ada.writeLease(undefined, LEASE));
  valueOf(await bob.readLease());
  const outcomes = await Promise.all(
    [ada, bob].map((state, i) => state.writeLease(base, { ...LEASE, epoch: 4, claim: `c${i}` })),
  );
  assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ["ok", "retryable"]);
});

onBoth("a lease that is deleted, set back, broken or out of reach", async (world) => {
  const state = world.open();
  const first = valueOf(await state.writeLease(undefined, LEASE));
  const second = valueOf(await state.writeLease(first, { ...LEASE, epoch: 4, claim: "c4" }));
  await world.move("ugro/lease", first);
  assert.deepEqual(valueOf(await state.readLease()), { version: first, lease: LEASE });
  assert.equal((await state.writeLease(second, { ...LEASE, beat: 9 })).kind, "retryable");
  await world.move("ugro/lease", undefined);
  assert.equal(valueOf(await state.readLease()), undefined);
  assert.equal(valueOf(await state.refresh()).lease, undefined);
  assert.equal((await state.writeLease(first, { ...LEASE, beat: 9 })).kind, "retryable");
  await world.reachable(false);
  assert.equal((await state.readLease()).kind, "unknown");
  assert.notEqual((await state.writeLease(undefined, LEASE)).kind, "ok");
  await world.reachable(true);
  valueOf(await state.writeLease(undefined, { ...LEASE, beat: 10 }));
  await world.commit("ugro/lease", { "lease.json": "garbage" });
  assert.equal((await state.readLease()).kind, "terminal");
  assert.equal(valueOf(await state.refresh()).lease, undefined);
});

onBoth("mirrors that are lost are made anew", async (world) => {
  const state = world.open();
  const desired = await world.commit("main", { a: "1" });
  const version = valueOf(await state.writeLease(undefined, LEASE));
  const commit = { base: undefined, files: files({ a: "1" }), message: "x" };
  const status = valueOf(await state.commitStatus(commit));
  valueOf(await state.refresh());
  await world.lose();
  // A pass may fail to read before it is noticed; the next one finds all whole.
  await assert.rejects(async () => {
    valueOf(await state.refresh());
    await state.treeId(desired, "");
  });
  const heads = { desired, status, lease: { version, lease: LEASE } };
  assert.deepEqual(valueOf(await state.refresh()), heads);
  assert.deepEqual(await paths(state, desired), ["a"]);
  assert.equal((await state.writeLease(version, { ...LEASE, beat: 1 })).kind, "retryable");
  valueOf(await state.readLease());
  valueOf(await state.writeLease(version, { ...LEASE, beat: 1 }));
  const next = await state.commitStatus({ ...commit, base: status, files: files({ a: "2" }) });
  assert.equal(valueOf(next), await world.head("ugro/status"));
});
