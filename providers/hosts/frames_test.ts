import assert from "node:assert/strict";
import { LineReader, MAX_LINE_BYTES, readFrame, writeFrame } from "./frames.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("lines are put together from pieces of any size", () => {
  const text = '{"a":"größer"}\n\n{"b":2}\nrest';
  for (const size of [1, 2, 3, 7, 100]) {
    const reader = new LineReader();
    const lines: string[] = [];
    const all = bytes(text);
    for (let at = 0; at < all.length; at += size) {
      lines.push(...reader.push(all.subarray(at, at + size)));
    }
    assert.deepEqual(lines, ['{"a":"größer"}', "", '{"b":2}'], `pieces of ${size}`);
  }
});

Deno.test("a line beyond the bound is refused before it is complete", () => {
  const reader = new LineReader(8);
  assert.deepEqual([...reader.push(bytes("12345678\n1234"))], ["12345678"]);
  assert.throws(() => [...reader.push(bytes("56789"))], RangeError);
});

Deno.test("answers, errors and events are read", () => {
  assert.deepEqual(readFrame('{"id":7,"ok":true,"result":{"x":1}}'), {
    kind: "answer",
    id: 7,
    result: { x: 1 },
  });
  assert.deepEqual(
    readFrame('{"id":8,"ok":false,"error":{"code":"conflict","message":"two\\nlines\\u001b[31m"}}'),
    { kind: "error", id: 8, code: "conflict", message: "two lines" },
  );
  assert.deepEqual(readFrame('{"event":"changed","what":"run a/1/0 exited"}'), {
    kind: "changed",
    what: "run a/1/0 exited",
  });
});

Deno.test("whatever is no frame is bad, with its id where it has one", () => {
  const ids = [
    ["Welcome to node-a!", null],
    ["[1,2]", null],
    ["null", null],
    ['{"id":-1,"ok":true}', null],
    ['{"id":"7","ok":true,"result":1}', null],
    ['{"id":7,"ok":"yes"}', 7],
    ['{"id":7,"ok":false,"error":"gone"}', 7],
    ['{"event":"rm -rf"}', null],
  ] as const;
  for (const [line, id] of ids) {
    const frame = readFrame(line);
    assert.equal(frame.kind, "bad", line);
    assert.equal(frame.kind === "bad" ? frame.id : 0, id, line);
  }
});

Deno.test("a bad frame cannot bring control characters into a log", () => {
  const frame = readFrame("\u001b]0;owned\u0007\u001b[2J\rhello\u009b31m\u202eabc");
  assert.equal(frame.kind === "bad" && frame.reason, "not JSON: hello\ufffd31m\ufffdabc");
});

Deno.test("a request beyond the bound is refused", () => {
  assert.equal(new TextDecoder().decode(writeFrame({ id: 1, op: "hello" })).at(-1), "\n");
  assert.throws(() => writeFrame({ data: "x".repeat(MAX_LINE_BYTES) }), RangeError);
});
