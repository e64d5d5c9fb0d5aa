import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab, LEASE, valueOf } from "./testing.ts";

const SSHD = "/usr/sbin/sshd";
const missing = await Deno.stat(SSHD).then(() => false, () => true);

async function exec(command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(command, { args }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

/** Runs a test with an sshd on a loopback port; gives the port. */
async function withSshd(dir: string, test: (port: number) => Promise<void>): Promise<void> {
  for (const key of ["host", "user", "stranger"]) {
    await exec("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(dir, key));
  }
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await Deno.mkdir("/run/sshd", { recursive: true }).catch(() => {});
  const settings = {
    HostKey: join(dir, "host"),
    AuthorizedKeysFile: join(dir, "user.pub"),
    ListenAddress: "127.0.0.1",
    StrictModes: "no",
    UsePAM: "no",
    PidFile: "none",
  };
  const sshd = new Deno.Command(SSHD, {
    args: [
      ...["-D", "-e", "-f", "/dev/null", "-p", String(port)],
      ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    for (let tries = 0; tries < 50; tries++) {
      const connected = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
      connected?.close();
      if (connected !== undefined) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await test(port);
  } finally {
    sshd.kill("SIGTERM");
    await sshd.status;
  }
}

Deno.test({
  name: "over ssh: reads, commits, claims; a stranger and an unknown host key are told what to do",
  ignore: missing,
  fn: () =>
    Lab.with((lab) =>
      withSshd(lab.dir, async (port) => {
        const head = await lab.commit("main", { a: "a" });
        const hosts = join(lab.dir, "known_hosts");
        const hostKey = await Deno.readTextFile(join(lab.dir, "host.pub"));
        await Deno.writeTextFile(hosts, `[127.0.0.1]:${port} ${hostKey}`);
        const config = async (name: string, key: string, known: string) => {
          const path = join(lab.dir, name);
          await Deno.writeTextFile(
            path,
            `Host lab\n  HostName 127.0.0.1\n  Port ${port}\n  IdentitiesOnly yes\n` +
              `  IdentityFile ${join(lab.dir, key)}\n  UserKnownHostsFile ${known}\n`,
          );
          return path;
        };
        const remote = `ssh://lab${lab.remote}`;
        const good = lab.open({ remote, sshConfig: await config("good", "user", hosts) });
        assert.equal(valueOf(await good.refresh()).desired, head);
        const files = new Map([["a", "1"]]);
        const commit = { base: undefined, files, message: "x" };
        assert.equal(valueOf(await good.commitStatus(commit)), await lab.head("ugro/status"));
        const version = valueOf(await good.writeLease(undefined, LEASE));
        assert.deepEqual(valueOf(await good.readLease()), { version, lease: LEASE });
        const scp = lab.open({ remote: `lab:${lab.remote}`, sshConfig: join(lab.dir, "good") });
        assert.equal(valueOf(await scp.refresh()).desired, head);

        const stranger = lab.open({ remote, sshConfig: await config("bad", "stranger", hosts) });
        const denied = await stranger.refresh();
        assert.equal(denied.kind, "unknown");
        assert.match("reason" in denied ? denied.reason : "", /Permission denied.*ssh-add/);
        const unknown = lab.open({ remote, sshConfig: await config("new", "user", "/dev/null") });
        const refused = await unknown.refresh();
        assert.match("reason" in refused ? refused.reason : "", /Host key verif.*accept its key/);
      })
    ),
});
