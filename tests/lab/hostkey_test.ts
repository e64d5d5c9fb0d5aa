/** A host shows another key than before: nobody connects to it until a person has accepted it. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { type Harness, job, pause } from "./harness.ts";
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { eventually, killQuietly, liveProcesses, must } from "./processes.ts";
import { labSuite } from "./suite.ts";

const suite = await labSuite({ hosts: 1 });

/** What `cluster.yaml` of the status branch says of a node. */
interface NodeEntry {
  readonly state: string;
  readonly conditions?: readonly { readonly type: string; readonly fix: string }[];
}

/** Gives a host a new key, as a new installation would, and ends UGRO's session with it. */
async function rotateKey(lab: Lab, host: Host): Promise<void> {
  const path = `${host.dir}/host_key`;
  for (const file of [path, `${path}.pub`]) await Deno.remove(file);
  await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "new", "-f", path]);
  const sshd = liveProcesses((p) => p.argv.join(" ").includes(`${host.dir}/sshd_config`));
  for (const { pid, command } of sshd) if (command === "sshd") killQuietly(pid, "SIGHUP");
  await eventually("see the new key", 10_000, async () => {
    const { code, stderr } = await lab.ssh(host, "true");
    return code === 255 && stderr.includes("HAS CHANGED") ? true : undefined;
  });
  for (const { pid } of host.pids("__ugro_runner__")) killQuietly(pid);
}

function untilNode(harness: Harness, what: string, fits: (node: NodeEntry) => boolean) {
  return eventually(what, 40_000, async () => {
    await pause(100);
    const text = await harness.statusFile("cluster.yaml") ?? "";
    const [node] = (parse(text) as { nodes: NodeEntry[] } | null)?.nodes ?? [];
    return node && fits(node) ? node : undefined;
  }, () => harness.service.tail(30));
}

/** Types a command line into a shell, and "yes" to what ssh asks. */
async function type(lab: Lab, line: string): Promise<void> {
  const yes = `${lab.dir}/yes`;
  await Deno.writeTextFile(yes, "#!/bin/sh\necho yes\n", { mode: 0o755 });
  await must(["sh", "-c", line], { env: { SSH_ASKPASS: yes, SSH_ASKPASS_REQUIRE: "force" } });
}

suite.test("a changed host key is a condition until the told command accepts it", {}, async (t) => {
  const harness = await t.harness({ policy: { nodeLostAfter: "10m" } });
  const host = t.lab.host("h1");
  await harness.push({
    "jobs/sleeper.yaml": job({
      script: "scripts/sleeper.py",
      launcher: "processes",
      args: ["600", "--witness", harness.witnessDir],
    }),
  });
  await harness.until("sleeper", (s) => s.phase === "Running", 30_000);
  const rank = harness.processesOf("sleeper").map((p) => p.pid);

  await rotateKey(t.lab, host);
  const node = await untilNode(harness, "see the condition", (n) => n.conditions !== undefined);
  assert.equal(node.state, "unknown");
  assert.deepEqual(node.conditions?.map((c) => c.type), ["HostKeyChanged"]);
  await harness.until("sleeper", (s) => s.phase === "Unknown", 20_000);
  const before = await harness.statusLog();
  await pause(8000); // several more tries to connect, all in vain
  assert.deepEqual(await harness.statusLog(), before, "the same cause is committed once");
  assert.deepEqual(harness.processesOf("sleeper").map((p) => p.pid), rank, "the job goes on");

  const line = /`(ssh-keygen -R .*? && ssh .*? true)`/.exec(node.conditions?.[0]?.fix ?? "")?.[1];
  assert.ok(line, node.conditions?.[0]?.fix);
  await type(t.lab, line);
  const back = await untilNode(harness, "see the node again", (n) => n.state === "reachable");
  assert.equal(back.conditions, undefined);
  const running = await harness.until("sleeper", (s) => s.phase === "Running", 20_000);
  assert.equal(running.attempt, 1);
  assert.equal(running.attempts.length, 1);
  assert.deepEqual(harness.processesOf("sleeper").map((p) => p.pid), rank);
});
