import assert from "node:assert/strict";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import { DesiredReader } from "./desired.ts";
import { MAX_MANIFEST_BYTES } from "./files.ts";
import { ManifestReader } from "./manifests.ts";
import { cluster } from "./testing/build.ts";

const CLUSTER = "nodes: [{name: n1}]\n";
const JOB = "command: [train]\n";
const DEFAULTS = "config/training_defaults.yaml";

function setUp(files: Readonly<Record<string, string>>) {
  const remote = new SimRemote();
  const repository = new SimRepository(remote);
  remote.push(files);
  const reader = new DesiredReader(repository, {});
  const read = async () => {
    const found = await reader.read(remote.desired);
    const value = found.value;
    return {
      ...found,
      jobs: [...value?.jobs.keys() ?? []],
      invalid: [...value?.invalid.keys() ?? []],
      texts: found.problems.map((p) => `${p.file}: ${p.message}`),
    };
  };
  return { remote, repository, reader, read };
}

Deno.test("the master of an earlier cluster.yaml is this machine when it has its name", async () => {
  const remote = new SimRemote();
  remote.push({
    "cluster.yaml": "cluster: {name: old, master: {hostname: here, ip: 10.0.0.1}}\nworkers: []\n",
  });
  const kinds = [];
  for (const hostname of ["here", "elsewhere"]) {
    const reader = new DesiredReader(new SimRepository(remote), { hostname });
    kinds.push((await reader.read(remote.desired)).value?.cluster.nodes[0]?.connect.kind);
  }
  assert.deepEqual(kinds, ["local", "ssh"]);
});

Deno.test("a second commit reads only what it changed", async () => {
  const { remote, repository, read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": JOB,
    "jobs/team/b.yaml": `${JOB}# b\n`,
  });
  assert.deepEqual((await read()).jobs, ["a", "b"]);
  assert.equal(repository.blobsRead.filter((oid) => oid !== remote.idOf(CLUSTER)).length, 2);
  repository.blobsRead.length = 0;
  remote.edit({ "jobs/c.yaml": `${JOB}# c\n` });
  assert.deepEqual((await read()).jobs, ["a", "c", "b"]);
  assert.deepEqual(repository.blobsRead, [remote.idOf(`${JOB}# c\n`)]);
  repository.blobsRead.length = 0;
  await read();
  assert.deepEqual(repository.blobsRead, [], "an unchanged commit is not read at all");
});

Deno.test("a changed cluster or changed defaults mean that every manifest is understood anew", async () => {
  const { remote, repository, read } = setUp({ "cluster.yaml": CLUSTER, "jobs/a.yaml": JOB });
  await read();
  repository.blobsRead.length = 0;
  remote.edit({ [DEFAULTS]: "training: {epochs: 3}\n" });
  const { value } = await read();
  assert.ok(repository.blobsRead.includes(remote.idOf(JOB)));
  assert.deepEqual(value?.jobs.get("a")?.spec.config["training"], { epochs: 3 });
});

Deno.test("a broken file never blocks another", async () => {
  const { read } = setUp({ "cluster.yaml": CLUSTER, "jobs/a.yaml": JOB, "jobs/b.yaml": "x: [" });
  const found = await read();
  assert.deepEqual([found.jobs, found.invalid], [["a"], ["b"]]);
});

Deno.test("of two files with one name the first counts, and the other is told so", async () => {
  const { read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": JOB,
    "jobs/b.yaml": `name: a\n${JOB}`,
  });
  const found = await read();
  assert.equal(found.value?.jobs.get("a")?.file, "jobs/a.yaml");
  assert.deepEqual(found.texts, ["jobs/b.yaml: the name a is taken by jobs/a.yaml"]);
  assert.deepEqual(found.invalid, ["b"], "the jobs of that file are left alone, not deleted");
});

Deno.test("symlinks, submodules and files that are too large are problems, not manifests", async () => {
  const { remote, read } = setUp({ "cluster.yaml": CLUSTER });
  remote.edit({
    "jobs/link.yaml": { text: "../cluster.yaml", mode: "120000" },
    "jobs/module.yaml": { text: "", mode: "160000" },
    "jobs/large.yaml": `${JOB}#${"x".repeat(MAX_MANIFEST_BYTES)}`,
  });
  const found = await read();
  assert.deepEqual(found.jobs, []);
  assert.deepEqual(found.invalid.toSorted(), ["large", "link", "module"]);
});

Deno.test("a broken cluster.yaml keeps the last good cluster, and so does a deleted one", async () => {
  const { remote, read } = setUp({ "cluster.yaml": CLUSTER, "jobs/a.yaml": JOB });
  await read();
  for (const text of ["nodes: 7\n", undefined]) {
    remote.edit({ "cluster.yaml": text });
    const found = await read();
    assert.deepEqual(found.value?.cluster.nodes.map((n) => n.name), ["n1"]);
    assert.deepEqual(found.jobs, ["a"]);
    assert.match(found.texts[0] ?? "", /^cluster.yaml: /);
  }
});

Deno.test("without any valid cluster nothing is desired, and the problem is told", async () => {
  const found = await setUp({ "jobs/a.yaml": JOB }).read();
  assert.equal(found.value, undefined);
  assert.deepEqual(found.texts, ["cluster.yaml: the repository has no cluster.yaml"]);
});

Deno.test("broken defaults: the last good ones stay in force; without any, jobs wait as invalid", async () => {
  const { remote, read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": JOB,
    [DEFAULTS]: "training: 7\n",
  });
  const first = await read();
  assert.deepEqual([first.jobs, first.invalid, first.value?.empty], [[], ["a"], false]);
  remote.edit({ [DEFAULTS]: "training: {epochs: 3}\n" });
  assert.deepEqual((await read()).jobs, ["a"]);
  remote.edit({ [DEFAULTS]: "training: 7\n" });
  const third = await read();
  assert.deepEqual(third.value?.jobs.get("a")?.spec.config["training"], { epochs: 3 });
});

Deno.test("a problem that many manifests wait for is told once", async () => {
  const { read } = setUp({
    "cluster.yaml": CLUSTER,
    [DEFAULTS]: "unheard: {b: 1}\n",
    "jobs/a.yaml": JOB,
    "jobs/b.yaml": JOB,
  });
  const found = await read();
  assert.deepEqual(found.invalid, ["a", "b"]);
  assert.deepEqual(found.texts, [`${DEFAULTS}: unknown key \`unheard\``]);
});

Deno.test("code that cannot be fetched now makes a job invalid only until it can", async () => {
  const { repository, read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": `script: t.py\ncode: {git: "https://x.example/y", rev: main}\n`,
  });
  repository.codeUnreachable = true;
  assert.deepEqual((await read()).invalid, ["a"]);
  repository.codeUnreachable = false;
  assert.deepEqual((await read()).jobs, ["a"]);
});

Deno.test("a desired branch that vanishes keeps what was known in force", async () => {
  const { remote, reader, read } = setUp({ "cluster.yaml": CLUSTER, "jobs/a.yaml": JOB });
  const before = await read();
  const gone = await reader.read(undefined);
  assert.equal(gone.value, before.value);
  assert.equal(gone.notes.length, 1);
  assert.equal((await reader.read(undefined)).notes.length, 0, "told once");
  remote.edit({ "jobs/b.yaml": JOB });
  assert.deepEqual((await read()).jobs, ["a", "b"]);
});

Deno.test("a desired branch that was never there is a problem with words", async () => {
  const { reader } = setUp({});
  const found = await reader.read(undefined);
  assert.equal(found.value, undefined);
  assert.match(found.problems[0]?.message ?? "", /does not exist/);
});

Deno.test("no manifest at all is an empty branch; a broken one is not", async () => {
  const { remote, read } = setUp({ "cluster.yaml": CLUSTER });
  assert.equal((await read()).value?.empty, true);
  remote.edit({ "jobs/a.yaml": "[" });
  assert.equal((await read()).value?.empty, false);
});

const MANY = "command: [train]\narray: 3\n";

Deno.test("a manifest of many jobs gives them all, with its warnings once", async () => {
  const { read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/sweep.yaml": `${MANY}secrets: {A: {age: a.age}}\n`,
  });
  const found = await read();
  assert.deepEqual(found.jobs, ["sweep-0", "sweep-1", "sweep-2"]);
  const jobs = [...found.value?.jobs.values() ?? []];
  assert.deepEqual(new Set(jobs.map(({ file }) => file)), new Set(["jobs/sweep.yaml"]));
  assert.equal(new Set(jobs.map(({ specDigest }) => specDigest)).size, 3);
  assert.deepEqual(found.texts, ["jobs/sweep.yaml: no file `a.age` in the state repository"]);
});

Deno.test("a job of many whose name is taken is left out and told; the others are fine", async () => {
  const { read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": `name: sweep-1\n${JOB}`,
    "jobs/sweep.yaml": MANY,
  });
  const found = await read();
  assert.deepEqual(found.jobs, ["sweep-1", "sweep-0", "sweep-2"]);
  assert.equal(found.value?.jobs.get("sweep-1")?.file, "jobs/a.yaml");
  assert.deepEqual(found.texts, ["jobs/sweep.yaml: the name sweep-1 is taken by jobs/a.yaml"]);
  assert.equal(found.value?.invalid.get("sweep")?.file, "jobs/sweep.yaml");
});

Deno.test("the name of a manifest of many jobs is taken, too: others wait for it by that", async () => {
  const first = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": `name: sweep\n${MANY}`,
    "jobs/sweep.yaml": JOB,
  });
  const found = await first.read();
  assert.deepEqual(found.jobs, ["sweep-0", "sweep-1", "sweep-2"]);
  assert.deepEqual(found.texts, ["jobs/sweep.yaml: the name sweep is taken by jobs/a.yaml"]);
  const second = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": `name: sweep\n${JOB}`,
    "jobs/sweep.yaml": MANY,
  });
  const other = await second.read();
  assert.deepEqual(other.jobs, ["sweep"]);
  assert.deepEqual(other.texts, ["jobs/sweep.yaml: the name sweep is taken by jobs/a.yaml"]);
});

Deno.test("jobs that wait for each other are a problem, and blocked; those of a broken file are no mistake", async () => {
  const { read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a.yaml": `${JOB}after: b\n`,
    "jobs/b.yaml": `${JOB}after: a\n`,
    "jobs/c.yaml": `${JOB}after: [sweep-1, nobody]\n`,
    "jobs/sweep.yaml": "[",
  });
  const found = await read();
  assert.deepEqual(found.texts.slice(1), [
    "jobs/a.yaml: it waits for itself: `after: a → b → a`",
    "jobs/c.yaml: `after`: no job is named `nobody`",
  ]);
  const blocked = { reason: "DependencyCycle", message: "it waits for itself: a → b → a" };
  assert.deepEqual(found.value?.jobs.get("b")?.blocked, blocked);
  assert.equal(found.value?.jobs.get("c")?.blocked, undefined);
});

Deno.test("broken files are all kept, whatever their names: the jobs seen in them are not deleted", async () => {
  const { read } = setUp({
    "cluster.yaml": CLUSTER,
    "jobs/a/x.yaml": JOB,
    "jobs/b/x.yaml": "[",
    "jobs/c/x.yaml": "[",
  });
  const { value } = await read();
  assert.deepEqual([...value?.jobs.keys() ?? []], ["x"]);
  const files = [...value?.invalid.values() ?? []].map(({ file }) => file);
  assert.deepEqual(files.sort(), ["jobs/b/x.yaml", "jobs/c/x.yaml"]);
  for (const name of value?.invalid.keys() ?? []) assert.match(name, /^x-file-\d$/);
});

Deno.test("a file whose jobs would be too many is not understood: none of its jobs is deleted", async () => {
  const remote = new SimRemote();
  remote.push({ "jobs/a.yaml": MANY, "jobs/b.yaml": MANY, "jobs/c.yaml": JOB });
  const repository = new SimRepository(remote);
  const files = await repository.listTree(remote.desired ?? "");
  const set = {
    commit: remote.desired ?? "",
    entries: files,
    files,
    cluster: cluster(["n1"]),
    defaults: {},
    context: "",
    blocked: undefined,
  };
  repository.blobsRead.length = 0;
  const few = await new ManifestReader(repository, 1).read(set);
  assert.deepEqual(few.map(({ kind }) => kind), ["invalid", "invalid", "invalid"]);
  assert.deepEqual(repository.blobsRead, [remote.idOf(MANY)], "files past the limit are not read");
  const reader = new ManifestReader(repository, 4);
  for (let i = 0; i < 2; i++) {
    const read = await reader.read(set);
    const shown = read.map((m) => m.kind === "job" ? m.job.spec.name : `${m.name} ${m.kind}`);
    assert.deepEqual(shown, ["a-0", "a-1", "a-2", "b invalid", "c"]);
    const [problem] = read[3]?.problems ?? [];
    assert.equal(problem?.message, "with its jobs there are more than 4; none of them is read");
  }
});
