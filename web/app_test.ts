import assert from "node:assert/strict";
import { plan } from "../reconciler/plan.ts";
import { job, reachable, run, running, world } from "../reconciler/testing/build.ts";
import { app, type Surface } from "./app.ts";

function surface(changes: Partial<Surface> = {}) {
  let hints = 0;
  const stats = { passes: 1, mutations: 0, commits: 0, errors: 0, lastPassMs: 1 };
  const routes = app({
    snapshot: () => undefined,
    stats: () => stats,
    hint: () => hints++,
    ...changes,
  });
  return { routes, hints: () => hints };
}

Deno.test("a webhook only means: look now, whatever its body says", async () => {
  const { routes, hints } = surface();
  const answer = await routes.request("/hooks/git", { method: "POST", body: "{".repeat(1000) });
  assert.deepEqual([answer.status, await answer.text(), hints()], [202, "", 1]);
});

Deno.test("health tells a start from a standby", async () => {
  const starting = await surface().routes.request("/healthz");
  assert.deepEqual([starting.status, await starting.text()], [
    503,
    "starting: nothing is known yet\n",
  ]);
  const standby = surface({ stats: () => undefined }).routes;
  assert.equal((await standby.request("/healthz")).status, 200);
  assert.deepEqual(await (await standby.request("/api/stats")).json(), { standby: true });
});

Deno.test("on the loopback it answers to the loopback's own names only", async () => {
  const { routes, hints } = surface({ hosts: ["127.0.0.1", "localhost"] });
  assert.equal((await routes.request("http://localhost:8420/api/stats")).status, 200);
  const other = await routes.request("http://evil.example/hooks/git", { method: "POST" });
  assert.deepEqual([other.status, hints()], [421, 0]);
});

Deno.test("the queue tells everything of this moment, guesses as such", async () => {
  const input = world({
    jobs: [job("a", { owner: "eve" }), job("b", { owner: "ada", priority: 3 })],
    history: [running("a", ["n1"])],
    nodes: [reachable("n1", { runs: [run("a", 1, 0, ["n1"])] })],
  });
  const { routes } = surface({ snapshot: () => ({ ...input, plan: plan(input) }) });
  const answer = await routes.request("/api/queue");
  const { waiting, queues, users } = await answer.json();
  assert.equal(waiting.length, 1);
  const { expected, submittedAt, ...waits } = waiting[0];
  assert.deepEqual([expected.basis, typeof expected.atMs, typeof submittedAt], [
    "guess",
    "number",
    "string",
  ]);
  assert.deepEqual(waits, {
    position: 1,
    job: "b",
    reason: "Resources",
    message: "0 of 1 node(s) found. n1: a (1 of 1 GPUs)",
    ahead: 0,
    numbers: { nodes: 1, gpusPerNode: 1, suited: 1, fitting: 0 },
    queue: "default",
    owner: "ada",
    priority: 3,
    needs: "1 node(s) with 1 GPU(s)",
  });
  assert.deepEqual(queues, [{ name: "default", priority: 0, gpus: 1 }]);
  assert.deepEqual([users[0].name, users[0].gpus, users[0].share], ["eve", 1, 1]);
  assert.ok(users[0].decayedGpuHours > 0 && users[0].score > users[0].decayedGpuHours);
});

Deno.test("before the first pass, and on a standby, nobody is known to wait", async () => {
  const answer = await surface().routes.request("/api/queue");
  assert.deepEqual(await answer.json(), { waiting: [], queues: [], users: [] });
});
