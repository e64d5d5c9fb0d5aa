/** Two files that claim one name: what runs goes on, whoever came first. */
import assert from "node:assert/strict";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import { DesiredReader } from "./desired.ts";
import { Names } from "./names.ts";
import { plan } from "./plan.ts";
import { job, reachable, run, running, world } from "./testing/build.ts";

const CLUSTER = "nodes:\n  - name: n1\n  - name: n2\n";
const JOB = "command: [train]\n";
const MANY = `${JOB}matrix: {seed: [1, 2]}\n`;

async function read(files: Readonly<Record<string, string>>) {
  const remote = new SimRemote();
  remote.push({ "cluster.yaml": CLUSTER, ...files });
  const { value } = await new DesiredReader(new SimRepository(remote), {}).read(remote.desired);
  assert.ok(value);
  return value;
}

/** What is made of a running job when another file is pushed beside its own. */
async function afterPush(own: string, text: string, names: readonly string[], other: string) {
  const before = await read({ [own]: text });
  const history = names.map((name, i) => {
    const known = running(name, [`n${i + 1}`], { file: own });
    const { parent } = before.jobs.get(name)!.spec;
    const specDigest = before.jobs.get(name)!.specDigest;
    const attempts = known.attempts.map((attempt) => ({ ...attempt, specDigest }));
    return { ...known, attempts, ...(parent === undefined ? {} : { parent }) };
  });
  const nodes = ["n1", "n2"].map((node, i) =>
    reachable(node, { runs: names[i] === undefined ? [] : [run(names[i], 1, 0, [node])] })
  );
  const desired = await read({ [own]: text, "jobs/a.yaml": other });
  assert.equal(desired.problems.length, 1, "it is told");
  const result = plan({ ...world({ history, nodes }), desired });
  return {
    stops: result.actions.filter(({ kind }) => kind === "stop"),
    phases: names.map((name) => result.statuses.get(name)?.phase),
  };
}

Deno.test("a second file with the name of a sweep stops none of the sweep's jobs", async () => {
  const found = await afterPush(
    "jobs/sweep.yaml",
    MANY,
    ["sweep-1", "sweep-2"],
    `name: sweep\n${JOB}`,
  );
  assert.deepEqual(found, { stops: [], phases: ["Invalid", "Invalid"] });
});

Deno.test("a second file with the name of one of its jobs stops and replaces none of them", async () => {
  const other = `name: sweep-1\ncommand: [other]\n`;
  const found = await afterPush("jobs/sweep.yaml", MANY, ["sweep-1", "sweep-2"], other);
  assert.deepEqual(found, { stops: [], phases: ["Invalid", "Running"] });
});

Deno.test("a sweep with the name of a job that runs does not stop it", async () => {
  const found = await afterPush("jobs/train.yaml", JOB, ["train"], `name: train\n${MANY}`);
  assert.deepEqual(found, { stops: [], phases: ["Invalid"] });
});

Deno.test("a second file of another content does not restart the job whose name it claims", async () => {
  const other = "name: train\ncommand: [other]\n";
  const found = await afterPush("jobs/train.yaml", JOB, ["train"], other);
  assert.deepEqual(found, { stops: [], phases: ["Invalid"] });
});

Deno.test("a manifest that is moved while its old file holds something broken runs on", () => {
  const moved = job("train", { file: "jobs/new.yaml" });
  const result = plan(world({
    jobs: [moved],
    invalid: { old: { file: "jobs/train.yaml", problems: [] } },
    history: [running("train", ["n1"])],
    nodes: [reachable("n1", { runs: [run("train", 1, 0, ["n1"])] })],
  }));
  assert.deepEqual(result.actions, []);
  assert.equal(result.statuses.get("train")?.phase, "Running");
  assert.equal(result.statuses.get("train")?.file, "jobs/new.yaml");
});

Deno.test("the first file has a name, and that of a manifest of many jobs with all of them", () => {
  const names = new Names();
  const [one, two] = [job("s-1", { parent: "s" }).spec, job("s-2", { parent: "s" }).spec];
  assert.equal(names.take(one, "jobs/s.yaml"), undefined);
  assert.equal(names.take(two, "jobs/s.yaml"), undefined);
  assert.equal(names.take(job("s").spec, "jobs/b.yaml")?.file, "jobs/s.yaml");
  assert.equal(names.take(two, "jobs/c.yaml")?.name, "s-2");
});
