import assert from "node:assert/strict";
import { join } from "node:path";
import { LEASE_FILE, leaseMessage, parseLease, renderLease } from "./lease.ts";
import { Lab, LEASE, valueOf } from "./testing.ts";

Deno.test("a lease is read as it was written, and one from before there were standbys", () => {
  const standby = { name: "s", owner: "other:2", seen: 4 };
  for (const lease of [LEASE, { ...LEASE, beat: 7, watched: true, released: true, standby }]) {
    assert.deepEqual(parseLease(renderLease(lease)), lease);
  }
  const { beat: _, watched: __, released: ___, ...old } = LEASE;
  assert.deepEqual(parseLease(JSON.stringify({ ...old, later: "more" })), LEASE);
});

Deno.test("what is not wholly a lease is none", () => {
  for (const text of ["", "7", "null", "{}", "[", '{"epoch": 7}']) {
    assert.equal(parseLease(text), undefined, text);
  }
  const wrong: Record<string, unknown>[] = [
    { epoch: "7" },
    { epoch: 1.5 },
    { epoch: -1 },
    { epoch: 2 ** 53 },
    { claim: "" },
    { claim: "x".repeat(101) },
    { owner: "x".repeat(301) },
    { repository: "x".repeat(65) },
    { beat: -1 },
    { beat: null },
    { watched: "yes" },
    { released: 1 },
    { standby: null },
    { standby: { name: "s", owner: "o" } },
  ];
  for (const change of wrong) {
    const text = JSON.stringify({ ...LEASE, ...change });
    assert.equal(parseLease(text), undefined, text.slice(0, 200));
  }
});

Deno.test("the message tells a claim from a renewal and from giving up", () => {
  assert.equal(leaseMessage({ ...LEASE, owner: "a\n b" }, undefined), "lease: epoch 3 for a b\n");
  assert.equal(leaseMessage(LEASE, { ...LEASE, claim: "c2" }), "lease: epoch 3 for host:1\n");
  assert.equal(leaseMessage({ ...LEASE, beat: 1 }, LEASE), "lease: epoch 3 renewed\n");
  const released = { ...LEASE, released: true };
  assert.equal(leaseMessage(released, LEASE), "lease: epoch 3 released\n");
});

Deno.test("claims make history, renewals do not", () =>
  Lab.with(async (lab) => {
    const [ada, bob] = [lab.open(), lab.open()];
    let version = valueOf(await ada.writeLease(undefined, LEASE));
    for (let beat = 1; beat <= 3; beat++) {
      version = valueOf(await ada.writeLease(version, { ...LEASE, beat }));
    }
    // Another mirror writes as well: it must have fetched the parent of what it replaces.
    const shown = valueOf(await bob.readLease());
    assert.deepEqual(shown, { version, lease: { ...LEASE, beat: 3 } });
    const standby = { name: "s", owner: "bob", seen: 1 };
    version = valueOf(await bob.writeLease(version, { ...LEASE, beat: 3, standby }));
    const next = { ...LEASE, epoch: 4, claim: "c4", owner: "bob" };
    version = valueOf(await bob.writeLease(version, next));
    valueOf(await bob.writeLease(version, { ...next, beat: 1 }));
    const log = await lab.git(["--git-dir", lab.remote, "log", "--format=%s", "ugro/lease"]);
    assert.deepEqual(log.split("\n"), [
      "lease: epoch 4 renewed",
      "lease: epoch 3 renewed",
    ]);
    assert.equal(await lab.git(["--git-dir", lab.remote, "fsck", "--strict", "--no-dangling"]), "");
  }));

Deno.test("leases out of bounds are not written", () =>
  Lab.with(async (lab) => {
    const outcome = await lab.open().writeLease(undefined, { ...LEASE, owner: "x".repeat(301) });
    assert.equal(outcome.kind, "terminal");
    assert.equal(await lab.head("ugro/lease"), undefined);
  }));

Deno.test("a branch that holds something else is terminal to claim on, and says what to do", () =>
  Lab.with(async (lab) => {
    await lab.commit("ugro/lease", { [LEASE_FILE]: "garbage" });
    const state = lab.open();
    const found = await state.readLease();
    assert.equal(found.kind, "terminal");
    assert.match("reason" in found ? found.reason : "", /no readable lease.json.*git revert/);
    assert.equal(valueOf(await state.refresh()).lease, undefined);
    await lab.commit("ugro/lease", { "other.txt": "x" });
    assert.equal((await state.readLease()).kind, "terminal");
    await lab.commit("ugro/lease", { [`${LEASE_FILE}/x`]: "a folder" });
    assert.equal((await state.readLease()).kind, "terminal");
  }));

Deno.test("a renewal does not wait for a status push that hangs", () =>
  Lab.with(async (lab) => {
    const state = lab.open({ networkMs: 4000 });
    const version = valueOf(await state.writeLease(undefined, LEASE));
    await lab.hook("pre-receive", 'read a b ref; case "$ref" in */status) exec sleep 20;; esac');
    const order: string[] = [];
    const files = new Map([["a", "1"]]);
    const status = state.commitStatus({ base: undefined, files, message: "x" })
      .then(() => order.push("status"));
    const renewal = state.writeLease(version, { ...LEASE, beat: 1 });
    valueOf(await renewal.finally(() => order.push("lease")));
    await status;
    assert.deepEqual(order, ["lease", "status"]);
  }));

Deno.test("a lease mirror that is lost is made anew, alone", () =>
  Lab.with(async (lab) => {
    const mirrorDir = join(lab.dir, "m.git");
    const state = lab.open({ mirrorDir });
    const version = valueOf(await state.writeLease(undefined, LEASE));
    await Deno.remove(join(lab.dir, "m-lease.git"), { recursive: true });
    let renewed = await state.writeLease(version, { ...LEASE, beat: 1 });
    assert.equal(renewed.kind, "retryable");
    assert.equal(valueOf(await state.readLease())?.version, version);
    renewed = await state.writeLease(version, { ...LEASE, beat: 1 });
    assert.equal(valueOf(renewed), await lab.head("ugro/lease"));
  }));
