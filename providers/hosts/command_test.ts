import assert from "node:assert/strict";
import $ from "@david/dax";
import { commandFor, quote, quotePath } from "./command.ts";

const WORDS = [
  "plain",
  "",
  "two words",
  "it's",
  "''",
  `a"b`,
  "$HOME `id` $(id)",
  "back\\slash\\",
  "semi;colon&|<>*?[]!#~",
  "line\nbreak",
  "ünïcode",
];

for (const shell of ["sh", "bash"]) {
  Deno.test(`what is quoted comes out of ${shell} as it was`, async () => {
    const line = `printf '%s\\0' ${WORDS.map(quote).join(" ")}`;
    const printed = await $`${[shell, "-c", line]}`.text();
    assert.deepEqual(printed.split("\0").slice(0, -1), WORDS);
  });
}

Deno.test("a leading ~/ is left to the shell, and only that", async () => {
  const words = ["~/my venv/bin/python", "~other/x", "a~/b"].map(quotePath).join(" ");
  const printed = await $`${["sh", "-c", `printf '%s\\n' ${words}`]}`.env("HOME", "/home/a b")
    .text();
  assert.deepEqual(printed.split("\n"), ["/home/a b/my venv/bin/python", "~other/x", "a~/b"]);
});

function ssh(host: string, more: { user?: string; port?: number } = {}, python = "python3") {
  return commandFor({ connect: { kind: "ssh", host, ...more }, python }, { sshConfig: "/c" });
}

Deno.test("the ssh command line ends options before the host", () => {
  const made = ssh("node-a", { user: "ada", port: 2222 }, "~/a b/python");
  assert.ok("command" in made);
  const { argv } = made.command;
  const end = argv.indexOf("--");
  assert.equal(argv[end + 1], "ada@node-a");
  assert.equal(argv.length, end + 3);
  assert.match(argv[end + 2] ?? "", /^exec ~\/'a b\/python' -I -u -X utf8 -c 'import sys;/);
  assert.deepEqual(argv.slice(0, 6), ["ssh", "-T", "-F", "/c", "-p", "2222"]);
  for (const option of ["BatchMode=yes", "StrictHostKeyChecking=yes", "ControlMaster=no"]) {
    assert.equal(argv[argv.indexOf(option) - 1], "-o", option);
  }
});

Deno.test("hosts, users and programs that are options or more than a name are refused", () => {
  for (const host of ["-oProxyCommand=id", "", "a b", "a;id", "a\nb", "$(id)", "a/b", "a@b"]) {
    assert.ok("problem" in ssh(host), host);
  }
  for (const user of ["-l", "", "a b", "a`id`"]) assert.ok("problem" in ssh("a", { user }), user);
  for (const python of ["", "-c", "py\nthon"]) assert.ok("problem" in ssh("a", {}, python), python);
  for (const host of ["a", "10.0.0.1", "fe80::1%eth0", "node_1.lab.example.org"]) {
    assert.ok("command" in ssh(host), host);
  }
});

Deno.test("the controller's secrets are not in the environment of what it starts", () => {
  Deno.env.set("UGRO_TEST_TOKEN", "secret");
  try {
    const made = commandFor({ connect: { kind: "local" }, python: "python3" }, {});
    assert.ok("command" in made);
    assert.equal(made.command.env["UGRO_TEST_TOKEN"], undefined);
    assert.equal(made.command.env["PATH"], Deno.env.get("PATH"));
  } finally {
    Deno.env.delete("UGRO_TEST_TOKEN");
  }
});
