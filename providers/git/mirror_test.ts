import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab, valueOf } from "./testing.ts";

Deno.test("a folder that is not a mirror of ours is left alone", () =>
  Lab.with(async (lab) => {
    const mirrorDir = join(lab.dir, "thesis");
    await Deno.mkdir(mirrorDir);
    await Deno.writeTextFile(join(mirrorDir, "thesis.tex"), "years");
    const outcome = await lab.open({ mirrorDir }).refresh();
    assert.match("reason" in outcome ? outcome.reason : "", /holds other files/);
    assert.equal(await Deno.readTextFile(join(mirrorDir, "thesis.tex")), "years");
    // Not even a git repository of somebody else.
    const theirs = await lab.open({ mirrorDir: lab.remote }).refresh();
    assert.match("reason" in theirs ? theirs.reason : "", /holds other files/);
  }));

Deno.test("a mirror of another remote is made anew", () =>
  Lab.with(async (lab) => {
    await lab.commit("main", { a: "a" });
    const mirrorDir = join(lab.dir, "m");
    valueOf(await lab.open({ mirrorDir }).refresh());
    const other = join(lab.dir, "other.git");
    await lab.git(["init", "--quiet", "--bare", other]);
    const heads = valueOf(await lab.open({ mirrorDir, remote: other }).refresh());
    assert.deepEqual(heads, { desired: undefined, status: undefined, lease: undefined });
  }));

Deno.test("a mirror is reused after a restart, without a fetch", () =>
  Lab.with(async (lab) => {
    const head = await lab.commit("main", { a: "a" });
    const mirrorDir = join(lab.dir, "m");
    const first = lab.open({ mirrorDir });
    valueOf(await first.refresh());
    await first.close();
    await Deno.writeTextFile(join(mirrorDir, "canary"), "");
    assert.equal(valueOf(await lab.open({ mirrorDir }).refresh()).desired, head);
    await Deno.stat(join(mirrorDir, "canary"));
  }));

const damages: Record<string, (dir: string) => Promise<void>> = {
  "its objects are gone": async (dir) => {
    await Deno.remove(join(dir, "objects"), { recursive: true });
    await Deno.mkdir(join(dir, "objects"));
  },
  "the folder is gone": (dir) => Deno.remove(dir, { recursive: true }),
  "HEAD is gone": (dir) => Deno.remove(join(dir, "HEAD")),
  "a ref is garbage": (dir) => Deno.writeTextFile(join(dir, "refs/ugro/desired"), "garbage\n"),
  "its configuration is garbage": (dir) => Deno.writeTextFile(join(dir, "config"), "[[["),
  "objects are truncated": async (dir) => {
    for await (const folder of Deno.readDir(join(dir, "objects"))) {
      if (folder.name.length !== 2) continue;
      for await (const file of Deno.readDir(join(dir, "objects", folder.name))) {
        const path = join(dir, "objects", folder.name, file.name);
        await Deno.remove(path);
        await Deno.writeTextFile(path, "");
      }
    }
  },
};

for (const [name, damage] of Object.entries(damages)) {
  Deno.test(`a damaged mirror makes itself anew: ${name}`, () =>
    Lab.with(async (lab) => {
      const first = await lab.commit("main", { a: "a", b: "b" });
      const mirrorDir = join(lab.dir, "m");
      const state = lab.open({ mirrorDir });
      valueOf(await state.refresh());
      const [entry] = await state.listTree(first);
      await damage(mirrorDir);
      const second = await lab.commit("main", { a: "aa", b: "b" }, first);
      // Running: at worst one pass is unknown or fails to read, then it is whole again.
      let read: number | undefined;
      for (let pass = 0; pass < 3 && read === undefined; pass++) {
        const heads = await state.refresh();
        if (heads.kind !== "ok") continue;
        assert.equal(heads.value.desired, second);
        try {
          const oids = (await state.listTree(second)).map(({ oid }) => oid);
          read = (await state.readBlobs(oids, 100)).size;
        } catch {
          // The next pass.
        }
      }
      assert.equal(read, 2);
      assert.ok(entry !== undefined);
      // Started: whole at once.
      await state.close();
      await damage(mirrorDir);
      const restarted = lab.open({ mirrorDir });
      assert.equal(valueOf(await restarted.refresh()).desired, second);
      assert.equal((await restarted.listTree(second)).length, 2);
    }));
}

Deno.test("a lock that a killed git left behind is removed once it is old", () =>
  Lab.with(async (lab) => {
    await lab.commit("main", { a: "a" });
    const mirrorDir = join(lab.dir, "m");
    const state = lab.open({ mirrorDir, networkMs: 5000 });
    valueOf(await state.refresh());
    const lock = join(mirrorDir, "refs/ugro/desired.lock");
    await Deno.writeTextFile(lock, "");
    const head = await lab.commit("main", { a: "b" });
    assert.equal((await state.refresh()).kind, "unknown");
    await Deno.utime(lock, 0, 0);
    assert.equal(valueOf(await state.refresh()).desired, head);
  }));

Deno.test("hooks, templates and attributes on our side do nothing", () =>
  Lab.with(async (lab) => {
    await lab.commit("main", { a: "a" });
    const ran = join(lab.dir, "ran");
    const hooks = join(lab.dir, "hooks");
    await Deno.mkdir(join(lab.dir, "template/hooks"), { recursive: true });
    await Deno.mkdir(hooks);
    for (const folder of [hooks, join(lab.dir, "template/hooks")]) {
      for (const hook of ["pre-push", "reference-transaction", "post-update"]) {
        await Deno.writeTextFile(join(folder, hook), `#!/bin/sh\necho ${hook} >> ${ran}\n`, {
          mode: 0o755,
        });
      }
    }
    const config = join(lab.dir, "gitconfig");
    await Deno.writeTextFile(
      config,
      `[core]\n\thooksPath = ${hooks}\n\tfsmonitor = touch ${ran}\n` +
        `[init]\n\ttemplateDir = ${join(lab.dir, "template")}\n[push]\n\tfollowTags = true\n` +
        `[filter "evil"]\n\tsmudge = touch ${ran}\n\tclean = touch ${ran}\n`,
    );
    const state = lab.open({ env: { ...Deno.env.toObject(), GIT_CONFIG_GLOBAL: config } });
    const head = valueOf(await state.refresh()).desired ?? "";
    // The remote is a folder here: its own git runs its own hooks, under the same configuration.
    await Deno.remove(config);
    await state.archive(await state.treeId(head, "") ?? "");
    valueOf(
      await state.commitStatus({ base: undefined, files: new Map([["a", "b"]]), message: "x" }),
    );
    await assert.rejects(Deno.stat(ran), Deno.errors.NotFound);
  }));
