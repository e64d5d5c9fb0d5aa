/**
 * The page's address and a node's session, with anything at the other end.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseLease, renderLease } from "../../providers/git/lease.ts";
import { FakeClock } from "../../providers/hosts/fixtures/fake_clock.ts";
import { helloReply, observeReply, tailReply } from "../../providers/hosts/replies.ts";
import { Session } from "../../providers/hosts/session.ts";
import type { Lease } from "../../reconciler/ports.ts";
import { plan } from "../../reconciler/plan.ts";
import { job, reachable, status, world } from "../../reconciler/testing/build.ts";
import { app } from "../../web/app.ts";
import { corpus, fuzz } from "./harness.ts";
import { assertClean, hostileJson, hostileText, mutated } from "./hostile.ts";

const encoder = new TextEncoder();

/** A surface that counts its hints. */
function surface(text = "x") {
  const input = world({
    nodes: [reachable("n1")],
    jobs: [job("demo")],
    history: [status("demo", { message: text, owner: text })],
  });
  const snapshot = { ...input, plan: plan(input) };
  const counted = { hints: 0 };
  const stats = { passes: 1, mutations: 0, commits: 0, errors: 0, lastPassMs: 1 };
  const routes = app({
    snapshot: () => snapshot,
    stats: () => stats,
    hint: () => void counted.hints++,
  });
  return { routes, counted };
}

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "FOO"] as const;
const PATHS = [
  "/hooks/git",
  "/healthz",
  "/api/jobs",
  "/api/nodes",
  "/api/queue",
  "/api/stats",
  "/",
  "/x",
];

/** Only visible ASCII can be in a header; what else comes is refused before it reaches us. */
const header = hostileText.map((text) => text.replace(/[^\x20-\x7e]/g, "").trim());

const request = fc.record({
  method: fc.constantFrom(...METHODS),
  path: fc.oneof(
    fc.constantFrom(...PATHS),
    fc.tuple(fc.constantFrom(...PATHS), hostileText).map(([path, text]) =>
      `${path}${text.toWellFormed()}`
    ),
    hostileText.map((text) => `/${encodeURIComponent(text.toWellFormed())}`),
  ),
  body: fc.oneof(hostileText, hostileJson.map((json) => JSON.stringify(json))),
  type: fc.oneof(header, fc.constantFrom("application/json", "text/html", "multipart/form-data")),
  event: header,
  mark: fc.constant("mark-7f3a"),
});

async function assertAnswer(answer: Response, mark: string): Promise<void> {
  assert.ok([200, 202, 400, 404, 405, 413, 503].includes(answer.status), `${answer.status}`);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.equal(answer.headers.get("x-frame-options"), "SAMEORIGIN");
  const text = await answer.text();
  assert.ok(!text.includes(mark), "the request is echoed");
  assert.ok(text.length < 100_000);
  const type = answer.headers.get("content-type") ?? "";
  if (text !== "") assert.match(type, /^(?:application\/json|text\/plain)/);
  for (const [, value] of answer.headers) assertClean(value);
}

fuzz("requests of any kind", 1500, request, async ({ method, path, body, type, event, mark }) => {
  const { routes, counted } = surface();
  const hasBody = method !== "GET" && method !== "HEAD";
  const answer = await routes.request(`http://h${path}?${mark}`, {
    method,
    headers: { "content-type": type, "x-github-event": event, "x-mark": mark },
    ...(hasBody ? { body: `${mark}${body}` } : {}),
  });
  await assertAnswer(answer, mark);
  const hint = method === "POST" && answer.status === 202;
  assert.equal(counted.hints, hint ? 1 : 0);
});

fuzz("what the JSON says", 300, hostileText, async (text) => {
  const { routes } = surface(text);
  const answer = await routes.request("http://h/api/jobs");
  const { jobs } = await answer.json();
  assert.equal(jobs[0].owner ?? text, text);
});

corpus<() => BodyInit>("webhook bodies", {
  "50 MB at once": () => new Uint8Array(50_000_000),
  "a body without an end": () =>
    new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(65_536)) }),
  "a body that breaks": () => new ReadableStream({ pull: (to) => to.error(new Error("gone")) }),
  "a million brackets": () => "[".repeat(1_000_000),
  "a form": () => new URLSearchParams({ payload: "x".repeat(1_000_000) }),
  "bytes that are no text": () => new Uint8Array([0, 255, 254, 192, 128]),
}, async (body) => {
  const { routes, counted } = surface();
  const given = body();
  const answer = await routes.request("http://h/hooks/git", { method: "POST", body: given });
  await assertAnswer(answer, "mark-7f3a");
  assert.equal(answer.status, 202);
  assert.equal(counted.hints, 1);
  if (given instanceof ReadableStream && !given.locked) await given.cancel().catch(() => {});
});

const LEASE: Lease = {
  ...{
    epoch: 7,
    repository: "r1",
    owner: "host:1",
    claim: "c1",
    claimedAt: "2026-01-01T00:00:00Z",
  },
  ...{ beat: 3, watched: true, released: false, standby: { name: "s", owner: "other:2", seen: 1 } },
};

fuzz("leases that somebody changed", 1500, mutated([renderLease(LEASE)]), (bytes) => {
  const lease = parseLease(new TextDecoder().decode(bytes));
  if (!lease) return;
  assert.ok(Number.isSafeInteger(lease.epoch) && lease.epoch >= 0);
  assert.deepEqual(parseLease(renderLease(lease)), lease);
});

/** What a node sends: answers to ids that were asked or not, events, noise, cut anywhere. */
const speech = fc.array(
  fc.oneof(
    fc.record({ id: fc.oneof(fc.integer({ min: 0, max: 5 }), hostileJson), result: hostileJson })
      .map(({ id, result }) => JSON.stringify({ id, ok: true, result })),
    fc.record({ id: fc.nat(5), code: hostileText, message: hostileText })
      .map(({ id, ...error }) => JSON.stringify({ id, ok: false, error })),
    hostileText.map((what) => JSON.stringify({ event: "changed", what })),
    hostileText,
  ),
  { maxLength: 12 },
);

fuzz(
  "sessions with a node that says anything",
  600,
  fc.tuple(speech, fc.integer({ min: 1, max: 400 }), fc.integer({ min: 0, max: 255 })),
  async ([lines, chunk, code]) => {
    const bytes = encoder.encode(lines.join("\n") + "\n");
    const chunks = Array.from(
      { length: Math.ceil(bytes.length / chunk) },
      (_, i) => bytes.slice(i * chunk, (i + 1) * chunk),
    );
    const heard: string[] = [];
    const gate = Promise.withResolvers<void>();
    const session = new Session({
      write: () => {},
      output: new ReadableStream({
        async pull(to) {
          await gate.promise;
          const next = chunks.shift();
          if (next) to.enqueue(next);
          else to.close();
        },
      }),
      stderr: () => "",
      exited: Promise.resolve(code),
      end: () => Promise.resolve(),
    }, {
      clock: new FakeClock(),
      silenceMs: 1000,
      onChanged: (what) => heard.push(what),
      onNoise: (reason) => heard.push(reason),
    });
    const asked = [
      session.ask("hello", {}, helloReply),
      session.ask("observe", {}, observeReply),
      session.ask("tail", {}, tailReply),
    ];
    gate.resolve();
    for (const reply of await Promise.all(asked)) {
      if (reply.kind === "lost" || reply.kind === "unsent") assertClean(reply.reason);
      if (reply.kind === "refused") assertClean(reply.code + reply.message);
    }
    const end = await session.ended;
    assert.equal(end.code, code);
    for (const text of heard) assertClean(text);
    assert.deepEqual((await session.ask("hello", {}, helloReply)).kind, "unsent");
  },
);
