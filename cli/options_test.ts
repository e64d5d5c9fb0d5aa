import assert from "node:assert/strict";
import { parseBranch, parseListen, parsePoll, parseRepo, serviceOptions } from "./options.ts";

Deno.test("addresses to listen on", () => {
  assert.deepEqual(parseListen("127.0.0.1:8420"), { hostname: "127.0.0.1", port: 8420 });
  assert.deepEqual(parseListen("[::1]:0"), { hostname: "::1", port: 0 });
  for (const bad of ["8420", ":8420", "host:70000", "::1:80", "a b:1", ""]) {
    assert.throws(() => parseListen(bad), /HOST:PORT/);
  }
});

Deno.test("poll intervals need a unit and are not absurdly short", () => {
  assert.equal(parsePoll("5s"), 5000);
  for (const bad of ["5", "-3m", "0s", "99ms", "soon"]) assert.throws(() => parsePoll(bad));
});

Deno.test("repositories and branches cannot be mistaken for git options", () => {
  assert.equal(parseRepo("git@forge:team/state.git"), "git@forge:team/state.git");
  assert.equal(parseBranch("release/2.1"), "release/2.1");
  assert.throws(() => parseRepo("--upload-pack=x"));
  for (const bad of ["-x", "a..b", "a b", "a.lock", "", "a/"]) {
    assert.throws(() => parseBranch(bad));
  }
});

Deno.test("one pass has no page, and absent options stay absent", () => {
  const raw = {
    repo: "/state",
    branch: "main",
    stateDir: ".ugro",
    listen: { hostname: "127.0.0.1", port: 8420 },
    logLevel: "info",
  } as const;
  const { listen: _, ...rest } = raw;
  assert.deepEqual(serviceOptions(raw, true), { ...rest, once: true, standby: false });
  assert.deepEqual(serviceOptions({ ...raw, poll: 5000 }, false), {
    ...raw,
    pollMs: 5000,
    once: false,
    standby: false,
  });
});
