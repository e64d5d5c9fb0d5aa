/**
 * What every reader of people's files promises, whatever the file is.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Parsed, Problem } from "../../cluster/problem.ts";
import { assertClean } from "./hostile.ts";

/** Most problems of one file. */
const MAX_PROBLEMS = 50;
const MAX_MESSAGE = 4000;

const encoder = new TextEncoder();

/** The bytes of a text. */
export function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? encoder.encode(text) : text;
}

/** Asserts that a file was read, or refused as its writer deserves. Gives the value if it was read. */
export function assertParsed<T>(
  file: string,
  bytes: Uint8Array,
  parsed: Parsed<T>,
): T | undefined {
  const problems = parsed.ok ? parsed.warnings : parsed.problems;
  if (!parsed.ok) assert.ok(problems.length > 0, "refused without a reason");
  assert.ok(problems.length <= MAX_PROBLEMS, `${problems.length} problems`);
  // What is refused for its size is refused at its first character.
  const lines = bytes.length > 2_000_000 ? ["x"] : new TextDecoder().decode(bytes).split("\n");
  for (const problem of problems) assertProblem(problem, file, lines);
  return parsed.ok ? parsed.value : undefined;
}

function assertProblem(problem: Problem, file: string, lines: readonly string[]): void {
  const { line, column, message, hint = "" } = problem;
  const shown = JSON.stringify(problem);
  assert.equal(problem.file, file);
  assert.ok(Number.isInteger(line) && line >= 1 && line <= lines.length, `line of ${shown}`);
  const width = lines[line - 1]?.length ?? 0;
  assert.ok(Number.isInteger(column) && column >= 1 && column <= width + 2, `column of ${shown}`);
  for (const text of [message, hint]) {
    assertClean(text);
    assert.ok(text.length <= MAX_MESSAGE, `${text.length} characters`);
  }
  assert.notEqual(message, "");
}

/** Files that no reader of ours may choke on, whatever it reads. */
export const BAD_FILES: Readonly<Record<string, string | Uint8Array>> = {
  empty: "",
  "a byte order mark alone": "\ufeff",
  "NUL bytes": "a: \0\0\0",
  "not UTF-8": new Uint8Array([0x61, 0x3a, 0x20, 0xff, 0xfe, 0xc0, 0x80]),
  "UTF-16": new Uint8Array([0xff, 0xfe, 0x61, 0x00, 0x3a, 0x00]),
  "50 MB of x": new Uint8Array(50_000_000).fill(120),
  "50 MB of lines": new Uint8Array(50_000_000).fill(10),
  "just under the limit, of x": "x".repeat(1024 * 1024),
  "100,000 open brackets": "[".repeat(100_000),
  "100,000 open braces": "{a: ".repeat(100_000),
  "100,000 levels of block list": "- ".repeat(100_000),
  "100,000 levels of block map": "? ".repeat(100_000),
  "deep block map": Array.from({ length: 1400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
  "an alias bomb": Array.from(
    { length: 30 },
    (_, i) => i === 0 ? "a0: &a0 [x,x,x]" : `a${i}: &a${i} [*a${i - 1},*a${i - 1},*a${i - 1}]`,
  ).join("\n"),
  "an alias of itself": "a: &a [*a]\n",
  "merge keys": "a: &a {x: 1}\nb: {<<: *a, y: 2}\n",
  "duplicate keys": "script: a\nscript: b\n",
  "a JavaScript function": "a: !!js/function 'function () { throw 1 }'\n",
  binary: "a: !!binary aGVsbG8=\n",
  "its own tags": "%TAG ! tag:evil,2026:\n---\na: !x y\n",
  prototypes: "__proto__: {polluted: true}\nconstructor: {prototype: {polluted: true}}\n",
  "prototypes in JSON": '{"__proto__": {"polluted": true}, "toString": 1, "valueOf": 2}',
  "huge numbers": "priority: 1e400\nrerun: 99999999999999999999\n",
  "numbers that are none": "priority: .nan\nrerun: -.inf\n",
  dates: "owner: 2026-01-01\nname: 2026-01-01T00:00:00Z\n",
  "a very long key": `${"k".repeat(100_000)}: 1\n`,
  "a key of 1 MB in quotes": `? "${"k".repeat(1_000_000)}"\n: 1\n`,
  "a comment of 1 MB": `#${"x".repeat(1_000_000)}\n`,
  "old line ends": "script: a\r\nname: b\r\n",
  "older line ends": "script: a\rname: b\r",
  "next line characters": "script: a\u0085name: b\u2028x: c\n",
  "document ends": "...\n".repeat(10_000),
  "tabs everywhere": "\tscript:\ta\n",
  "escapes to halves of characters": 'script: "\\ud800"\n"\\udc00": 1\n',
  "an escape to NUL": 'script: "a\\0b"\n"\\0": 1\n',
  "quotes that never end": `a: "${"x".repeat(100_000)}`,
  "unclosed flow": "a: [1, {b: [",
  "keys that are maps": "{a: b}: c\n[1]: 2\n? {x: y}\n: z\n",
  "null keys": "? \n: 1\n~: 2\nnull: 3\n",
};

/** Files that take a reader as long as any may. */
export const SLOW_FILES: Readonly<Record<string, string>> = {
  "just under the limit, of keys": "a: {b: c}\n".repeat(100_000),
  "40,000 anchors": "- &a x\n".repeat(40_000),
  "40,000 unknown keys": Array.from({ length: 40_000 }, (_, i) => `k${i}: 1`).join("\n"),
  "40,000 equal keys": "k: 1\n".repeat(40_000),
  "a folded scalar of 300,000 lines": `a: >\n${" x\n".repeat(300_000)}`,
  "many documents": "---\na: 1\n".repeat(10_000),
};
