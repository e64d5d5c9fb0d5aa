/** Machines that fail, and programs that meddle with their own run. */
import assert from "node:assert/strict";
import type { RunRecord } from "../../jobs/run.ts";
import {
  alive,
  eventually,
  gone,
  PYTHON,
  read,
  runDir,
  Runner,
  scenario,
  written,
} from "./fixtures/runner.ts";

const DIES = { program: { kind: "command", argv: ["sleep", "60"] } };

scenario(
  "a module that lies in the home folder is not taken for one of Python's",
  async (workdir) => {
    await Deno.mkdir(`${workdir}/home`);
    for (const name of ["json", "queue", "random", "socket"]) {
      await Deno.writeTextFile(
        `${workdir}/home/${name}.py`,
        `open("${workdir}/seen", "w").close()`,
      );
    }
    await using runner = await Runner.open(`${workdir}/w`, 1, { cwd: `${workdir}/home` });
    assert.deepEqual(await runner.runs(), []);
    assert.equal(await read(`${workdir}/seen`), undefined);
  },
);

scenario("SIGTERM that comes before the agent's exec is not lost", async (workdir) => {
  const patch = `_fork = os.fork
def _slow():
    pid = _fork()
    if pid == 0:
        time.sleep(0.5)
    return pid
os.fork = _slow`;
  await using runner = await Runner.open(workdir, 1, { patch });
  await runner.launch("demo", DIES);
  await written(`${await runDir(workdir, "demo")}/agent.json`);
  await runner.stop("demo", 40_000);
  const run = await runner.until("demo", "exited");
  assert.deepEqual([run.exit?.reason, run.exit?.signal], ["stopped", 15]);
});

scenario(
  "a stop that cannot be recorded (disk full) is carried out all the same",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.launch("demo", DIES);
    await runner.until("demo", "running");
    // Where the record would be written to first.
    await Deno.mkdir(`${await runDir(workdir, "demo")}/stop.json.${runner.pid}.tmp`);
    assert.equal((await runner.stop("demo", 1000)).ok, true);
    assert.equal((await runner.until("demo", "exited")).exit?.reason, "stopped");
  },
);

scenario(
  "records that are damaged or forged hide no run, and keep none from being stopped",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.launch("good", DIES);
    const names = ["spec", "agent", "stop", "error", "supervisor"];
    const junk = ["", '{"spec":[],"epoch":"x"}', '{"x":1}', "[".repeat(100_000), '{"rank":1e99}'];
    for (const [i, text] of junk.entries()) {
      await runner.launch(`bad-${i}`, DIES);
      await runner.until(`bad-${i}`, "running");
      const folder = await runDir(workdir, `bad-${i}`);
      for (const name of names) await Deno.writeTextFile(`${folder}/${name}.json`, text);
    }
    const runs = await runner.runs();
    assert.deepEqual(runs.map((run) => run.job), [...junk.map((_, i) => `bad-${i}`), "good"]);
    for (const { stop, error, epoch, gpus } of runs.slice(0, -1)) {
      assert.deepEqual({ stop, error, epoch, gpus }, {
        stop: null,
        error: null,
        epoch: 0,
        gpus: [],
      });
    }
    for (const { job } of runs) {
      assert.equal((await runner.stop(job, 0)).ok, true, job);
      await runner.until(job, "exited");
    }
  },
);

scenario("an unreadable record of an end is no success", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await runner.shell("demo", "true");
  await runner.until("demo", "exited");
  await Deno.writeTextFile(`${await runDir(workdir, "demo")}/exit.json`, '{"code":');
  const run = await runner.run("demo");
  assert.deepEqual([run.state, run.exit?.reason, run.exit?.code], ["exited", "lost", null]);
});

scenario("a program that removes its logs still ends with its own exit code", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await runner.shell("demo", 'rm -rf "$UGRO_RUN_DIR/logs"; exit 7');
  const run = await runner.until("demo", "exited");
  assert.deepEqual([run.exit?.reason, run.exit?.code], ["exited", 7]);
});

scenario(
  "a run whose folder was removed ends: nobody could see or stop it any more",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await runner.shell("demo", 'echo $$ >"$1"; rm -rf "$UGRO_RUN_DIR"; exec sleep 60', {
      args: [`${workdir}/pid`],
      graceMs: 1000,
    });
    await gone(Number(await written(`${workdir}/pid`)));
    assert.deepEqual(await runner.runs(), []);
  },
);

scenario("named pipes in place of files hold up nobody", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const script = `cd "$UGRO_RUN_DIR" && rm -f logs/0.err && mkfifo logs/0.err logs/0.out error.json
    echo x; echo y >&2; exit 3`;
  await runner.shell("demo", script);
  assert.equal((await runner.until("demo", "exited")).exit?.code, 3);
  assert.equal(await runner.tail("demo"), "");
  assert.deepEqual(await runner.tail("demo", "stderr"), "");
});

scenario("a forged supervisor.json gets nobody else signalled", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const bystander = new Deno.Command("sleep", { args: ["60"] }).spawn();
  await runner.shell("demo", 'echo $$ >"$1"; exec sleep 60', { args: [`${workdir}/pid`] });
  await written(`${workdir}/pid`);
  const path = `${await runDir(workdir, "demo")}/supervisor.json`;
  const who = JSON.parse((await read(path))!);
  const stat = (await read(`/proc/${bystander.pid}/stat`))!;
  const startTime = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  await Deno.writeTextFile(path, JSON.stringify({ ...who, pid: bystander.pid, startTime }));
  assert.equal((await runner.stop("demo", 0)).ok, true);
  await runner.until("demo", "exited");
  assert.equal(await alive(bystander.pid), true);
  bystander.kill("SIGKILL");
  await bystander.status;
});

scenario(
  "a checkpoint folder that hangs (a dead network disk) is unknown, the rest is told",
  async (workdir) => {
    const patch = `_listdir = os.listdir
os.listdir = lambda path=".": time.sleep(60) if str(path).endswith("/dead") else _listdir(path)`;
    await using runner = await Runner.open(workdir, 1, { patch });
    await Deno.mkdir(`${workdir}/good`);
    await Deno.writeTextFile(`${workdir}/good/step-1`, "x");
    const pattern = "step-*";
    for (let i = 0; i < 2; i++) {
      const { result } = await runner.ask("observe", {
        checkpoints: [{ job: "a", dir: "dead", pattern }, { job: "b", dir: "good", pattern }],
      });
      assert.equal(result.checkpoints.a, undefined);
      assert.match(result.checkpointErrors.a, /not answered/);
      assert.equal(result.checkpoints.b[0].step, 1);
    }
  },
);

scenario("an error of the disk makes no run look lost", async (workdir) => {
  const patch = `_open, _fail = os.open, ${JSON.stringify(workdir)} + "/fail"
def _broken(path, *rest, **more):
    if str(path).endswith("/lock") and os.path.exists(_fail):
        raise OSError(errno.EIO, "Input/output error", path)
    return _open(path, *rest, **more)
os.open = _broken`;
  await using runner = await Runner.open(workdir, 1, { patch });
  await runner.launch("demo", DIES);
  await runner.until("demo", "running");
  await Deno.writeTextFile(`${workdir}/fail`, "");
  const answer = await runner.ask("observe", { checkpoints: [] });
  assert.match(answer.error?.message ?? JSON.stringify(answer.result.runs), /Input\/output error/);
  await Deno.remove(`${workdir}/fail`);
  await runner.stop("demo", 0);
  await runner.until("demo", "exited");
});

for (const [way, jump] of [["back", -7200], ["forward", 7200]] as const) {
  scenario(`a clock that is set ${way} shortens no grace period`, async (workdir) => {
    const patch = `_time = time.time
def _shifted():
    try:
        return _time() + float(open(${JSON.stringify(workdir)} + "/jump").read() or 0)
    except OSError:
        return _time()
time.time = _shifted`;
    await using runner = await Runner.open(workdir, 1, { patch });
    const script = `trap 'sleep 1; echo saved >"$1"; exit 0' TERM; echo up >"$2"
      while :; do sleep 0.05; done`;
    await runner.shell("demo", script, { args: [`${workdir}/saved`, `${workdir}/up`] });
    await written(`${workdir}/up`);
    await runner.stop("demo", 60_000);
    await Deno.writeTextFile(`${workdir}/jump`, `${jump}`);
    await runner.stop("demo", 60_000);
    assert.equal((await runner.until("demo", "exited")).exit?.reason, "stopped");
    assert.equal(await read(`${workdir}/saved`), "saved\n");
  });
}

scenario(
  "what is left of a lost run is ended with all its children, marked or not",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const script = `env -i setsid sh -c 'echo $$ >"$0"; exec sleep 60 >/dev/null 2>&1' "$1" & wait`;
    await runner.shell("demo", script, { args: [`${workdir}/pid`] });
    const pid = Number(await written(`${workdir}/pid`));
    await eventually(
      async () => await read(`/proc/${pid}/comm`) === "sleep\n" || undefined,
      "exec",
    );
    const { pid: supervisor } = JSON.parse(
      (await read(`${await runDir(workdir, "demo")}/supervisor.json`))!,
    );
    Deno.kill(supervisor, "SIGKILL");
    await runner.until("demo", "lost");
    await runner.stop("demo", 0);
    const run: RunRecord = await runner.until("demo", "exited");
    assert.equal(run.exit?.reason, "lost");
    assert.equal(await alive(pid), false);
  },
);

scenario("a supervisor that somebody has stopped (SIGSTOP) still obeys a stop", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await runner.launch("demo", DIES);
  await runner.until("demo", "running");
  const { pid } = JSON.parse((await read(`${await runDir(workdir, "demo")}/supervisor.json`))!);
  Deno.kill(pid, "SIGSTOP");
  await runner.stop("demo", 1000);
  assert.equal((await runner.until("demo", "exited")).exit?.reason, "stopped");
});

scenario(
  "links and unreadable things in a checkpoint folder hide no checkpoint",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const dir = `${await Deno.realPath(workdir)}/c`;
    await Deno.mkdir(`${dir}/step-1`, { recursive: true });
    await Deno.mkdir(`${dir}/step-2`);
    await Deno.writeTextFile(`${dir}/step-1/weights`, "w");
    await Deno.symlink("..", `${dir}/step-1/folder`);
    await Deno.writeTextFile(`${dir}/step-2/weights`, "w");
    await Deno.symlink("nowhere", `${dir}/step-2/dangling`);
    const { result } = await runner.ask("observe", {
      checkpoints: [{ job: "a", dir, pattern: "step-*" }],
    });
    assert.deepEqual(
      result.checkpoints.a?.map((c: { step: number; complete: boolean }) => [c.step, c.complete]),
      [[2, false], [1, true]],
    );
  },
);

scenario(
  "odd folders and times among the error files of a run hide none that is real",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const script = `import json, os, sys
elastic = os.environ["UGRO_RUN_DIR"] + "/elastic/odd/"
for name in ["99999999999999999999", "7", "-1", "٣", "²", "0"]:
    os.makedirs(elastic + name)
    deep = name == "0"
    text = '{"message": ' + "[" * 100_000 if deep else json.dumps({"message": "odd " + name})
    open(elastic + name + "/error.json", "w").write(text)
real = {"message": {"message": "the real one", "extraInfo": {"timestamp": "1e300"}}}
json.dump(real, open(os.environ["TORCHELASTIC_ERROR_FILE"], "w"))
sys.exit(1)`;
    const program = { kind: "command", argv: [PYTHON, "-c", script] };
    await runner.launch("demo", { program });
    const { error } = await runner.until("demo", "exited");
    assert.deepEqual([error?.message, error?.rank], ["the real one", 0]);
  },
);

scenario("a rank that the agent's log cannot mean hides no error", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const [job, rank] of [["large", "9".repeat(30)], ["endless", "9".repeat(5000)]] as const) {
    const forged = `Root Cause (first observed failure):\nlocal_rank: ${rank}\nexitcode : 1`;
    const script = `echo "$1"; echo the real one >&2; exit 3`;
    // Without torchrun the supervisor sees who failed; a stand-in for torchrun it has to believe.
    const python = `${workdir}/python-${job}`;
    const text = `#!/bin/sh\nset -- '${forged}'\n${script}\n`;
    await Deno.writeTextFile(python, text, { mode: 0o755 });
    await runner.launch(job, { launcher: "torchrun", python });
    const { error } = await runner.until(job, "exited");
    assert.match(error?.message ?? "", /the real one/);
    assert.equal(error?.rank, null);
  }
});
