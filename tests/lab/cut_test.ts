/** What the lab can do to a host besides crashing it: cut it off one way, fill its disk. */
import assert from "node:assert/strict";
import type { CutDirection, Host } from "./host.ts";
import { eventually, run, type RunResult } from "./processes.ts";
import { labSuite } from "./suite.ts";

const suite = await labSuite({ hosts: 2, diskMiB: 8 });

const PORT = "39117";
const RECEIVE = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", ${PORT}))
s.settimeout(2)
try:
    print("got" if s.recv(9) else "")
except TimeoutError:
    print("nothing")`;
/** Sends and sends while FILE is there; empties it first, to say that it has begun. */
const SEND = `import os, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address, file = sys.argv[1:]
os.truncate(file, 0)
while os.path.exists(file):
    try:
        s.sendto(b"hello", (address, ${PORT}))
    except OSError:
        pass
    time.sleep(0.05)`;

type Python = (script: string, ...args: string[]) => Promise<RunResult>;

/** Whether packets get from one place to another. `shared`: a folder that both see. */
async function arrives(
  shared: string,
  from: Python,
  to: Python,
  address: string,
): Promise<boolean> {
  const file = await Deno.makeTempFile({ dir: shared });
  await Deno.writeTextFile(file, "not yet");
  const sending = from(SEND, address, file);
  try {
    await eventually("send", 20_000, async () => (await Deno.stat(file)).size === 0 || undefined);
    const { stdout, stderr } = await to(RECEIVE);
    assert.match(stdout, /^(got|nothing)\n$/, stderr);
    return stdout === "got\n";
  } finally {
    await Deno.remove(file);
    await sending;
  }
}

function pythonOn(host: Host): Python {
  return (script, ...args) => host.exec(["python3", "-c", script, ...args]);
}

const here: Python = (script, ...args) => run(["python3", "-c", script, ...args]);

const CUTS: [CutDirection, toHost: boolean, fromHost: boolean, toPeer: boolean][] = [
  ["to-host", false, true, true],
  ["from-host", true, false, true],
  ["both", false, false, false],
];

for (const [direction, toHost, fromHost, toPeer] of CUTS) {
  suite.test(`a link that is cut (${direction})`, { namespaces: true }, async ({ lab }) => {
    const [host, peer] = lab.hosts as [Host, Host];
    const controller = host.address.replace(/\d+$/, "254");
    const reaches = arrives.bind(undefined, lab.shared);
    await host.cut(direction);
    try {
      assert.equal(await reaches(here, pythonOn(host), host.address), toHost);
      assert.equal(await reaches(pythonOn(host), here, controller), fromHost);
      assert.equal(await reaches(pythonOn(host), pythonOn(peer), peer.address), toPeer);
      assert.equal(await reaches(here, pythonOn(peer), peer.address), true, "the peer is not cut");
    } finally {
      await host.restore();
    }
    assert.equal(await reaches(here, pythonOn(host), host.address), true);
    assert.equal(await reaches(pythonOn(host), here, controller), true);
  });
}

suite.test("a host's disk can be full, and survives a crash", { namespaces: true }, async (t) => {
  const [host, peer] = t.lab.hosts as [Host, Host];
  const write = (on: Host, text: string) =>
    on.exec(["sh", "-c", `echo ${text} >${on.disk}/${text}`]);
  assert.equal((await write(host, "before")).code, 0);
  await host.fillDisk();
  const full = await write(host, "while");
  assert.notEqual(full.code, 0);
  assert.equal((await write(peer, "elsewhere")).code, 0, "each host has a disk of its own");
  await host.crash();
  await host.boot();
  assert.notEqual((await write(host, "still")).code, 0, "a reboot frees no disk");
  await host.freeDisk();
  assert.equal((await write(host, "after")).code, 0);
  const before = await host.exec(["cat", `${host.disk}/before`]);
  assert.equal(before.stdout, "before\n");
  assert.equal((await host.listDisk()).includes("after"), true);
  assert.equal((await peer.listDisk()).includes("after"), false);
});
