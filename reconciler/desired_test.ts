import assert from "node:assert/strict";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import { DesiredReader } from "./desired.ts";
import { MAX_MANIFEST_BYTES } from "./files.ts";

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
