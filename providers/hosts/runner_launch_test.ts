import assert from "node:assert/strict";
import {
  eventually,
  PYTHON,
  read,
  runDir,
  Runner,
  scenario,
  supervisorGone,
} from "./fixtures/runner.ts";

scenario("runs a program to its end and tells each change of state", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const launched = await runner.shell("demo", 'echo "out $1"; echo err >&2; sleep 0.1; exit 3', {
    args: ["a b"],
  });
  assert.equal(launched.result.created, true);
  const run = await runner.until("demo", "exited");
  assert.equal(run.exit?.code, 3);
  assert.equal(run.exit?.reason, "exited");
  assert.equal(run.processes, 0);
  assert.equal(run.meta.commit, "c0ffee");
  assert.ok(run.masterPort! > 0);
  assert.deepEqual(run.error?.message, "err");
  assert.equal(await runner.tail("demo"), "out a b\n");
  const tells = () => Promise.resolve(runner.events.at(-1) === "run demo/1/0 exited" || undefined);
  await eventually(tells, "event");
});

scenario("launching the same attempt again returns the first run", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const marker = `${workdir}/started`;
  await runner.shell("demo", 'echo x >>"$1"; sleep 0.2', { args: [marker] });
  assert.equal((await runner.launch("demo")).result.created, false);
  await runner.until("demo", "exited");
  const again = await runner.launch("demo");
  assert.equal(again.result.created, false);
  assert.equal(again.result.run.state, "exited");
  assert.equal(await read(marker), "x\n");
});

scenario("two runners that launch the same attempt at once start one agent", async (workdir) => {
  await using first = await Runner.open(workdir);
  await using second = await Runner.open(workdir);
  const marker = `${workdir}/started`;
  for (let attempt = 1; attempt <= 5; attempt++) {
    const program = { kind: "command", argv: ["sh", "-c", 'echo x >>"$1"', "sh", marker] };
    const both = await Promise.all(
      [first, second].map((runner) => runner.launch("demo", { program }, { attempt })),
    );
    assert.deepEqual(both.map((answer) => answer.result.created).sort(), [false, true]);
    await first.until("demo", "exited", attempt);
  }
  assert.equal(await read(marker), "x\n".repeat(5));
});

scenario(
  "a launch whose supervisor never came is taken up again, an agent that ran is not",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.shell("demo", "true");
    await runner.until("demo", "exited");
    const folder = await runDir(workdir, "demo");
    await supervisorGone(folder);
    for (const name of ["exit.json", "supervisor.json", "agent.json"]) {
      await Deno.remove(`${folder}/${name}`);
    }
    assert.equal((await runner.launch("demo")).result.created, false);
    await runner.until("demo", "exited");

    await supervisorGone(folder);
    await Deno.remove(`${folder}/exit.json`);
    const agent = await read(`${folder}/agent.json`);
    assert.equal((await runner.launch("demo")).result.run.state, "lost");
    assert.equal(await read(`${folder}/agent.json`), agent);
  },
);

scenario(
  "a process of the `processes` launcher gets ranks, marker, config and checkpoint folder",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.shell("demo", "env; pwd", {
      nodes: 2,
      gpusPerNode: 2,
      gpus: ["GPU-a", "GPU-b"],
      master: { address: "127.0.0.1", port: 29999 },
      env: {
        MINE: "1",
        UGRO_JOB: "forged",
        UGRO_ARRAY_INDEX: "7",
        CUDA_DEVICE_ORDER: "FASTEST_FIRST",
      },
      resumeFrom: "checkpoints/demo/step-7",
      workdir,
    });
    await runner.until("demo", "exited");
    const lines = (await runner.tail("demo", "stdout", 1)).split("\n");
    const folder = await runDir(workdir, "demo");
    const root = await Deno.realPath(workdir);
    for (
      const line of [
        "RANK=1",
        "LOCAL_RANK=1",
        "WORLD_SIZE=4",
        "LOCAL_WORLD_SIZE=2",
        "GROUP_RANK=0",
        "MASTER_ADDR=127.0.0.1",
        "MASTER_PORT=29999",
        "UGRO_RUN=demo/1/0",
        "UGRO_JOB=demo",
        "UGRO_ARRAY_INDEX=7",
        "UGRO_ATTEMPT=1",
        `UGRO_CONFIG=${folder}/config.json`,
        `UGRO_CHECKPOINT_DIR=${root}/checkpoints/demo`,
        `UGRO_RESUME_FROM=${root}/checkpoints/demo/step-7`,
        "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b",
        "CUDA_DEVICE_ORDER=FASTEST_FIRST",
        "NCCL_SOCKET_IFNAME==lo",
        "GLOO_SOCKET_IFNAME=lo",
        "MINE=1",
        workdir,
      ]
    ) assert.ok(lines.includes(line), `${line} in\n${lines.join("\n")}`);
    assert.deepEqual(JSON.parse((await read(`${folder}/config.json`))!), { learning_rate: 0.1 });
    assert.ok((await Deno.stat(`${root}/checkpoints/demo`)).isDirectory);
  },
);

scenario("resume arguments name the checkpoint; without one they are left out", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const resumeArgs = ["--resume={path}", "--step", "{step}", "{other}"];
  await runner.shell("fresh", 'echo "$@"', { args: ["-x"], resumeArgs });
  await runner.shell("again", 'echo "$@"', { resumeArgs, resumeFrom: "~/c/step-7", resumeStep: 7 });
  await runner.until("fresh", "exited");
  await runner.until("again", "exited");
  assert.equal(await runner.tail("fresh"), "-x\n");
  const home = Deno.env.get("HOME");
  assert.equal(await runner.tail("again"), `--resume=${home}/c/step-7 --step 7 {other}\n`);
});

scenario(
  "when one process fails the others are stopped, and the first failure is told",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const script =
      'if [ "$RANK" = 1 ]; then echo "Traceback (most recent call last): x" >&2; exit 7; fi;' +
      "sleep 60";
    await runner.shell("demo", script, { gpusPerNode: 2, gpus: ["cpu:0", "cpu:1"] });
    const run = await runner.until("demo", "exited");
    assert.equal(run.exit?.code, 7);
    assert.equal(run.error?.rank, 1);
    assert.match(run.error!.message, /^Traceback/);
  },
);

scenario(
  "a script or program that is not there ends the run at once, and says where",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.launch("script", { program: { kind: "script", path: "no/train.py" } });
    const script = await runner.until("script", "exited");
    assert.equal(script.exit?.reason, "start-failed");
    assert.match(
      script.exit!.message!,
      /^Cannot start: script \/no\/train.py does not exist on n0/,
    );
    await runner.launch("conda", { activation: { kind: "conda", env: "e", root: "/none" } });
    const conda = await runner.until("conda", "exited");
    assert.match(conda.exit!.message!, /^Cannot start: no conda found \(looked for .* in \/none\)/);
  },
);

scenario(
  "environments are entered: venv by its paths, conda and shell by words of the owner",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const root = await Deno.realPath(workdir);
    await Deno.mkdir(`${root}/venv/bin`, { recursive: true });
    await Deno.symlink(PYTHON, `${root}/venv/bin/python3`);
    await Deno.mkdir(`${root}/conda/etc/profile.d`, { recursive: true });
    await Deno.writeTextFile(
      `${root}/conda/etc/profile.d/conda.sh`,
      'conda() { export WHERE="$1 $2"; }\n',
    );
    const say = 'echo "$VIRTUAL_ENV$WHERE ${PATH%%:*} $1"';
    const args = ["$(touch x) ; 'quoted'"];
    await runner.shell("venv", say, { args, activation: { kind: "venv", path: `${root}/venv` } });
    await runner.shell("conda", say, {
      args,
      activation: { kind: "conda", env: "e 1", root: `${root}/conda` },
    });
    await runner.shell("shell", say, {
      args,
      activation: { kind: "shell", line: "export WHERE=here" },
    });
    for (const job of ["venv", "conda", "shell"]) await runner.until(job, "exited");
    assert.equal(await runner.tail("venv"), `${root}/venv ${root}/venv/bin ${args[0]}\n`);
    assert.match(await runner.tail("conda"), /^activate e 1 .* \$\(touch x\) ; 'quoted'\n$/);
    assert.match(await runner.tail("shell"), /^here .* \$\(touch x\) ; 'quoted'\n$/);
  },
);

scenario("a run that starts while it is looked at is never taken for lost", async (workdir) => {
  // Every look at the lock that finds it free takes so long that the supervisor is up meanwhile.
  const patch = `
import fcntl as F, os as O, time as T
def slow(flock=F.flock, close=O.close, probed=set()):
    def look(fd, how):
        flock(fd, how)
        if how & F.LOCK_SH: probed.add(fd)
    def end(fd):
        close(fd)
        if fd in probed:
            probed.discard(fd)
            T.sleep(0.3)
    F.flock, O.close = look, end
slow()`;
  await using runner = await Runner.open(workdir, 1, { patch });
  const seen = new Set<string>([(await runner.shell("demo", "sleep 1")).result.run.state]);
  for (let state = ""; state !== "exited"; seen.add(state)) {
    state = (await runner.run("demo")).state;
  }
  assert.equal(seen.has("lost"), false, [...seen].join(" "));
  assert.deepEqual(runner.events.filter((what) => what.endsWith("lost")), []);
});
