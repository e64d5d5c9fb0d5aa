import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab, valueOf } from "./testing.ts";

/** Names and contents in a tar, as the system's tar sees them. */
async function untar(dir: string, tar: Uint8Array): Promise<Map<string, string>> {
  const file = join(dir, "code.tar");
  await Deno.writeFile(file, tar);
  const into = await Deno.makeTempDir({ dir });
  const { code } = await new Deno.Command("tar", { args: ["-xf", file, "-C", into] }).output();
  assert.equal(code, 0);
  const found = new Map<string, string>();
  const walk = async (folder: string) => {
    for await (const entry of Deno.readDir(join(into, folder))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory) await walk(path);
      else if (entry.isSymlink) found.set(path, `-> ${await Deno.readLink(join(into, path))}`);
      else found.set(path, await Deno.readTextFile(join(into, path)));
    }
  };
  await walk("");
  return found;
}

Deno.test("hostile entries are listed as what they are, and read only by size", () =>
  Lab.with(async (lab) => {
    const sub = "1".repeat(40);
    const commit = await lab.commit("main", {
      ".gitattributes": "* filter=lfs export-ignore",
      ".gitmodules": '[submodule "s"]\n\tpath = s\n\turl = ext::sh -c id\n',
      "big": "x".repeat(50_000),
      'jobs/evil\n"name".yaml': "a",
      "jobs/link.yaml": { mode: "120000", text: "/etc/passwd" },
      "jobs/run.yaml": { mode: "100755", text: "b" },
      "jobs/é.yaml": "c",
      "s": { mode: "160000", oid: sub },
    });
    const state = lab.open();
    valueOf(await state.refresh());
    const listing = await state.listTree(commit);
    assert.deepEqual(listing.map(({ mode, path, size }) => `${mode} ${path} ${size}`), [
      "100644 .gitattributes 26",
      "100644 .gitmodules 47",
      "100644 big 50000",
      '100644 jobs/evil\n"name".yaml 1',
      "120000 jobs/link.yaml 11",
      "100755 jobs/run.yaml 1",
      "100644 jobs/é.yaml 1",
      "160000 s 0",
    ]);
    const oids = listing.filter(({ mode }) => mode !== "160000").map(({ oid }) => oid);
    const blobs = await state.readBlobs(oids, 1000);
    assert.equal(blobs.size, 6);
    await assert.rejects(state.readBlobs([sub], 1000), /not in the mirror/);

    assert.equal(await state.treeId(commit, "s"), undefined);
    assert.equal(await state.treeId(commit, "big"), undefined);
    assert.equal(await state.treeId(commit, "../x"), undefined);
    assert.equal(await state.treeId(commit, "none"), undefined);
    assert.equal(await state.treeId(commit, "jobs/"), await state.treeId(commit, "./jobs"));
    await assert.rejects(state.treeId(sub, ""), /not in the mirror/);
    await assert.rejects(state.treeId("HEAD", ""), /not a git object id/);
    const root = await state.treeId(commit, "");
    assert.ok(root !== undefined);
    await assert.rejects(state.archive(root), /"s" is a submodule/);
  }));

Deno.test("an archive holds every file, as committed", () =>
  Lab.with(async (lab) => {
    const commit = await lab.commit("main", {
      "code/.gitattributes": "*.py export-ignore\n*.txt export-subst eol=crlf filter=evil ident\n" +
        "u16 working-tree-encoding=UTF-16\n",
      "code/train.py": "print(1)\n",
      "code/note.txt": "$Format:%H$ $Id$\n",
      "code/deep/é \n.txt": "x",
      "code/u16": "é\n",
      "code/link": { mode: "120000", text: "train.py" },
      "other": "not packed",
    });
    const config = join(lab.dir, "gitconfig");
    const evil =
      `[filter "evil"]\n\tsmudge = false\n\trequired = true\n[core]\n\tautocrlf = true\n`;
    await Deno.writeTextFile(config, evil);
    const state = lab.open({ env: { ...Deno.env.toObject(), GIT_CONFIG_GLOBAL: config } });
    valueOf(await state.refresh());
    const tree = await state.treeId(commit, "code");
    assert.ok(tree !== undefined);
    const { digest, tar } = await state.archive(tree);
    assert.equal(digest, tree);
    const found = await untar(lab.dir, tar);
    assert.equal(found.size, 6);
    assert.equal(found.get("train.py"), "print(1)\n");
    assert.equal(found.get("note.txt"), "$Format:%H$ $Id$\n");
    assert.equal(found.get("deep/é \n.txt"), "x");
    assert.equal(found.get("u16"), "é\n");
    assert.equal(found.get("link"), "-> train.py");
    await assert.rejects(
      lab.open({ mirrorDir: join(lab.dir, "mirror0.git"), maxArchive: 5 }).archive(tree),
      /larger than/,
    );
    await assert.rejects(state.archive("2".repeat(40)), /no mirror holds it/);
  }));

Deno.test("code of another repository is resolved by branch, tag and commit", () =>
  Lab.with(async (lab) => {
    const state = lab.open();
    const first = await lab.commit("dev", { "train.py": "1" });
    const second = await lab.commit("dev", { "train.py": "2" }, first);
    const at = ["--git-dir", lab.remote];
    await lab.git([...at, "tag", "-a", "-m", "x", "v1", first]);
    const tree = (name: string) => lab.git([...at, "rev-parse", `${name}^{tree}`]);
    const resolve = (rev: string, url = lab.remote) => state.resolveCode({ kind: "git", url, rev });

    assert.equal(valueOf(await resolve("dev")), await tree(second));
    assert.equal(valueOf(await resolve("v1")), await tree(first));
    assert.equal(valueOf(await resolve(first)), await tree(first));
    assert.equal(valueOf(await resolve("refs/heads/dev")), await tree(second));
    const third = await lab.commit("dev", { "train.py": "3" }, second);
    assert.equal(valueOf(await resolve("dev")), await tree(third), "a branch is asked for again");
    const packed = await state.archive(await tree(third));
    assert.equal((await untar(lab.dir, packed.tar)).get("train.py"), "3");

    for (const rev of ["-x", "--upload-pack=id", "a..b", "a b", "x@{1}", "", "a:b", "x^{tree}"]) {
      assert.equal((await resolve(rev)).kind, "terminal", rev);
    }
    const none = await resolve("none");
    assert.match("reason" in none ? none.reason : "", /no branch or tag "none"/);
    const short = await resolve(first.slice(0, 8));
    assert.match("reason" in short ? short.reason : "", /in full/);
    assert.equal((await resolve("dev", "ext::sh -c id")).kind, "terminal");
    assert.equal((await resolve("dev", join(lab.dir, "gone.git"))).kind, "retryable");
    const absent = await resolve("1".repeat(40));
    assert.match("reason" in absent ? absent.reason : "", /has no commit "1111/);

    // A known commit needs no remote, also after a restart; nor does packing it.
    await Deno.rename(lab.remote, `${lab.remote}.away`);
    assert.equal((await resolve(first)).kind, "ok");
    assert.equal((await resolve("dev")).kind, "retryable");
    const later = lab.open({ codeDir: join(lab.dir, "mirror0-code") });
    assert.equal(
      valueOf(await later.resolveCode({ kind: "git", url: lab.remote, rev: third })),
      packed.digest,
    );
    assert.equal((await later.archive(packed.digest)).tar.length, packed.tar.length);
  }));

Deno.test("paths on the controller are no code when the state repository is elsewhere", () =>
  Lab.with(async (lab) => {
    await lab.commit("dev", { "train.py": "1" });
    const state = lab.open({ remote: "https://forge.example/lab/state.git" });
    const outcome = await state.resolveCode({ kind: "git", url: lab.remote, rev: "dev" });
    assert.equal(outcome.kind, "terminal");
  }));
