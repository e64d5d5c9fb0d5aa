import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import { FakeClock } from "./fixtures/fake_clock.ts";
import FAKE from "./fixtures/fake_runner.py" with { type: "text" };
import { claim, launchSpec, nodeSpec, WatchedFleet } from "./fixtures/fleet.ts";
import { type Sshd, startSshd, withoutSshd } from "./fixtures/sshd.ts";

const ignore = withoutSshd();
const GOOD = "good" as NodeName;

/** Runs `body` with an sshd and a fleet that knows how to reach it. */
async function withFleet(
  body: (fleet: WatchedFleet, sshd: Sshd, clock: FakeClock) => Promise<void>,
) {
  const sshd = await startSshd();
  const clock = new FakeClock();
  const fleet = new WatchedFleet({ clock, sshConfig: sshd.config, runnerSource: FAKE });
  try {
    await body(fleet, sshd, clock);
  } finally {
    await fleet.close();
    await sshd.stop();
  }
}

/** The Python that `python3` is here; a remote shell may have another PATH. */
async function python(): Promise<string> {
  const args = ["-c", "import sys; print(sys.executable)"];
  const { stdout } = await new Deno.Command("python3", { args }).output();
  return new TextDecoder().decode(stdout).trim();
}

const ssh = (host: string, more: { python?: string } = {}) =>
  nodeSpec(host, { kind: "ssh", host }, more);

Deno.test(
  { name: "ssh: observes, launches and ships code over a real sshd", ignore },
  () =>
    withFleet(async (fleet, sshd) => {
      fleet.configure([ssh("good", { python: await python() })], claim(1));
      await fleet.next(/connected/);
      assert.equal((await sshd.sessions()).length, Deno.uid() === 0 ? 1 : 2, "one session");
      assert.equal((await fleet.observe([])).get(GOOD)?.state, "reachable");
      const run = { job: "demo", attempt: 1, rank: 0 };
      assert.equal((await fleet.launch(GOOD, run, launchSpec(["true"], "/c"))).kind, "ok");
      const archive = { digest: "d", tar: new Uint8Array(9 * 1024 * 1024) };
      assert.equal((await fleet.putCode(GOOD, archive)).kind, "ok");
    }),
);

Deno.test(
  { name: "ssh: a Python with blanks and quotes in its path is found", ignore },
  () =>
    withFleet(async (fleet, sshd) => {
      const link = `${sshd.dir}/it's $(a) "python"`;
      await Deno.symlink(await python(), link);
      fleet.configure([ssh("good", { python: link })], claim(1));
      assert.match(await fleet.next(/good/), /connected/);
    }),
);

Deno.test(
  { name: "ssh: every way to fail says what to do", ignore },
  () =>
    withFleet(async (fleet, sshd) => {
      const old = `${sshd.dir}/old`;
      await Deno.writeTextFile(old, "#!/bin/sh\necho SyntaxError: invalid syntax >&2\nexit 1\n", {
        mode: 0o755,
      });
      const at = (name: string, python: string) => ({
        ...ssh("good", { python }),
        name: name as NodeName,
      });
      fleet.configure([
        ...["strange", "changed", "keyless", "dead"].map((host) => ssh(host)),
        at("no-python", "~/no such/python"),
        at("old-python", old),
        nodeSpec("nowhere", { kind: "ssh", host: "ugro-test.invalid" }),
      ], claim(1));
      const expected = {
        strange: /^Host key of strange is not known: run `ssh -F .*=ask strange true` as the user/,
        changed: /^Host key of changed has changed: .*ssh-keygen -R changed -f .*known_hosts'? &&/,
        keyless: /^keyless refused the login: .*true` must work without a password$/,
        dead: /^dead refused the connection: check that sshd runs there$/,
        "no-python": /^There is no ~\/no such\/python on good: set the node's `python:`/,
        "old-python": /\/old on good is too old: /,
        nowhere: /^Host name ugro-test.invalid cannot be resolved/,
      };
      const nodes = await fleet.observe([]);
      for (const [name, pattern] of Object.entries(expected)) {
        const node = nodes.get(name as NodeName);
        assert.match(node?.state === "unknown" ? node.reason : "reachable", pattern);
      }
      assert.deepEqual([...nodes.values()].map((n) => n.state === "unknown" && n.problem?.type), [
        ...["HostKeyUnknown", "HostKeyChanged", "AuthenticationFailed", undefined],
        ...[undefined, undefined, undefined],
      ]);
    }),
);

Deno.test(
  { name: "ssh: the commands that are told accept an unknown and a changed host key", ignore },
  () =>
    withFleet(async (fleet, sshd, clock) => {
      const hosts = ["strange", "changed"];
      fleet.configure(
        await Promise.all(hosts.map(async (host) => ssh(host, { python: await python() }))),
        claim(1),
      );
      const nodes = await fleet.observe([]);
      for (const host of hosts) {
        const node = nodes.get(host as NodeName);
        assert.equal(node?.state, "unknown");
        await sshd.type(/`(ssh.*? true)`/.exec(node.problem?.fix ?? "")?.[1] ?? "no command");
      }
      await clock.advance(2000);
      for (const _ of hosts) await fleet.next(/connected/);
    }),
);

Deno.test(
  { name: "ssh: a connection that is cut is noticed and made again", ignore },
  () =>
    withFleet(async (fleet, sshd, clock) => {
      fleet.configure([ssh("good", { python: await python() })], claim(1));
      await fleet.next(/connected/);
      for (const pid of await sshd.sessions()) Deno.kill(pid, "SIGKILL");
      assert.match(
        await fleet.next(/./),
        /^good: Session to good ended with exit code 255/,
      );
      assert.equal((await fleet.observe([])).get(GOOD)?.state, "unknown");
      await clock.advance(1000);
      await fleet.next(/connected/);
      assert.equal((await fleet.observe([])).get(GOOD)?.state, "reachable");
    }),
);
