import assert from "node:assert/strict";
import { FakeClock } from "./fixtures/fake_clock.ts";
import type { Pipes } from "./process.ts";
import { codeHasReply } from "./replies.ts";
import { Session } from "./session.ts";

/** A session over pipes in memory: the test plays the runner. */
function open() {
  const clock = new FakeClock();
  const exit = Promise.withResolvers<number>();
  const sent: string[] = [];
  const changes: string[] = [];
  const noise: string[] = [];
  let output!: ReadableStreamDefaultController<Uint8Array>;
  let ends = 0;
  const pipes: Pipes = {
    write: (bytes) => void sent.push(new TextDecoder().decode(bytes)),
    output: new ReadableStream({ start: (controller) => void (output = controller) }),
    stderr: () => "last words",
    exited: exit.promise,
    end: () => Promise.resolve(void ends++),
  };
  const session = new Session(pipes, {
    clock,
    silenceMs: 10_000,
    onChanged: (what) => void changes.push(what),
    onNoise: (reason) => void noise.push(reason),
  });
  const say = (line: string) => output.enqueue(new TextEncoder().encode(line + "\n"));
  const die = (code: number) => (output.close(), exit.resolve(code));
  const has = (patienceMs?: number) => session.ask("code-has", {}, codeHasReply, patienceMs);
  return { session, clock, sent, changes, noise, say, die, has, ends: () => ends };
}

const yes = (id: number) => `{"id":${id},"ok":true,"result":{"has":true}}`;

Deno.test("the source goes first, then requests, and answers find theirs by id", async () => {
  const { session, sent, say, has, die } = open();
  session.start("prïnt");
  const [first, second] = [has(), has()];
  say('{"id":2,"ok":false,"error":{"code":"invalid","message":"no"}}');
  assert.deepEqual(await second, { kind: "refused", code: "invalid", message: "no" });
  say(yes(1));
  assert.deepEqual(await first, { kind: "ok", value: { has: true } });
  assert.deepEqual(sent.slice(0, 3), ["6\n", "prïnt", '{"id":1,"op":"code-has"}\n']);
  die(0);
  await session.ended;
});

Deno.test("an answer of the wrong shape is lost, with what is wrong", async () => {
  const { session, say, has, die } = open();
  const asked = [has(), has()];
  say('{"id":1,"ok":true,"result":{"has":"\\u001b[31mno"}}');
  say('{"id":2,"ok":"what?"}');
  const [shape, frame] = await Promise.all(asked);
  assert.ok(shape?.kind === "lost" && /makes no sense \(has: /.test(shape.reason));
  assert.ok(frame?.kind === "lost" && /not a frame/.test(frame.reason));
  die(0);
  await session.ended;
});

Deno.test("events and noise are told apart from answers, and noise is bounded", async () => {
  const { session, say, has, die, changes, noise } = open();
  for (let i = 0; i < 20; i++) say("motd");
  say('{"event":"changed","what":"run a/1/0 exited"}');
  say('{"id":99,"ok":true,"result":{}}');
  const asked = has();
  say(yes(1));
  await asked;
  assert.deepEqual(changes, ["run a/1/0 exited"]);
  assert.equal(noise.length, 5);
  die(0);
  await session.ended;
});

Deno.test("the end of the process loses what is outstanding and refuses what comes after", async () => {
  const { session, clock, has, die } = open();
  const asked = has();
  die(255);
  assert.equal((await asked).kind, "lost");
  assert.deepEqual(await session.ended, { code: 255, stderr: "last words" });
  assert.equal((await has()).kind, "unsent");
  assert.equal(clock.sleeping, 0);
});

Deno.test("silence ends a session, and other answers do not count as silence", async () => {
  const { session, clock, say, has, ends } = open();
  const first = has();
  await clock.advance(9000);
  const second = has();
  say(yes(2));
  await second;
  await clock.advance(9000);
  assert.equal(ends(), 0);
  await clock.advance(1000);
  assert.equal((await first).kind, "lost");
  assert.equal((await session.ended).because, "no answer for 10 s");
  assert.equal(clock.sleeping, 0);
});

Deno.test("a request that may take longer holds the session open", async () => {
  const { session, clock, has, ends } = open();
  const asked = [has(60_000), has()];
  await clock.advance(59_999);
  assert.equal(ends(), 0);
  await clock.advance(1);
  assert.deepEqual((await Promise.all(asked)).map((reply) => reply.kind), ["lost", "lost"]);
  await session.ended;
});

Deno.test("closing does not wait for whoever still holds the pipes", async () => {
  const { session, clock, has } = open();
  const asked = has();
  await session.close();
  assert.equal((await asked).kind, "lost");
  assert.equal((await session.ended).because, "closed");
  assert.equal(clock.sleeping, 0);
});

Deno.test("a line beyond the bound ends the session", async () => {
  const { session, say } = open();
  say("x".repeat(8 * 1024 * 1024 + 1));
  assert.match((await session.ended).because ?? "", /longer than/);
});
