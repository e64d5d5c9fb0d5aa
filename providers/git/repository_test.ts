import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab, valueOf } from "./testing.ts";

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const files = (entries: Record<string, string>) => new Map(Object.entries(entries));

Deno.test("an empty repository has no heads, and one that does not answer is unknown", () =>
  Lab.with(async (lab) => {
    assert.deepEqual(valueOf(await lab.open().refresh()), {
      desired: undefined,
      status: undefined,
      lease: undefined,
    });
    const nowhere = await lab.open({ remote: join(lab.dir, "nowhere.git") }).refresh();
    assert.equal(nowhere.kind, "unknown");
    assert.match("reason" in nowhere ? nowhere.reason : "", /check the address/);
  }));

Deno.test("heads follow the remote: commits, rewrites, deletion, and another branch's name", () =>
  Lab.with(async (lab) => {
    const first = await lab.commit("main", { "jobs/a.yaml": "a" });
    await lab.commit("main2", { x: "x" });
    const state = lab.open({ remote: `file://${lab.remote}` });
    assert.equal(valueOf(await state.refresh()).desired, first);
    const second = await lab.commit("main", { "jobs/a.yaml": "b" }, first);
    assert.equal(valueOf(await state.refresh()).desired, second);
    const rewritten = await lab.commit("main", { "jobs/b.yaml": "c" });
    assert.equal(valueOf(await state.refresh()).desired, rewritten);
    assert.deepEqual((await state.listTree(rewritten)).map(({ path }) => path), ["jobs/b.yaml"]);
    assert.equal((await state.listTree(first)).length, 1, "an older commit can still be read");

    await lab.git(["--git-dir", lab.remote, "update-ref", "-d", "refs/heads/main"]);
    const gone = { desired: undefined, status: undefined, lease: undefined };
    assert.deepEqual(valueOf(await state.refresh()), gone);
    await lab.git(["--git-dir", lab.remote, "update-ref", "refs/heads/main", first]);
    assert.equal(valueOf(await state.refresh()).desired, first);
  }));

Deno.test("a branch that is broken on the remote is unknown, not deleted", () =>
  Lab.with(async (lab) => {
    const commit = await lab.commit("main", { a: "a" });
    const state = lab.open();
    valueOf(await state.refresh());
    const ref = join(lab.remote, "refs/heads/main");
    await Deno.writeTextFile(ref, "");
    assert.equal((await state.refresh()).kind, "unknown");
    await Deno.writeTextFile(ref, `${"1".repeat(40)}\n`);
    assert.equal((await state.refresh()).kind, "unknown");
    await Deno.writeTextFile(ref, `${commit}\n`);
    assert.equal(valueOf(await state.refresh()).desired, commit);
  }));

Deno.test("concurrent refreshes share one", () =>
  Lab.with(async (lab) => {
    const state = lab.open();
    const one = state.refresh();
    assert.equal(state.refresh(), one);
    await one;
    const other = state.refresh();
    assert.notEqual(other, one);
    await other;
  }));

Deno.test("a status commit holds exactly its files, on top of its base", () =>
  Lab.with(async (lab) => {
    const state = lab.open({ now: () => 1_700_000_000_000 });
    valueOf(await state.refresh());
    const hostile = 'jobs/"q"\\ \n\ré😀.yaml';
    const first = valueOf(
      await state.commitStatus({
        base: undefined,
        files: files({ "README.md": "hi\n", "jobs/a.yaml": "1\n", "x": "file", [hostile]: "q" }),
        message: "status: first",
      }),
    );
    assert.equal(await lab.head("ugro/status"), first);
    const second = valueOf(
      await state.commitStatus({
        base: first,
        files: files({ "README.md": "hi\n", "jobs/b/c.yaml": "2\n", "x/y": "folder", "e": "" }),
        message: "status: second",
      }),
    );
    assert.equal(valueOf(await state.refresh()).status, second);
    const listing = await state.listTree(second);
    assert.deepEqual(listing.map(({ path }) => path), ["README.md", "e", "jobs/b/c.yaml", "x/y"]);
    const blobs = await state.readBlobs(listing.map(({ oid }) => oid), 100);
    assert.deepEqual(listing.map(({ oid }) => text(blobs.get(oid))), ["hi\n", "", "2\n", "folder"]);
    const old = await state.listTree(first);
    assert.ok(old.some(({ path }) => path === hostile), JSON.stringify(old));

    const show = ["--git-dir", lab.remote, "show", "-s", "--format=%an <%ae> %ct %P|%s", second];
    assert.equal(await lab.git(show), `UGRO <ugro@localhost> 1700000000 ${first}|status: second`);
    assert.equal(await lab.git(["--git-dir", lab.remote, "fsck", "--strict"]), "");
  }));

Deno.test("files that have not changed make no commit", () =>
  Lab.with(async (lab) => {
    const state = lab.open();
    const same = files({ a: "1", "b/c": "2" });
    const first = valueOf(await state.commitStatus({ base: undefined, files: same, message: "x" }));
    const again = { base: first, files: new Map(same), message: "y" };
    assert.equal(valueOf(await state.commitStatus(again)), first);
    const other = lab.open();
    valueOf(await other.refresh());
    assert.equal(valueOf(await other.commitStatus(again)), first);
    assert.equal(await lab.head("ugro/status"), first);
    // The listing made up after a change in place is the one that git would give.
    const changed = files({ a: "1", "b/c": "22" });
    const next = valueOf(
      await state.commitStatus({ base: first, files: changed, message: "z" }),
    );
    valueOf(await other.refresh());
    assert.deepEqual(await state.listTree(next), await other.listTree(next));
  }));

Deno.test("a lost race is retryable and rewrites nothing", () =>
  Lab.with(async (lab) => {
    const [ada, bob] = [lab.open(), lab.open()];
    const base = valueOf(
      await ada.commitStatus({ base: undefined, files: files({ a: "0" }), message: "x" }),
    );
    // Both create the branch: the second is late.
    const create = await bob.commitStatus({
      base: undefined,
      files: files({ a: "bob" }),
      message: "x",
    });
    assert.equal(create.kind, "retryable");
    valueOf(await bob.refresh());
    const outcomes = await Promise.all([
      ada.commitStatus({ base, files: files({ a: "ada" }), message: "x" }),
      bob.commitStatus({ base, files: files({ a: "bob" }), message: "x" }),
    ]);
    assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ["ok", "retryable"]);
    const parents = ["--git-dir", lab.remote, "rev-list", "--parents", "ugro/status"];
    assert.equal((await lab.git(parents)).split("\n").length, 2);
    // Somebody rewound the branch: a fast-forward from there would undo that silently.
    const head = await lab.head("ugro/status");
    valueOf(await ada.refresh());
    await lab.git(["--git-dir", lab.remote, "update-ref", "refs/heads/ugro/status", base]);
    const rewound = await ada.commitStatus({ base: head, files: files({ a: "z" }), message: "x" });
    assert.equal(rewound.kind, "retryable");
    assert.equal(await lab.head("ugro/status"), base);
  }));

Deno.test("a base that is not here is retryable, and impossible files are terminal", () =>
  Lab.with(async (lab) => {
    const state = lab.open();
    const missing = { base: "1".repeat(40), files: files({ a: "1" }), message: "x" };
    assert.equal((await state.commitStatus(missing)).kind, "retryable");
    for (const bad of [{ "../a": "1" }, { a: "1", "a/b": "2" }, { ".git/x": "1" }]) {
      const commit = { base: undefined, files: files(bad as Record<string, string>), message: "x" };
      assert.equal((await state.commitStatus(commit)).kind, "terminal");
    }
    assert.equal(await lab.head("ugro/status"), undefined);
  }));

Deno.test("a hook that refuses is terminal, with its words", () =>
  Lab.with(async (lab) => {
    await lab.hook("pre-receive", "echo 'ugro/status is protected' >&2; exit 1");
    const outcome = await lab.open().commitStatus({
      base: undefined,
      files: files({ a: "1" }),
      message: "x",
    });
    assert.equal(outcome.kind, "terminal");
    assert.match("reason" in outcome ? outcome.reason : "", /hook declined.*is protected/);
  }));

Deno.test("a push that is cut off after it happened is ok", () =>
  Lab.with(async (lab) => {
    await lab.hook("post-receive", "sleep 20");
    const state = lab.open({ networkMs: 1500 });
    const outcome = await state.commitStatus({
      base: undefined,
      files: files({ a: "1" }),
      message: "x",
    });
    assert.equal(valueOf(outcome), await lab.head("ugro/status"));
    assert.equal(valueOf(await state.refresh()).status, valueOf(outcome));
  }));

Deno.test("a push that is cut off before it happened may still arrive: unknown", () =>
  Lab.with(async (lab) => {
    await lab.hook("pre-receive", "exec sleep 20");
    const state = lab.open({ networkMs: 1500 });
    const commit = { base: undefined, files: files({ a: "1" }), message: "x" };
    assert.equal((await state.commitStatus(commit)).kind, "unknown");
    assert.equal(await lab.head("ugro/status"), undefined);
  }));

Deno.test("a push after which nobody can look is unknown", () =>
  Lab.with(async (lab) => {
    await lab.hook("post-receive", `mv ${lab.remote} ${lab.remote}.gone; sleep 20`);
    const state = lab.open({ networkMs: 1500 });
    const commit = { base: undefined, files: files({ a: "1" }), message: "x" };
    assert.equal((await state.commitStatus(commit)).kind, "unknown");
  }));

Deno.test("close ends a refresh in flight as unknown", () =>
  Lab.with(async (lab) => {
    const state = lab.open();
    const refreshing = state.refresh();
    await state.close();
    assert.equal((await refreshing).kind, "unknown");
    assert.equal((await state.refresh()).kind, "unknown");
  }));

Deno.test("names of branches and authors are checked", () =>
  Lab.with((lab) => {
    for (const branch of ["-x", "a..b", "ugro/status", "a b", "x.lock", "", "a//b", "a\n"]) {
      assert.throws(() => lab.open({ branch }), TypeError, branch);
    }
    assert.throws(() => lab.open({ author: "x\ny <a>" }), TypeError);
    return Promise.resolve();
  }));
