/**
 * A state repository made by somebody who means harm, read through real git: nothing outside it is
 * read, and the good files in it still count.
 *
 * @module
 */
import assert from "node:assert/strict";
import { checkFolder } from "../../cli/validate.ts";
import { openFolder } from "../../cli/state_folder.ts";
import { printed, withFiles } from "../../cli/testing.ts";
import { validate } from "../../cli/validate.ts";
import { formatProblem } from "../../cluster/problem.ts";
import { Lab, valueOf } from "../../providers/git/testing.ts";
import { type DesiredRead, DesiredReader } from "../../reconciler/desired.ts";
import { corpus } from "./harness.ts";
import { assertClean, HOSTILE_TEXTS } from "./hostile.ts";

type Entry = string | { mode: string; text?: string; oid?: string };

const CLUSTER = "nodes: [{name: n1, project: /p}]\n";
const GOOD = "command: [good]\n";
const EVIL = "command: [evil]\n";
const LINK = (target: string): Entry => ({ mode: "120000", text: target });
const MODULE: Entry = { mode: "160000", oid: "1".repeat(40) };

/** A commit that is read through the mirror, as the service does. */
async function readCommit(lab: Lab, files: Record<string, Entry>): Promise<DesiredRead> {
  const commit = await lab.commit("main", files);
  const repository = lab.open();
  assert.equal(valueOf(await repository.refresh()).desired, commit);
  const read = await new DesiredReader(repository, { env: {} }).read(commit);
  for (const problem of read.problems) assertClean(formatProblem(problem));
  return read;
}

/** What must hold of every repository here: the good job is there, and nothing evil is. */
function assertOnlyGood({ value }: DesiredRead, ...others: string[]): void {
  assert.ok(value, "there is a cluster");
  assert.deepEqual([...value.jobs.keys()].sort(), ["good", ...others].sort());
  for (const { spec } of value.jobs.values()) {
    assert.doesNotMatch(JSON.stringify(spec.program), /evil|root:/);
  }
}

/** Good files with others among them. */
const among = (files: Record<string, Entry>): Record<string, Entry> => ({
  "cluster.yaml": CLUSTER,
  "jobs/good.yaml": GOOD,
  ...files,
});

const TREES: Readonly<Record<string, Record<string, Entry>>> = {
  "links to files outside": among({
    "jobs/passwd.yaml": LINK("/etc/passwd"),
    "jobs/up.yaml": LINK("../../../../etc/passwd"),
    "jobs/self.yaml": LINK("self.yaml"),
    "config/training_defaults.yaml": GOOD.replace("command", "model").replace("[good]", "{a: 1}"),
  }),
  "links to folders": among({
    "jobs/folder": LINK("/etc"),
    evil: LINK("/"),
    "scripts": LINK(".."),
  }),
  "submodules": among({ "jobs/module.yaml": MODULE, "jobs/more": MODULE, module: MODULE }),
  "a submodule in place of a manifest's folder": {
    "cluster.yaml": CLUSTER,
    "jobs/good.yaml": GOOD,
    "jobs/sub/x": MODULE,
    ".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c id\n',
  },
  "a folder that is called as a manifest": among({ "jobs/x.yaml/readme": EVIL }),
  "attributes that run filters": among({
    ".gitattributes":
      "* filter=evil diff=evil export-subst export-ignore working-tree-encoding=UTF-16\n",
    ".gitconfig": '[filter "evil"]\n\tsmudge = touch /tmp/pwned\n',
  }),
  "files of 50 MB": among({
    "jobs/large.yaml": "#".repeat(50_000_000),
    "x.bin": "y".repeat(9_000_000),
  }),
  "case twins": among({ "jobs/Good.yaml": EVIL.replace("evil", "twin") }),
  "manifests in depth": among({ [`jobs/${"d/".repeat(300)}x.yaml`]: "x: [" }),
  "names that are options or lead elsewhere": among({
    "jobs/--upload-pack=id.yaml": "x: 1",
    "jobs/-x.yaml": "x: 1",
    "jobs/...yaml": "x: 1",
    "jobs/.yaml": "x: 1",
    "jobs/ .yaml": "x: 1",
    "jobs/$(id).yaml": "x: 1",
  }),
  "git's own names": among({ "jobs/git~1.yaml": "x: 1", "hooks/post-checkout": "touch /tmp/x" }),
};

corpus("state repositories", TREES, async (files, name) => {
  await Lab.with(async (lab) => {
    const read = await readCommit(lab, files);
    assertOnlyGood(read);
    if (name.startsWith("links to files")) assert.equal(read.problems.length, 3);
    if (name.startsWith("files of")) {
      assert.match(read.problems[0]?.message ?? "", /50000000 bytes/);
    }
  });
});

corpus<Record<string, Entry>>("a cluster.yaml that is none", {
  "a link": { "cluster.yaml": LINK("/etc/passwd"), "jobs/good.yaml": GOOD },
  "a link to a good file": { "cluster.yaml": LINK("real.yaml"), "real.yaml": CLUSTER },
  "a submodule": { "cluster.yaml": MODULE, "jobs/good.yaml": GOOD },
  "a folder": { "cluster.yaml/x": CLUSTER, "jobs/good.yaml": GOOD },
  "2 MB": { "cluster.yaml": "#".repeat(2_000_000), "jobs/good.yaml": GOOD },
  "of another case": { "Cluster.yaml": CLUSTER, "jobs/good.yaml": GOOD },
  "no file at all": { "README.md": "" },
}, async (files) => {
  await Lab.with(async (lab) => {
    const read = await readCommit(lab, files);
    assert.equal(read.value, undefined);
    assert.equal(read.problems[0]?.file, "cluster.yaml");
    // What was known stays in force.
    const repository = lab.open();
    const reader = new DesiredReader(repository, { env: {} });
    const good = await lab.commit("main", among({}));
    await repository.refresh();
    assertOnlyGood(await reader.read(good));
    const bad = await lab.commit("main", { ...files, "jobs/good.yaml": GOOD });
    await repository.refresh();
    assertOnlyGood(await reader.read(bad));
  });
});

corpus(
  "state repositories of many files",
  { "10,000 manifests, half of them broken": 10_000 },
  async (count) => {
    await Lab.with(async (lab) => {
      const files = Object.fromEntries(
        Array.from({ length: count }, (_, i) =>
          [
            `jobs/d${i % 100}/j${i}.yaml`,
            i % 2 === 0 ? "command: [x]\n" : "command: [\n",
          ] as const),
      );
      const { value, problems } = await readCommit(lab, among(files));
      assert.equal(value?.jobs.size, count / 2 + 1);
      assert.ok(problems.length <= 1000);
    });
  },
);

/** `fast-import` takes paths of any bytes. */
async function importPaths(lab: Lab, paths: readonly Uint8Array[]): Promise<string> {
  const head = `commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 0\n` +
    `M 100644 inline cluster.yaml\ndata ${CLUSTER.length}\n${CLUSTER}\n` +
    `M 100644 inline jobs/good.yaml\ndata ${GOOD.length}\n${GOOD}\n`;
  const escaped = paths.map((path) =>
    [...path].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")
  );
  const rest = escaped.map((path) => `M 100644 inline "jobs/${path}.yaml"\ndata 4\nx: 1\n`).join(
    "",
  );
  await lab.git(["--git-dir", lab.remote, "fast-import", "--quiet", "--force"], head + rest);
  return (await lab.head("main"))!;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const bytes = (...texts: readonly string[]) => texts.map((text) => new TextEncoder().encode(text));

corpus<readonly Uint8Array[]>("paths of any bytes", {
  "that are not UTF-8": [
    new Uint8Array([0xff, 0xfe]),
    new Uint8Array([0xc0, 0xaf]),
    new Uint8Array([0xed, 0xa0, 0x80]),
  ],
  "that decode to the same": [new Uint8Array([0xff]), new Uint8Array([0xfe])],
  "with line ends and escapes": bytes("a\nb", "\x1b[2J", "\u202e", "\x9b31m", "\t", "\r", "\x7f"),
  "that are hostile": bytes(
    ...HOSTILE_TEXTS.filter((text) =>
      !/^$|[\0/]/.test(text) && text.isWellFormed() && text.length < 100
    ),
  ),
}, async (paths) => {
  await Lab.with(async (lab) => {
    const commit = await importPaths(lab, paths);
    const repository = lab.open();
    valueOf(await repository.refresh());
    const read = await new DesiredReader(repository, { env: {} }).read(commit);
    assertOnlyGood(read);
    for (const problem of read.problems) assertClean(formatProblem(problem));
    // None is passed over: a job whose file has an odd name would look deleted.
    const told = new Set(read.problems.map((problem) => problem.file));
    const names = new Set(paths.map((path) => `jobs/${decoder.decode(path)}.yaml`));
    assert.deepEqual(told, names);
  });
});

Deno.test("fuzz: ugro validate forges no line and reads no link", async () => {
  const folders = {
    "cluster.yaml": CLUSTER,
    "jobs/a\nb\x1b[2J.yaml": "x: 1\n",
    "jobs/good.yaml": GOOD,
  };
  await withFiles(folders, async (folder) => {
    await Deno.symlink("/etc/passwd", `${folder}/jobs/passwd.yaml`);
    await Deno.symlink("loop.yaml", `${folder}/jobs/loop.yaml`);
    await Deno.writeTextFile(`${folder}/jobs/long.yaml`, `script: ${"x".repeat(300)}\n`);
    await Deno.symlink("loop", `${folder}/loop`);
    await Deno.writeTextFile(`${folder}/jobs/looped.yaml`, "script: loop/x\n");
    const { problems } = await checkFolder(await openFolder(folder));
    assert.ok(problems.every((problem) => !problem.file.includes("passwd")));
    const { out, err, code } = await printed(() => validate([folder]));
    assert.equal(code, 1);
    assertClean(out, true);
    assertClean(err, true);
    for (const line of out.split("\n")) assert.match(line, /^jobs\//);
  });
});
