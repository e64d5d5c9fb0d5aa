import assert from "node:assert/strict";
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
