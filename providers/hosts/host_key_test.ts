import assert from "node:assert/strict";
import { explain } from "./explain.ts";
import { forgetCommand, parsePin } from "./host_key.ts";

const settings = (lines: Record<string, string>) =>
  Object.entries({
    hostname: "10.0.0.7",
    port: "22",
    userknownhostsfile: "/home/ada/.ssh/known_hosts /home/ada/.ssh/known_hosts2",
    globalknownhostsfile: "/etc/ssh/ssh_known_hosts",
    ...lines,
  }).map(([key, value]) => `${key} ${value}\n`).join("");

const refused = (name: string, file: string) =>
  "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n" +
  `Offending ED25519 key in ${file}:12\n` +
  `Host key for ${name} has changed and you have requested strict checking.\n` +
  "Host key verification failed.\n";

Deno.test("a host key stands under the name that known_hosts has for it", () => {
  const name = (lines: Record<string, string>) => parsePin(settings(lines))?.name;
  assert.equal(name({}), "10.0.0.7");
  assert.equal(name({ port: "2222" }), "[10.0.0.7]:2222");
  assert.equal(name({ port: "2222", hostkeyalias: "gpu1" }), "gpu1");
  assert.equal(parsePin("command not found\n"), undefined);
});

Deno.test("the command removes the old key from the file that has it", () => {
  const pin = parsePin(settings({ port: "2222" }));
  assert.ok(pin);
  assert.equal(
    forgetCommand(pin, refused("[10.0.0.7]:2222", "/etc/ssh/ssh_known_hosts")),
    "ssh-keygen -R '[10.0.0.7]:2222' -f /etc/ssh/ssh_known_hosts",
  );
  const blank = parsePin(settings({ userknownhostsfile: "/home/ada l/it's known" }));
  assert.ok(blank);
  assert.equal(
    forgetCommand(blank, refused("10.0.0.7", "/home/ada l/it's known")),
    "ssh-keygen -R 10.0.0.7 -f '/home/ada l/it'\\''s known'",
  );
});

Deno.test("what the other side wrote cannot name another host or file in the command", () => {
  const pin = parsePin(settings({}));
  assert.ok(pin);
  const file = "/home/ada/.ssh/known_hosts";
  assert.equal(forgetCommand(pin, refused("bastion", file)), undefined);
  for (const made of ["/home/ada/.bashrc", "x; rm -rf ~", "/home/ada/.ssh/known_hosts2 /etc"]) {
    assert.equal(forgetCommand(pin, refused("10.0.0.7", made)), "ssh-keygen -R 10.0.0.7");
  }
});

Deno.test("user names with a backslash and odd paths are told fit for a shell", () => {
  const target = {
    connect: { kind: "ssh", host: "gpu1", user: "LAB\\ada", port: 2222 },
    python: "python3",
  } as const;
  const stderr = "No ED25519 host key is known for [gpu1]:2222 and you have …\n";
  const told = explain(target, "/etc/ugro ssh.conf", { code: 255, stderr });
  assert.equal(told.problem?.type, "HostKeyUnknown");
  assert.match(told.reason, /`ssh -F '\/etc\/ugro ssh\.conf' -p 2222 .*'LAB\\ada@gpu1' true`/);
});

Deno.test("a revoked key is no key to accept", () => {
  const target = { connect: { kind: "ssh", host: "gpu1" }, python: "python3" } as const;
  const stderr = "@  WARNING: REVOKED HOST KEY DETECTED!  @\nHost key verification failed.\n";
  const told = explain(target, undefined, { code: 255, stderr });
  assert.equal(told.problem?.type, "HostKeyRevoked");
  assert.doesNotMatch(told.reason, /ssh /);
});

Deno.test("a program that UGRO may not start is no program that is missing", () => {
  const stderr = '/v/bin/python: Requires run access to "/v/bin/python", run again with ' +
    "the --allow-run flag";
  const target = { connect: { kind: "local" }, python: "/v/bin/python" } as const;
  assert.match(
    explain(target, undefined, { code: 126, stderr }).reason,
    /^This UGRO may not start \/v\/bin\/python: .*--allow-run \(docs\/security\.md\)$/,
  );
});
