import assert from "node:assert/strict";
import { ugro, withFiles } from "./testing.ts";

const cluster = "nodes:\n  - name: gpu1\n";
const job = "script: scripts/train.py\n";

Deno.test("a valid folder is fine, and nothing goes to stdout", async () => {
  const files = { "cluster.yaml": cluster, "jobs/team/hello.yaml": job, "scripts/train.py": "" };
  await withFiles(files, async (folder) => {
    assert.deepEqual(await ugro("validate", folder), { code: 0, out: "", err: "2 files: fine" });
  });
});

Deno.test("all problems of all files are told with their places", async () => {
  const files = {
    "cluster.yaml": cluster,
    "config/training_defaults.yaml": "trainig: {}\n",
    "jobs/a.yaml": `${job}resources:\n  nodes: 0\n`,
    "jobs/b.yaml": `${job}priorty: high\n`,
    "scripts/train.py": "",
  };
  await withFiles(files, async (folder) => {
    const { code, out, err } = await ugro("validate", folder);
    assert.equal(code, 1);
    const lines = out.split("\n");
    assert.equal(lines.length, 3);
    assert.match(lines[0] ?? "", /^config\/training_defaults\.yaml:1:1: .*training/);
    assert.match(lines[1] ?? "", /^jobs\/a\.yaml:3:10: .*nodes/);
    assert.match(lines[2] ?? "", /^jobs\/b\.yaml:2:1: .*priority/);
    assert.equal(err, "4 files: 3 problems");
  });
});

Deno.test("a file may be named: the others are read, but not reported", async () => {
  const files = {
    "cluster.yaml": cluster,
    "jobs/a.yaml": `${job}resources:\n  nodes: 0\n`,
    "jobs/b.yaml": job,
    "scripts/train.py": "",
  };
  await withFiles(files, async (folder) => {
    assert.equal((await ugro("validate", `${folder}/jobs/b.yaml`)).code, 0);
    const { code, out } = await ugro("validate", `${folder}/jobs`);
    assert.equal(code, 1);
    assert.match(out, /^jobs\/a\.yaml:3:10:/);
  });
});

Deno.test("two jobs of one name are a problem of the second", async () => {
  const files = {
    "cluster.yaml": cluster,
    "jobs/a/hello.yaml": job,
    "jobs/b/hello.yaml": job,
    "scripts/train.py": "",
  };
  await withFiles(files, async (folder) => {
    const { code, out } = await ugro("validate", folder);
    assert.equal(code, 1);
    assert.match(out, /^jobs\/b\/hello\.yaml:1:1: the job `hello` is in jobs\/a\/hello\.yaml/);
  });
});

Deno.test("a folder without a cluster.yaml is told what it lacks", async () => {
  await withFiles({ "jobs/a.yaml": job }, async (folder) => {
    const { code, err } = await ugro("validate", folder);
    assert.equal(code, 1);
    assert.match(err, /has a cluster\.yaml/);
  });
});

Deno.test("a file name with terminal escapes is printed without them", async () => {
  const files = { "cluster.yaml": cluster, "jobs/a\x1b[31m.yaml": "nope: 1\n" };
  await withFiles(files, async (folder) => {
    const { code, out } = await ugro("validate", folder);
    assert.equal(code, 1);
    assert.match(out, /^jobs\/a\\u001b\[31m\.yaml:/);
  });
});

Deno.test("a manifest of many jobs tells how many it makes", async () => {
  const files = {
    "cluster.yaml": cluster,
    "jobs/sweep.yaml": `${job}matrix: {seed: [1, 2], optim: [adam, sgd]}\n`,
    "jobs/one.yaml": `${job}array: 1\n`,
    "scripts/train.py": "",
  };
  await withFiles(files, async (folder) => {
    const { code, out, err } = await ugro("validate", folder);
    assert.deepEqual([code, out], [0, ""]);
    assert.deepEqual(err.split("\n"), [
      "jobs/one.yaml: 1 job (one-0)",
      "jobs/sweep.yaml: 4 jobs (sweep-adam-1, sweep-sgd-1, sweep-adam-2, …)",
      "3 files: fine",
    ]);
    assert.equal((await ugro("validate", `${folder}/jobs/one.yaml`)).err.split("\n").length, 2);
  });
});

Deno.test("jobs that wait for each other, or for nobody, are found before they are pushed", async () => {
  const files = {
    "cluster.yaml": cluster,
    "jobs/a.yaml": `${job}after: b\n`,
    "jobs/b.yaml": `${job}after: a\n`,
    "jobs/c.yaml": `${job}after: d\n`,
    "scripts/train.py": "",
  };
  await withFiles(files, async (folder) => {
    const { code, out, err } = await ugro("validate", folder);
    assert.equal(code, 1);
    assert.match(out, /^jobs\/a\.yaml:1:1: it waits for itself: `after: a → b → a`/);
    assert.match(err, /^warning: jobs\/c\.yaml:1:1: `after`: no job is named `d`/);
  });
});
