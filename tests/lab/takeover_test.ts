/** Two services on one repository: one leads, one stands by (docs/adr/0007-lease.md). */
import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import { HostFleet } from "../../providers/hosts/fleet.ts";
import { type Harness, job, type LeaseFile, pause } from "./harness.ts";
import { eventually, killQuietly, must } from "./processes.ts";
import type { Service } from "./service.ts";
import { labSuite } from "./suite.ts";
import { assertNoRankTwice } from "./witness.ts";

const suite = await labSuite({ gpusPerHost: 2 });

/** From the death or the silence of a leader until the standby leads. */
const TAKEOVER_MS = 15_000;
/** The same after a leader that gave the lease up. */
const HANDOVER_MS = 3_000;
/** A leader that knows of no standby looks every 20 s whether there is one. */
const WATCHED_MS = 40_000;

function gang(harness: Harness): string {
  return job({
    resources: { nodes: 3, gpusPerNode: 1 },
    script: "scripts/sleeper.py",
    launcher: "processes",
    args: ["300", "--witness", harness.witnessDir],
    grace: "1s",
  });
}

/** A running job, its leader, and a standby that the leader knows of. */
async function pair(harness: Harness) {
  await harness.push({ "jobs/before.yaml": gang(harness) });
  await harness.until("before", (s) => s.phase === "Running", 20_000);
  const standby = await harness.startAnother("standby", true);
  const lease = await eventually("see the standby in the lease", WATCHED_MS, async () => {
    const lease = await harness.lease();
    return lease?.watched && lease.standby?.owner.endsWith(`:${standby.pid}`) ? lease : undefined;
  }, () => `${harness.service.tail(20)}\n──\n${standby.tail(20)}`);
  assert.match(lease.owner, new RegExp(`:${harness.service.pid}$`));
  return { leader: harness.service, standby, lease };
}

/** Waits until the standby leads; gives the time that it took. */
async function takeover(harness: Harness, standby: Service, old: LeaseFile, boundMs: number) {
  const beganMs = performance.now();
  await eventually("take over", boundMs, async () => {
    const lease = await harness.lease();
    return lease?.owner.endsWith(`:${standby.pid}`) && lease.epoch > old.epoch ? true : undefined;
  }, () => standby.tail(30));
  await eventually(
    "begin its term",
    boundMs,
    () => standby.lines.some((line) => line.msg === "started") ? true : undefined,
  );
  return Math.round(performance.now() - beganMs);
}

/** The job of before goes on untouched, and the new leader starts another one. */
async function assertLeads(harness: Harness, standby: Service): Promise<void> {
  await harness.commit({ "jobs/after.yaml": gang(harness) }, "one more");
  await harness.publish();
  await harness.until("after", (s) => s.phase === "Running", 30_000, `run\n${standby.tail(30)}`);
  assert.equal((await harness.status("before"))?.phase, "Running");
  assert.equal((await harness.status("before"))?.attempt, 1);
  assertNoRankTwice(harness.witnessDir);
}

/** Epochs of the writers of the status branch, oldest first, without repetitions. */
async function writers(harness: Harness): Promise<number[]> {
  const format = "--format=%(trailers:key=Epoch,valueonly,separator=%x2C)";
  const log = await must(["git", "log", "--reverse", format, "ugro/status"], {
    cwd: harness.repo,
  });
  const epochs = log.trim().split("\n").map(Number);
  return epochs.filter((epoch, index) => epoch !== epochs[index - 1]);
}

suite.test("kill -9 of the leader: the standby leads, jobs go on", {}, async (t) => {
  const harness = await t.harness();
  const { leader, standby, lease } = await pair(harness);
  await leader.kill9();
  const ms = await takeover(harness, standby, lease, TAKEOVER_MS);
  console.log(`kill -9 of the leader until the standby leads: ${ms} ms`);
  assert(ms <= TAKEOVER_MS);
  await assertLeads(harness, standby);
  const epochs = await writers(harness);
  assert.deepEqual(epochs, epochs.toSorted((a, b) => a - b));
});

suite.test("a paused leader that wakes up is refused and changes nothing", {}, async (t) => {
  const harness = await t.harness();
  const { leader, standby, lease } = await pair(harness);
  killQuietly(leader.pid, "SIGSTOP");
  try {
    const ms = await takeover(harness, standby, lease, TAKEOVER_MS);
    console.log(`SIGSTOP of the leader until the standby leads: ${ms} ms`);
    assert(ms <= TAKEOVER_MS);
    await assertLeads(harness, standby);
    // What the old leader knows by now is wrong: by its lights this job has to be stopped.
    await harness.commit({ "jobs/before.yaml": null }, "remove before");
    await harness.publish();
    await harness.until("before", (s) => s.phase === "Cancelled", 20_000);
  } finally {
    killQuietly(leader.pid, "SIGCONT");
  }
  const { code } = await Promise.race([
    leader.ended(),
    pause(20_000).then(() => ({ code: `it still runs:\n${leader.tail(20)}` })),
  ]);
  assert.equal(code, 3, leader.tail(20));
  await assertRefused(harness, lease);
  await pause(3_000);
  const epochs = await writers(harness);
  assert.deepEqual(epochs, epochs.toSorted((a, b) => a - b), "the old leader wrote once more");
  assert.equal((await harness.status("after"))?.phase, "Running");
  assert.deepEqual(harness.processesOf("before"), []);
  assertNoRankTwice(harness.witnessDir);
});

/** Whatever the old leader would ask of a node, with its own epoch, is refused. */
async function assertRefused(harness: Harness, old: LeaseFile): Promise<void> {
  const fleet = new HostFleet({ sshConfig: harness.lab.sshConfig });
  try {
    const { epoch, repository } = old;
    fleet.configure(
      harness.lab.hosts.map((host) => ({
        name: host.name as NodeName,
        connect: { kind: "ssh", host: host.address, port: host.port, user: host.user },
        address: host.address,
        labels: {},
        hardware: {},
        cpuSlots: 0,
        workdir: harness.workdir(host),
        python: "python3",
      })),
      { epoch, repository },
    );
    await fleet.observe([]);
    const places = (await harness.status("after"))?.attempts[0]?.placement ?? [];
    assert.equal(places.length, 3);
    for (const [rank, { node }] of places.entries()) {
      const run = { job: "after", attempt: 1, rank };
      const outcome = await fleet.stop(node as NodeName, run, 0, "by the old leader");
      assert.notEqual(outcome.kind, "ok");
      assert.match(JSON.stringify(outcome), /epoch/, node);
    }
  } finally {
    await fleet.close();
  }
}

suite.test("SIGTERM of the leader hands the lease over", {}, async (t) => {
  const harness = await t.harness();
  const { leader, standby, lease } = await pair(harness);
  const [code, ms] = await Promise.all([
    leader.stop(),
    takeover(harness, standby, lease, TAKEOVER_MS),
  ]);
  console.log(`SIGTERM of the leader until the standby leads: ${ms} ms`);
  assert.equal(code, 0);
  assert(ms <= HANDOVER_MS, `it took ${ms} ms`);
  await assertLeads(harness, standby);
});
