import assert from "node:assert/strict";
import { parseRemote, RemoteError } from "./remote.ts";
import { reasonOf, redact } from "./redact.ts";

Deno.test("addresses of every kind pass", () => {
  const kinds: Record<string, string> = {
    "/srv/git/state.git": "path",
    "/srv/a b:c/state.git": "path",
    "file:///srv/git/state.git": "path",
    "git@forge.example:lab/state.git": "ssh",
    "forge:state.git": "ssh",
    "ssh://git@forge.example:2222/lab/state.git": "ssh",
    "ssh://[::1]:2222/srv/state.git": "ssh",
    "https://forge.example/lab/state.git": "https",
    "https://u:p@forge.example/lab/state.git": "https",
    "http://localhost:3000/lab/state.git": "http",
  };
  for (const [address, kind] of Object.entries(kinds)) {
    const remote = parseRemote(address);
    assert.equal(remote.kind, kind, address);
    assert.equal(remote.warning, undefined);
    assert.equal(remote.url, address);
  }
});

Deno.test("addresses that can run commands or pass for something else are refused", () => {
  const refused = [
    "",
    "ext::sh -c id",
    "fd::7",
    "-upload-pack=id",
    "--upload-pack=id",
    "ssh://-oProxyCommand=id/x",
    "ssh://git@-oProxyCommand=id/x",
    "-oProxyCommand=id:x",
    "git@-oProxyCommand=id:x",
    "-l@host:x",
    "git@host:-x",
    "ssh://git@host/-x",
    "ssh://git:secret@host/x",
    "https://-host/x",
    "https://",
    "https://a b/x",
    "git://host/x",
    "ftp://host/x",
    "file://host/share",
    "/srv/a\nb",
    "git@host:a\rb",
    "/srv/a\0b",
    "state.git",
    "./state.git",
    "~/state.git",
    "/" + "a".repeat(3000),
  ];
  for (const address of refused) {
    assert.throws(() => parseRemote(address), RemoteError, JSON.stringify(address));
  }
});

Deno.test("plain http to another machine is allowed with a warning", () => {
  assert.match(parseRemote("http://forge.example/x.git").warning ?? "", /not encrypted/);
});

Deno.test("credentials are replaced wherever they stand", () => {
  assert.equal(redact("at https://me:t0k@f.example/x"), "at https://***@f.example/x");
  assert.equal(redact("https://t0k@f.example/x"), "https://***@f.example/x");
  assert.equal(redact("https://me:t@0k@f.example/x"), "https://***@f.example/x");
  assert.equal(redact("ssh://me:t0k@f.example/x"), "ssh://***@f.example/x");
  assert.equal(redact("ssh://git@f.example/x"), "ssh://git@f.example/x");
  assert.equal(
    redact("https://f.example/x?private_token=t0k&a=1"),
    "https://f.example/x?private_token=***&a=1",
  );
  const remote = parseRemote("https://me:t0k@f.example/x.git");
  assert.equal(remote.display, "https://***@f.example/x.git");
  assert.throws(
    () => parseRemote("gopher://me:t0k@f.example/x"),
    (error: Error) => !error.message.includes("t0k"),
  );
});

Deno.test("a reason is one line with a next step", () => {
  const reason = reasonOf(
    "warning: x\nHost key verification failed.\r\n" +
      "fatal: Could not read from remote repository.\n\nPlease make sure\n",
  );
  assert.match(reason, /^Host key verification failed\.; Could not read from remote .*ssh HOST/);
  assert.ok(!reason.includes("\n"));
  assert.equal(reasonOf(""), "git failed without saying why");
});
