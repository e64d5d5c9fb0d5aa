import assert from "node:assert/strict";
import {
  alive,
  eventually,
  gone,
  read,
  runDir,
  Runner,
  scenario,
  supervisorGone,
  written,
} from "./fixtures/runner.ts";

scenario("a stop lets the script save and end within the grace period", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const saved = `${workdir}/saved`;
  const ready = `${workdir}/ready`;
  const script =
    `trap 'echo saved >"$1"; exit 0' TERM; : >"$2"; echo up >"$2"; while :; do sleep 0.05; done`;
  await runner.shell("demo", script, { args: [saved, ready] });
  await written(ready);
  assert.equal((await runner.stop("demo", 10_000)).ok, true);
  const run = await runner.until("demo", "exited");
  assert.equal(run.exit?.reason, "stopped");
  assert.equal(run.exit?.code, 0);
  assert.equal(run.stop?.reason, "test");
  assert.equal(run.error, null);
  assert.equal(await read(saved), "saved\n");
  assert.equal((await runner.stop("demo", 0)).ok, true, "to stop an ended run is nothing");
});

scenario(
  "what ignores SIGTERM is killed after the grace period, which a second stop can shorten",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const ready = `${workdir}/ready`;
    await runner.shell("demo", `trap '' TERM; echo $$ >"$1"; while :; do sleep 0.05; done`, {
      args: [ready],
    });
    const pid = Number(await written(ready));
    await runner.stop("demo", 60_000, { reason: "first" });
    assert.equal((await runner.run("demo")).state, "stopping");
    await runner.stop("demo", 200, { reason: "second" });
    const run = await runner.until("demo", "exited");
    assert.equal(run.exit?.reason, "killed");
    assert.equal(run.exit?.signal, 9);
    assert.equal(run.stop?.reason, "first");
    assert.equal(await alive(pid), false);
  },
);

scenario(
  "grandchildren in sessions of their own, without marker or parent, are gone at the end",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const pids = `${workdir}/pids`;
    const script = `setsid sh -c 'echo $$ >>"$0"; trap "" TERM; while :; do sleep 1; done' "$1" &
    env -i setsid sh -c 'echo $$ >>"$0"; while :; do sleep 1; done' "$1" &
    while [ "$(wc -l <"$1")" != 2 ]; do sleep 0.02; done`;
    await Deno.writeTextFile(pids, "");
    await runner.shell("demo", `${script}; sleep 60`, { args: [pids] });
    await eventually(async () => (await read(pids))?.match(/\d+\n\d+\n/) ? true : undefined, "two");
    await runner.stop("demo", 0);
    const run = await runner.until("demo", "exited");
    assert.equal(run.exit?.reason, "killed");
    for (const pid of (await read(pids))!.trim().split("\n")) {
      assert.equal(await alive(Number(pid)), false);
    }
  },
);

scenario("what a program leaves behind is swept, and its own exit code stands", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await runner.shell("demo", `setsid sleep 60 & echo $! >"$1"; exit 0`, {
    args: [`${workdir}/pid`],
  });
  const run = await runner.until("demo", "exited");
  assert.equal(run.exit?.reason, "exited");
  assert.equal(run.exit?.code, 0);
  assert.equal(await alive(Number(await written(`${workdir}/pid`))), false);
});

scenario(
  "SIGTERM to the supervisor (a shutdown) is a stop with the job's grace period",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.shell("demo", "sleep 60");
    await runner.until("demo", "running");
    const { pid } = JSON.parse((await read(`${await runDir(workdir, "demo")}/supervisor.json`))!);
    Deno.kill(pid, "SIGHUP");
    Deno.kill(pid, "SIGTERM");
    const run = await runner.until("demo", "exited");
    assert.equal(run.exit?.reason, "stopped");
    assert.equal(run.stop?.reason, "supervisor got SIGTERM");
    assert.equal(run.stop?.graceMs, 5000);
  },
);

scenario(
  "a run whose supervisor was killed is lost, says what is left, and a stop ends that",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.shell("demo", `echo $$ >"$1"; exec sleep 60`, { args: [`${workdir}/pid`] });
    const pid = Number(await written(`${workdir}/pid`));
    const { pid: supervisor } = JSON.parse(
      (await read(`${await runDir(workdir, "demo")}/supervisor.json`))!,
    );
    Deno.kill(supervisor, "SIGKILL");
    const lost = await runner.until("demo", "lost");
    assert.equal(lost.processes, 1);
    const kept = await runner.ask("clean", { job: "demo", throughAttempt: 9 });
    assert.equal(kept.result.removed, 0, "a lost run with processes is not cleaned");
    await runner.stop("demo", 0);
    const run = await runner.until("demo", "exited");
    assert.equal(run.exit?.reason, "lost");
    await gone(pid);
  },
);

scenario("a run of an earlier boot is lost, and nothing of it is signalled", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await runner.shell("demo", "true");
  await runner.until("demo", "exited");
  const folder = await runDir(workdir, "demo");
  await supervisorGone(folder);
  await Deno.remove(`${folder}/exit.json`);
  const bystander = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const who = { pid: bystander.pid, startTime: 1, bootId: "an-earlier-boot" };
  await Deno.writeTextFile(`${folder}/supervisor.json`, JSON.stringify(who));
  const lost = await runner.run("demo");
  assert.deepEqual([lost.state, lost.processes], ["lost", 0]);
  await runner.stop("demo", 0);
  await runner.until("demo", "exited");
  assert.equal(await alive(bystander.pid), true);
  bystander.kill("SIGKILL");
  await bystander.status;
});

scenario("a run survives its runner, and the next runner reports it", async (workdir) => {
  const first = await Runner.open(workdir);
  await first.shell("demo", `while [ ! -e "$1" ]; do sleep 0.02; done; echo done`, {
    args: [`${workdir}/go`],
  });
  await first.until("demo", "running");
  await first.kill();
  await using second = await Runner.open(workdir, 2);
  assert.equal((await second.run("demo")).state, "running");
  await Deno.writeTextFile(`${workdir}/go`, "");
  const run = await second.until("demo", "exited");
  assert.equal(run.exit?.code, 0);
  assert.equal(await second.tail("demo"), "done\n");
});

scenario("an older controller is refused, and a stop of nothing is not found", async (workdir) => {
  await using runner = await Runner.open(workdir, 5);
  const stale = await runner.launch("demo");
  assert.equal(stale.error?.code, "stale-epoch");
  assert.deepEqual(await runner.runs(), []);
  assert.equal((await runner.stop("demo", 0, { epoch: 5 })).error?.code, "not-found");
  assert.equal((await runner.stop("demo", 0, { epoch: 6 })).error?.code, "not-found");
  assert.equal((await runner.stop("demo", 0, { epoch: 5 })).error?.code, "stale-epoch");
});

scenario("clean removes the records of ended attempts and no others", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const attempt of [1, 2]) {
    await runner.launch("demo", {}, { attempt });
    await runner.until("demo", "exited", attempt);
  }
  const program = { kind: "command", argv: ["sleep", "60"] };
  await runner.launch("demo", { program }, { attempt: 3 });
  await runner.until("demo", "running", 3);
  assert.equal((await runner.ask("clean", { job: "demo", throughAttempt: 1 })).result.removed, 1);
  assert.equal((await runner.ask("clean", { job: "demo", throughAttempt: 9 })).result.removed, 1);
  assert.deepEqual((await runner.runs()).map((run) => run.attempt), [3]);
  await runner.stop("demo", 0, { attempt: 3 });
  await runner.until("demo", "exited", 3);
});
