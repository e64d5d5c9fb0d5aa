import assert from "node:assert/strict";
import type { NeededSecret } from "../jobs/job.ts";
import { SimRemote, SimRepository } from "../providers/sim/repository.ts";
import { DesiredReader } from "./desired.ts";
import { plan } from "./plan.ts";
import type { SecretRead, SecretStore } from "./ports.ts";
import { readSecrets, SecretCheck } from "./secrets.ts";
import { ended, job, reachable, run, running, world } from "./testing/build.ts";

/** A store with values by `kind:name`; each look is noted. */
class Store implements SecretStore {
  readonly values: Record<string, string> = {};
  readonly asked: NeededSecret[] = [];

  read(secret: NeededSecret): Promise<SecretRead> {
    this.asked.push(secret);
    const { source, blob } = secret;
    const key = "name" in source ? `${source.kind}:${source.name}` : `${source.kind}:${blob}`;
    const value = this.values[key];
    return Promise.resolve(value === undefined ? { why: "does not exist" } : { value });
  }
}

const CLUSTER = "nodes: [{name: n1}]\n";
const manifest = (secrets: string) => `command: [train]\nsecrets: {${secrets}}\n`;

function setUp(files: Readonly<Record<string, string>>) {
  const remote = new SimRemote();
  remote.push({ "cluster.yaml": CLUSTER, ...files });
  const store = new Store();
  const reader = new DesiredReader(new SimRepository(remote), {}, store);
  const read = async () => (await reader.read(remote.desired)).value;
  return { remote, store, read };
}

Deno.test("a job whose secret cannot be had is valid, and blocked with the reason", async () => {
  const { read, store } = setUp({ "jobs/a.yaml": manifest("T: {file: t}, U: {env: U}") });
  const desired = await read();
  assert.equal(desired?.invalid.size, 0);
  assert.deepEqual(desired?.jobs.get("a")?.blocked, {
    reason: "SecretMissing",
    message: "waits for the secret T (the file t of the controller's secrets folder): " +
      "does not exist; and 1 more",
  });
  store.values["file:t"] = "v";
  assert.match((await read())?.jobs.get("a")?.blocked?.message ?? "", /UGRO_SECRET_U\): does not/);
  store.values["env:U"] = "v";
  assert.equal((await read())?.jobs.get("a")?.blocked, undefined, "no commit is needed");
  delete store.values["file:t"];
  assert((await read())?.jobs.get("a")?.blocked, "nor is one when it goes");
});

Deno.test("an unchanged world gives the same object, blocked or not", async () => {
  const { read, store } = setUp({ "jobs/a.yaml": manifest("T: {file: t}") });
  const first = await read();
  assert.equal(await read(), first);
  store.values["file:t"] = "v";
  const second = await read();
  assert.notEqual(second, first);
  assert.equal(await read(), second);
  store.values["file:t"] = "another value";
  assert.equal(await read(), second, "a new value changes nothing that is decided");
});

Deno.test("jobs that name the same source ask once a pass", async () => {
  const { read, store } = setUp({
    "jobs/a.yaml": manifest("T: {file: t}"),
    "jobs/b.yaml": manifest("OTHER: {file: t}"),
    "jobs/c.yaml": "command: [train]\n",
  });
  await read();
  assert.equal(store.asked.length, 1);
});

Deno.test("an encrypted file is named by its blob at the commit; a link is none", async () => {
  const { remote, read, store } = setUp({
    "jobs/a.yaml": manifest("T: {age: secrets/t.age}"),
    "secrets/t.age": "one",
  });
  store.values[`age:${remote.idOf("one")}`] = "v";
  assert.equal((await read())?.jobs.get("a")?.blocked, undefined);
  remote.edit({ "secrets/t.age": "two" });
  const blocked = (await read())?.jobs.get("a");
  assert.deepEqual(blocked?.secrets?.[0]?.blob, remote.idOf("two"));
  assert(blocked?.blocked);
  remote.edit({ "secrets/t.age": undefined });
  assert.equal((await read())?.jobs.get("a")?.secrets?.[0]?.blob, undefined);
});

Deno.test("a controller without a store has no secrets, and says so", async () => {
  const secrets: NeededSecret[] = [{ name: "T", source: { kind: "env", name: "T" } }];
  const read = await readSecrets({ ...job("a"), secrets }, undefined);
  assert("missing" in read);
  assert.match(read.missing, /^the secret T \(.*\): this controller was started without secrets$/);
  assert.deepEqual(await readSecrets(job("a"), undefined), { values: {} });
});

Deno.test("without secrets nothing is looked at", async () => {
  const { read } = setUp({ "jobs/a.yaml": "command: [train]\n" });
  const desired = await read();
  assert(desired);
  assert.equal(await new SecretCheck(undefined).mark(desired), desired);
});

const BLOCKED = { reason: "SecretMissing", message: "waits for the secret T: is not set" } as const;

Deno.test("the planner lets a blocked job wait, says why, and gives its place to others", () => {
  const blocked = { ...job("a", { priority: 10 }), blocked: BLOCKED };
  const result = plan(world({ jobs: [blocked, job("b")], nodes: [reachable("n1")] }));
  assert.deepEqual(result.actions.map((a) => a.kind === "launch" && a.job.spec.name), ["b"]);
  assert.deepEqual(result.waiting[0], { job: "a", ...BLOCKED });
  const status = result.statuses.get("a");
  assert.deepEqual([status?.phase, status?.reason], ["Pending", "SecretMissing"]);
  assert.equal(status?.message, BLOCKED.message);
});

Deno.test("a job that runs goes on while its secret is missing; only its retry waits", () => {
  const blocked = { ...job("a"), blocked: BLOCKED };
  const history = [running("a", ["n1"])];
  const live = reachable("n1", { runs: [run("a", 1, 0, ["n1"])] });
  const goesOn = plan(world({ jobs: [blocked], history, nodes: [live] }));
  assert.deepEqual(goesOn.actions, []);
  assert.equal(goesOn.statuses.get("a")?.phase, "Running");
  const over = reachable("n1", { runs: [run("a", 1, 0, ["n1"], ended(1))] });
  const failed = plan(world({ jobs: [blocked], history, nodes: [over] }));
  assert.deepEqual(failed.actions, []);
  const status = failed.statuses.get("a");
  assert.deepEqual([status?.phase, status?.reason], ["Recovering", "SecretMissing"]);
});
