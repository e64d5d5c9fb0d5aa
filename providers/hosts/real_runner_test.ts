import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import { claim, launchSpec, nodeSpec, WatchedFleet } from "./fixtures/fleet.ts";
import { startSshd, withoutSshd } from "./fixtures/sshd.ts";

const A = "a" as NodeName;
const RUN = { job: "demo", attempt: 1, rank: 0 };

/** Everything that a fleet can do, on one node with the real runner. */
async function exercise(fleet: WatchedFleet, dir: string): Promise<void> {
  const before = (await fleet.observe([])).get(A);
  assert.ok(before?.state === "reachable", JSON.stringify(before));
  assert.deepEqual(before.runs, []);
  assert.ok(before.cpuCores > 0 && before.memoryTotalMiB > before.memoryAvailableMiB);

  const code = { digest: "c0de".repeat(10), tar: await tarOf(dir, "train.py", "print('trained')") };
  assert.deepEqual(await fleet.putCode(A, code), { kind: "ok", value: undefined });

  const program = { kind: "script", path: "train.py" } as const;
  const spec = { ...launchSpec([], `${dir}/checkpoints`), program, code: code.digest };
  const launched = await fleet.launch(A, RUN, spec);
  assert.ok(launched.kind === "ok" && launched.value.created, JSON.stringify(launched));
  const again = await fleet.launch(A, RUN, spec);
  assert.ok(again.kind === "ok" && !again.value.created);
  await fleet.next(/demo\/1\/0 exited/);

  await Deno.mkdir(`${dir}/checkpoints/step-7`, { recursive: true });
  await Deno.writeTextFile(`${dir}/checkpoints/step-7/weights`, "w");
  const queries = [{ job: "demo", dir: `${dir}/checkpoints`, pattern: "step-*" }];
  const node = (await fleet.observe(queries)).get(A);
  assert.ok(node?.state === "reachable");
  assert.deepEqual(node.runs.map((run) => [run.state, run.exit?.code]), [["exited", 0]]);
  assert.deepEqual(node.runs[0]?.meta, spec.meta);
  assert.equal(node.checkpoints.get("demo")?.[0]?.step, 7);
  assert.deepEqual(await fleet.tail(A, RUN, 0, "stdout", 1000), { kind: "ok", value: "trained\n" });

  await stopOne(fleet, spec);
  assert.deepEqual(await fleet.clean(A, "demo", 2), { kind: "ok", value: undefined });
  const after = (await fleet.observe([])).get(A);
  assert.deepEqual(after?.state === "reachable" && after.runs, []);
}

async function stopOne(fleet: WatchedFleet, spec: ReturnType<typeof launchSpec>): Promise<void> {
  const second = { ...RUN, attempt: 2 };
  const argv = ["sleep", "100"];
  const launched = await fleet.launch(A, second, { ...spec, program: { kind: "command", argv } });
  assert.equal(launched.kind, "ok", JSON.stringify(launched));
  assert.deepEqual(await fleet.stop(A, second, 0, "test"), { kind: "ok", value: undefined });
  await fleet.next(/demo\/2\/0 exited/);
  assert.equal((await fleet.stop(A, { ...RUN, attempt: 9 }, 0, "test")).kind, "terminal");
}

async function tarOf(dir: string, name: string, text: string): Promise<Uint8Array> {
  await Deno.writeTextFile(`${dir}/${name}`, text);
  const { stdout } = await new Deno.Command("tar", { args: ["-cf", "-", "-C", dir, name] })
    .output();
  return stdout;
}

Deno.test("real runner: every operation, locally", async () => {
  const dir = await Deno.makeTempDir();
  const fleet = new WatchedFleet();
  try {
    fleet.configure([nodeSpec("a", { kind: "local" }, { workdir: `${dir}/work` })], claim(1));
    await exercise(fleet, dir);
  } finally {
    await fleet.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test({ name: "real runner: every operation, over ssh", ignore: withoutSshd() }, async () => {
  const sshd = await startSshd();
  const fleet = new WatchedFleet({ sshConfig: sshd.config });
  try {
    const python = "/usr/bin/env python3";
    const shim = `${sshd.dir}/python`;
    await Deno.writeTextFile(
      shim,
      `#!/bin/sh\nPATH=${Deno.env.get("PATH")} exec ${python} "$@"\n`,
      {
        mode: 0o755,
      },
    );
    const more = { workdir: `${sshd.dir}/work`, python: shim };
    fleet.configure([nodeSpec("a", { kind: "ssh", host: "good" }, more)], claim(1));
    await exercise(fleet, sshd.dir);
  } finally {
    await fleet.close();
    await sshd.stop();
  }
});

Deno.test("real runner: a login script that prints, and ends no line, does no harm", async () => {
  const dir = await Deno.makeTempDir();
  const fleet = new WatchedFleet();
  try {
    const python = `${dir}/python`;
    const shim = '#!/bin/sh\nprintf "Welcome!\\n> "\nexec python3 "$@"\n';
    await Deno.writeTextFile(python, shim, { mode: 0o755 });
    fleet.configure([nodeSpec("a", { kind: "local" }, { workdir: `${dir}/w`, python })], claim(1));
    assert.equal((await fleet.observe([])).get(A)?.state, "reachable");
  } finally {
    await fleet.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("real runner: an older controller is refused for good", async () => {
  const dir = await Deno.makeTempDir();
  const fleet = new WatchedFleet();
  try {
    const spec = nodeSpec("a", { kind: "local" }, { workdir: `${dir}/work` });
    fleet.configure([spec], claim(5));
    await fleet.observe([]);
    assert.equal((await fleet.clean(A, "demo", 1)).kind, "ok");
    fleet.configure([spec], claim(4));
    const late = await fleet.launch(A, RUN, launchSpec(["true"], dir));
    assert.ok(late.kind === "terminal" && /^stale-epoch: /.test(late.reason), JSON.stringify(late));
  } finally {
    await fleet.close();
    await Deno.remove(dir, { recursive: true });
  }
});
