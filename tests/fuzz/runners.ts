/**
 * `runner.py` with a controller that sends anything, and with what a job leaves behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { PYTHON, Runner } from "../../providers/hosts/fixtures/runner.ts";
import { batch } from "./harness.ts";
import { hostileJson, hostileNumber, hostileText } from "./hostile.ts";

const path = (url: string) => fileURLToPath(new URL(url, import.meta.url));

/** Fields that an operation takes, with wrong values in some of them. */
const request = fc.record({
  op: fc.oneof(
    fc.constantFrom("observe", "stop", "clean", "code-has", "code-put", "tail", "launch"),
    hostileText,
  ),
  fields: fc.record({
    job: fc.oneof(hostileText, fc.constant("demo"), hostileJson),
    attempt: fc.oneof(fc.constant(1), hostileNumber, hostileJson),
    rank: fc.oneof(fc.constant(0), hostileNumber, hostileJson),
    epoch: fc.oneof(fc.constant(1), fc.constant(0), hostileText, fc.constant(-1)),
    graceMs: fc.oneof(fc.constant(0), hostileNumber, hostileJson),
    reason: hostileText,
    throughAttempt: fc.oneof(fc.constant(1), hostileNumber),
    digest: hostileText,
    sha256: hostileText,
    offset: hostileNumber,
    data: hostileText,
    last: fc.oneof(fc.boolean(), hostileJson),
    local: hostileNumber,
    stream: fc.oneof(fc.constant("stdout"), hostileText),
    bytes: hostileNumber,
    checkpoints: fc.array(
      fc.record({ job: hostileText, dir: hostileText, pattern: hostileText }),
      { maxLength: 2 },
    ),
    // Never a whole one: this is about refusing.
    spec: hostileJson,
  }, { requiredKeys: [] }),
});

const CODES = /^(?:invalid|not-found|conflict|stale-epoch)$/;

batch("requests to the runner", 400, request, async (requests, count) => {
  const workdir = await Deno.makeTempDir({ prefix: "ugro-fuzz-" });
  try {
    await using runner = await Runner.open(workdir);
    for (const { op, fields } of requests) {
      const answer = await runner.ask(op, fields);
      const shown = JSON.stringify({ op, fields, error: answer.error });
      if (!answer.ok) assert.match(answer.error?.code ?? "", CODES, shown);
      count();
    }
    const after = await runner.ask("observe", { checkpoints: [] });
    assert.deepEqual(after.result.runs, []);
    for await (const entry of Deno.readDir(workdir)) {
      assert.match(entry.name, /^(?:epoch|owner\.json|runner|code|runs|checkpoints)/);
    }
  } finally {
    await Deno.remove(workdir, { recursive: true });
  }
});

/** A line that holds no request: whatever it is, the answer is `invalid`, and the session lives. */
const noRequest = fc.oneof(
  hostileText,
  hostileJson.map((json) => JSON.stringify([json])),
  fc.tuple(hostileText, hostileText).map(([a, b]) => `{"id":1,"op":${a}${JSON.stringify(b)}`),
).map((line) => line.replace(/\n/g, " ")).filter((line) => !/^\s*$/.test(line));

batch("lines to the runner", 400, noRequest, async (lines, count) => {
  const workdir = await Deno.makeTempDir({ prefix: "ugro-fuzz-" });
  try {
    await using runner = await Runner.open(workdir);
    for (const line of lines) {
      const answer = await runner.refused(line);
      assert.equal(answer.error?.code, "invalid", JSON.stringify(line));
      count();
    }
    assert.equal((await runner.ask("observe", { checkpoints: [] })).ok, true);
  } finally {
    await Deno.remove(workdir, { recursive: true });
  }
});

const text = (value: string | Uint8Array) => `bytes:${Buffer.from(value).toString("base64")}`;
const json = (value: unknown) => text(JSON.stringify(value));
const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

const message = fc.oneof(
  hostileText,
  hostileJson,
  fc.record({
    message: fc.oneof(hostileText, hostileJson),
    extraInfo: fc.oneof(
      fc.record({ timestamp: fc.oneof(hostileText, hostileNumber.map(String), hostileJson) }),
      hostileJson,
    ),
  }, { requiredKeys: [] }),
);

const errorFile = fc.oneof(
  message.map((message) => json({ message })),
  hostileJson.map(json),
  fc.uint8Array({ maxLength: 60 }).map(text),
  fc.constantFrom(
    "fifo:",
    "link:/dev/zero",
    "link:/etc/passwd",
    "link:error.json",
    "folder:",
    "sparse:2000000000",
    text(deep(100_000)),
    text(`{"message":${deep(100_000)}}`),
    text(`{"message":{"message":${deep(900)}}}`),
    text(`{"message":"x","timestamp":"1e400"}`),
    text(`{"message":{"message":"x","extraInfo":{"timestamp":"nan"}}}`),
    text(`{"message":{"message":"x","extraInfo":{"timestamp":"1e300"}}}`),
    text(`{"message":{"message":"x","extraInfo":{"timestamp":"-5"}}}`),
    text(`{"message":${"9".repeat(5000)}}`),
    text(`{"message":"\\ud800\\u0000\\u001b[2J"}`),
    text(`{"message":"${"x".repeat(1_200_000)}"}`),
  ),
);

const log = fc.oneof(
  hostileText.map(text),
  fc.uint8Array({ maxLength: 60 }).map(text),
  fc.tuple(hostileText, hostileText).map(([a, b]) =>
    text(
      `${a}\nRoot Cause (first observed failure):\n local_rank: ${b}\n exitcode  : -9 (pid: 1)\n`,
    )
  ),
  fc.constantFrom(
    "fifo:",
    "link:/dev/zero",
    "folder:",
    "sparse:2000000000",
    text("Traceback (most recent call last)\n".repeat(100_000)),
    text(`Root Cause (first observed failure):\n local_rank: ${"9".repeat(5000)}\n`),
    text(`Root Cause (first observed failure):\n local_rank: 99999999999999999999\n`),
    text(`Root Cause (first observed failure):\n local_rank: 0\n exitcode ${" ".repeat(60_000)}x`),
    text("\x9b".repeat(200_000)),
  ),
);

const folder = fc.constantFrom("0", "1", "²", "9".repeat(200), "00", "-1", "x", "a\u0301");

const leftBehind = fc.record({
  files: fc.record({ folder, elastic: fc.option(errorFile), agent: fc.option(log), err: log })
    .map(({ folder, elastic, agent, err }) => ({
      ...(elastic ? { [`elastic/none_x/attempt_0/${folder}/error.json`]: elastic } : {}),
      ...(agent ? { "logs/agent.log": agent } : {}),
      "logs/0.err": err,
    })),
  failed: fc.boolean(),
});

interface Told {
  readonly error?: { readonly message: string } | null;
  readonly kept?: boolean;
  readonly threw?: string;
  readonly ms: number;
}

batch("error files and logs", 300, leftBehind, async (cases, count) => {
  const child = new Deno.Command(PYTHON, {
    args: ["-I", "-X", "utf8", path("error_files.py"), path("../../providers/hosts/runner.py")],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  const encoder = new TextEncoder();
  for (const one of cases) await writer.write(encoder.encode(JSON.stringify(one) + "\n"));
  await writer.close();
  const { stdout } = await output;
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(lines.length, cases.length);
  lines.forEach((line, i) => {
    const told: Told = JSON.parse(line);
    const shown = JSON.stringify(cases[i]).slice(0, 500);
    assert.equal(told.threw, undefined, shown);
    assert.ok(told.kept, `an error that the runner itself leaves out: ${shown}`);
    assert.ok((told.error?.message ?? "").length <= 4096, shown);
    assert.ok(told.ms < 3000, `${told.ms} ms: ${shown}`);
    count();
  });
});
