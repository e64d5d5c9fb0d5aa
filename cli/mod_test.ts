import assert from "node:assert/strict";
import { ugro } from "./testing.ts";

Deno.test("help goes to stdout and is no failure", async () => {
  const { code, out, err } = await ugro("--help");
  assert.equal(code, 0);
  assert.equal(err, "");
  for (
    const command of ["start", "once", "demo", "validate", "status", "queue", "simulate", "version"]
  ) {
    assert.match(out, new RegExp(`^  ${command} `, "m"));
  }
});

Deno.test("a mistyped command is told with the likely one, and exits 2", async () => {
  const { code, out, err } = await ugro("statsu");
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /unknown command 'statsu'[^]*Did you mean status\?/);
});

Deno.test("unknown options, bad values and missing options exit 2", async () => {
  for (
    const [args, message] of [
      [["status", "--ouput", "json"], /Did you mean --output\?/],
      [["status", "-o", "xml"], /Allowed choices are table, wide, json, yaml, name/],
      [["queue", "-o", "xml"], /Allowed choices are table, wide, json, yaml, name/],
      [["queue", "--branch", "a..b"], /branch/i],
      [["start"], /required option '--repo <url\|path>' not specified/],
      [["start", "--repo", "/r", "--listen", "8420"], /Write HOST:PORT/],
      [["once", "--repo", "/r", "--poll", "5"], /Write a time/],
      [["once", "--repo", "/r", "--listen", "127.0.0.1:1"], /unknown option '--listen'/],
      [["status", "a", "b"], /too many arguments/],
      [[], /Usage: ugro/],
    ] as const
  ) {
    const { code, err } = await ugro(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
  }
});

Deno.test("what a person mistypes cannot write escapes to the terminal", async () => {
  const { err } = await ugro("sta\x1b[2Jtus");
  assert.ok(!err.includes("\x1b"));
});

Deno.test("a failure is one line, and exits 1", async () => {
  const { code, out, err } = await ugro("validate", "/no/such/folder");
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.equal(err, "error: Cannot check /no/such/folder: no such file or folder");
});

Deno.test("version tells what a bug report needs", async () => {
  const { code, out } = await ugro("version");
  assert.equal(code, 0);
  assert.match(out, /^ugro \d+\.\d+\.\d+\ndeno \d+\.\d+\.\d+\nos \w+ \w+$/);
});
