import assert from "node:assert/strict";
import { jsonLog } from "./log.ts";

function logged(msg: string, fields: Readonly<Record<string, unknown>>) {
  const lines: string[] = [];
  jsonLog("info", (line) => lines.push(line))("warn", msg, fields);
  const [line = ""] = lines;
  return { line, read: JSON.parse(line) };
}

Deno.test("no field takes the place of time, level or message", () => {
  const { read } = logged("true", { level: "debug", msg: "forged", time: 0, node: "n1" });
  assert.equal(read.level, "warn");
  assert.equal(read.msg, "true");
  assert.equal(read.node, "n1");
  assert.ok(Date.parse(read.time) > 0);
});

Deno.test("what JSON cannot say, or what throws, is still a line", () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  const { read } = logged("odd", {
    big: 10n,
    cycle,
    nan: NaN,
    error: new Error("boom"),
    thrower: {
      get x() {
        return assert.fail();
      },
    },
    bytes: new Uint8Array(9),
    toJSON: () => assert.fail(),
  });
  assert.equal(read.big, "10");
  assert.equal(read.nan, "NaN");
  assert.match(read.error, /^Error: boom\n/);
  assert.equal(read.thrower, "(cannot be written)");
  assert.equal(read.bytes, "(9 bytes)");
  assert.equal(read.cycle.self.self.self.self.self, "…");
});

Deno.test("a line has a limit, and no character that a terminal obeys", () => {
  const wide = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`k${i}`, "x".repeat(999)]),
  );
  assert.ok(logged("long", wide).line.length < 10_000);
  const { line, read } = logged("\x1b[2J", { name: "\x9b\u2066\u202e\ud800" });
  assert.doesNotMatch(line, /\p{Cc}|\p{Cf}/u);
  assert.equal(read.name, "\x9b\u2066\u202e\ud800");
});
