/**
 * Strings and bytes that somebody who means harm would write, and what text of ours must be.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { withoutControls } from "../../cluster/show.ts";

/** Texts that do something somewhere: in a terminal, a shell, a page, a path, an ssh command line. */
export const HOSTILE_TEXTS: readonly string[] = [
  "../x",
  "/etc/passwd",
  "a/../../b",
  "..\\..\\x",
  "jobs/../../../x",
  "~root/x",
  "x\0y",
  "-oProxyCommand=touch /tmp/pwned",
  "--upload-pack=touch /tmp/pwned",
  "ext::sh -c id",
  "$(touch /tmp/pwned)",
  "`id`",
  "; rm -rf /",
  "'\"",
  "a\nb",
  "a\r\nSigned-off-by: Mallory <m@example.org>",
  "a\tb",
  "\x1b[2J\x1b[31mred",
  "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
  "\x1b]52;c;cm0gLXJmIC8=\x07",
  "\x1bPq#0\x1b\\",
  "\x9b31m\x85\x90",
  "abc\u202edcb\u202c",
  "\u2066a\u2069\u200f\u061c",
  "a\u2028b\u2029c",
  "\ud800",
  "x\udc00y",
  "\ufeffx",
  "\u{e0001}\u{e0041}",
  "👩‍💻 می‌خواهم",
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "![x](https://evil.example/x.png)",
  "[x](javascript:alert(1))",
  "www.evil.example",
  "https://evil.example/",
  "mallory@example.org",
  "@everyone fixes #1 owner/repo#2 GH-3 !4",
  "| a | b |\n| --- | --- |",
  "```\n# x",
  "<!-- -->",
  "$\\alpha$",
  "&lt;b&gt;&#60;",
  "${USER}${HOME}${PATH}",
  "{training.lr}",
  "{{x}}",
  "{",
  "{name}",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "*",
  "&a",
  "!!js/function 'x'",
  "<<",
  "null",
  "~",
  "on",
  "1e999",
  "0x10",
  "010",
  ".inf",
  "2026-01-01",
  ...["+1", "1.", ".5", "1e5", "-1E+9", "1.e9", "0o17", "0b1", "1_000", "+.inf", ".NaN", "1:30"],
  ...["True", "NULL", "Yes", "=", "---", "...", "? x", "- x", "%x", "!x", "|", ">", "#x", "a #b"],
  "12345678901234567890",
  "",
  " ",
  "a".repeat(300),
  "x".repeat(5000),
  "é".repeat(64),
  "😀".repeat(200),
];

/** Any text: hostile ones, fragments put together, random characters (halves of some included). */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
      .map((units) => String.fromCharCode(...units)),
  },
  {
    weight: 1,
    arbitrary: fc.array(fc.constantFrom(...HOSTILE_TEXTS), { minLength: 2, maxLength: 3 })
      .map((parts) => parts.join("")),
  },
);

/** Numbers that break sums, dates and loops. */
export const hostileNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 0.5, 1e308, -1e308, 5e-324, 2 ** 31, 2 ** 53, -(2 ** 53)),
  fc.constantFrom(8.64e15, 8.64e15 + 1, 253_402_300_799_999, 253_402_300_800_000),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** Any JSON value, deep and wide at times. */
export const hostileJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  hostileText,
  hostileNumber,
  fc.constantFrom(null, true, [], {}, [[[[[[]]]]]], { __proto__: null, constructor: {} }),
  fc.constant(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{}}}')),
  fc.dictionary(hostileText, hostileText, { maxKeys: 4 }),
  fc.array(hostileText, { maxLength: 4 }),
);

/** Changes of bytes: flip, insert, delete, repeat. */
const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  kind: fc.constantFrom("flip", "insert", "delete", "repeat", "cut"),
  length: fc.integer({ min: 1, max: 40 }),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.constantFrom(
      ...["\n", "\t", "  ", ": ", "- ", "{", "}", "[", "]", "&a ", "*a", "!!x ", "? ", "|\n", "#"],
      ...["'", '"', "\0", "\ufeff", "---\n", "...\n", "%YAML 1.1\n", "<<: *a", "\r\n", "\\", ">-"],
    ).map((text) => new TextEncoder().encode(text)),
    hostileText.map((text) => new TextEncoder().encode(text)),
  ),
});

/** One of some texts with a few of its bytes changed. */
export function mutated(texts: readonly string[]): fc.Arbitrary<Uint8Array> {
  return fc.tuple(fc.constantFrom(...texts), fc.array(mutation, { minLength: 1, maxLength: 6 }))
    .map(([text, changes]) => {
      let bytes = [...new TextEncoder().encode(text)];
      for (const { at, kind, length, bytes: given } of changes) {
        const start = Math.floor(at * bytes.length);
        const piece = bytes.slice(start, start + length);
        if (kind === "flip") bytes[start] = (bytes[start] ?? 0) ^ (1 << (length % 8));
        else if (kind === "insert") bytes.splice(start, 0, ...given);
        else if (kind === "delete") bytes.splice(start, length);
        else if (kind === "repeat") bytes.splice(start, 0, ...piece, ...piece);
        else bytes = bytes.slice(0, start);
      }
      return new Uint8Array(bytes);
    });
}

/** Asserts that a text holds nothing that could move a cursor, end a line or reorder it. */
export function assertClean(text: string, lines = false): void {
  const shown = JSON.stringify(text.slice(0, 200));
  assert.equal(withoutControls(text), text, `control characters in ${shown}`);
  assert.ok(!text.includes("\t"), `a tab in ${shown}`);
  assert.ok(lines || !text.includes("\n"), `a line end in ${shown}`);
}
