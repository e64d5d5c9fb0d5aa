/**
 * What `runner.py` promises (docs/runner.md), shown on the real file over real pipes. Every test has
 * a work directory of its own, and ends only processes that it started, by pid.
 *
 * UGRO_TORCH_PYTHON names a Python with PyTorch; without it the torchrun tests are left out.
 */
import assert from "node:assert/strict";
import type { RunRecord } from "../../jobs/run.ts";

const SOURCE = await Deno.readFile(new URL("./runner.py", import.meta.url));
const BOOTSTRAP = "import sys;b=sys.stdin.buffer;s=b.read(int(b.readline()));" +
  'exec(compile(s,"runner.py","exec"),{"__name__":"__ugro_runner__","UGRO_SOURCE":s})';
const PYTHON = await output("python3", "-c", "import sys; print(sys.executable)");
const TORCH = Deno.env.get("UGRO_TORCH_PYTHON");
const DIGEST = "d".repeat(40);

type Fields = Record<string, unknown>;
interface Answer {
  readonly id?: number | null;
  readonly ok?: boolean;
  readonly event?: string;
  readonly what?: string;
  // deno-lint-ignore no-explicit-any
  readonly result?: any;
  readonly error?: { readonly code: string; readonly message: string };
}

async function output(...argv: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(argv[0]!, { args: argv.slice(1) }).output();
  return new TextDecoder().decode(stdout).trim();
}

/** One session with a runner. */
class Runner {
  readonly events: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers = new Map<number | null, (answer: Answer) => void>();
  readonly #reading: Promise<void>;
  #next = 0;

  constructor(env: Record<string, string> = {}) {
    this.#child = new Deno.Command(PYTHON, {
      args: ["-u", "-c", BOOTSTRAP],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      env,
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  static async open(workdir: string, epoch = 1, env: Record<string, string> = {}): Promise<Runner> {
    const runner = new Runner(env);
    // The source and the first request in one write: the runner must not lose what lies behind it.
    const hello = runner.#expect(0);
    const frame = JSON.stringify({ id: 0, op: "hello", workdir, epoch, repository: "r1" });
    const head = new TextEncoder().encode(`${SOURCE.length}\n`);
    await runner.#writer.write(concat(head, SOURCE, new TextEncoder().encode(`${frame}\n`)));
    const answer = await hello;
    assert.equal(answer.result?.protocol, 1);
    return runner;
  }

  get pid(): number {
    return this.#child.pid;
  }

  ask(op: string, fields: Fields = {}): Promise<Answer> {
    const id = ++this.#next;
    const answer = this.#expect(id);
    return this.send(JSON.stringify({ id, op, epoch: 1, ...fields })).then(() => answer);
  }

  /** The answer to something that has no readable id. */
  refused(line: string): Promise<Answer> {
    const answer = this.#expect(null);
    return this.send(line).then(() => answer);
  }

  send(line: string): Promise<void> {
    return this.#writer.write(new TextEncoder().encode(`${line}\n`));
  }

  async runs(): Promise<RunRecord[]> {
    return (await this.ask("observe", { checkpoints: [] })).result.runs;
  }

  async run(job: string, attempt = 1): Promise<RunRecord> {
    const found = (await this.runs()).find((r) => r.job === job && r.attempt === attempt);
    assert.ok(found, `no run ${job}/${attempt}`);
    return found;
  }

  until(job: string, state: string, attempt = 1): Promise<RunRecord> {
    return eventually(async () => {
      const run = await this.run(job, attempt);
      return run.state === state ? run : undefined;
    }, `${job} ${state}`);
  }

  launch(job: string, changes: Fields = {}, fields: Fields = {}): Promise<Answer> {
    return this.ask("launch", { job, attempt: 1, rank: 0, spec: spec(changes), ...fields });
  }

  /** Launches a shell script that gets `args` as its "$@". */
  shell(job: string, script: string, changes: Fields = {}): Promise<Answer> {
    return this.launch(job, {
      program: { kind: "command", argv: ["sh", "-c", script, "sh"] },
      ...changes,
    });
  }

  async tail(job: string, stream = "stdout", local = 0, bytes = 10_000): Promise<string> {
    const fields = { job, attempt: 1, rank: 0, local, stream, bytes };
    return (await this.ask("tail", fields)).result.text;
  }

  stop(job: string, graceMs: number, fields: Fields = {}): Promise<Answer> {
    return this.ask("stop", { job, attempt: 1, rank: 0, graceMs, reason: "test", ...fields });
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#end();
  }

  async #end(): Promise<void> {
    await this.#writer.abort().catch(() => {});
    await this.#reading;
    await this.#child.status;
  }

  #expect(id: number | null): Promise<Answer> {
    return new Promise((resolve) => this.#answers.set(id, resolve));
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const frame: Answer = JSON.parse(line);
        if (frame.event) this.events.push(frame.what!);
        else this.#answers.get(frame.id ?? null)?.(frame);
      }
    }
  }
}

function spec(changes: Fields = {}): Fields {
  return {
    nodes: 1,
    gpusPerNode: 1,
    gpus: ["cpu:0"],
    master: { address: "127.0.0.1", port: 0 },
    localAddress: "127.0.0.1",
    rendezvousId: "demo-1",
    launcher: "processes",
    program: { kind: "command", argv: ["true"] },
    args: [],
    code: null,
    workdir: null,
    project: "/",
    env: {},
    python: PYTHON,
    activation: null,
    checkpointDir: "checkpoints/demo",
    resumeFrom: null,
    resumeStep: null,
    resumeArgs: [],
    config: { learning_rate: 0.1 },
    graceMs: 5000,
    meta: { commit: "c0ffee", specDigest: "abc", nodes: ["n0"], gpus: [["cpu:0"]] },
    ...changes,
  };
}

function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function eventually<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const end = Date.now() + 60_000;
  while (Date.now() < end) {
    const value = await look();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`did not happen within 60 s: ${what}`);
}

function read(path: string): Promise<string | undefined> {
  return Deno.readTextFile(path).catch(() => undefined);
}

/** Waits for a file that a run writes. */
function written(path: string): Promise<string> {
  return eventually(async () => (await read(path))?.trim() || undefined, `${path} written`);
}

/** Whether a process lives (a zombie does not). */
async function alive(pid: number): Promise<boolean> {
  const stat = await read(`/proc/${pid}/stat`);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

function gone(...pids: number[]): Promise<true> {
  return eventually(async () => {
    const living = await Promise.all(pids.map(alive));
    return living.some(Boolean) ? undefined : true;
  }, `${pids} gone`);
}

/** Waits until the supervisor of an ended run is gone too: it holds the lock to its last breath. */
async function supervisorGone(folder: string): Promise<void> {
  await gone(JSON.parse((await read(`${folder}/supervisor.json`))!).pid);
}

async function runDir(workdir: string, job: string): Promise<string> {
  return `${await Deno.realPath(workdir)}/runs/${job}/1/0`;
}

function scenario(
  name: string,
  test: (workdir: string) => Promise<void>,
  options: { ignore?: boolean } = {},
): void {
  Deno.test({
    name: `runner: ${name}`,
    ...options,
    async fn() {
      const workdir = await Deno.makeTempDir({ prefix: "ugro-runner-" });
      try {
        await test(workdir);
      } finally {
        await Deno.remove(workdir, { recursive: true });
      }
    },
  });
}

// ── launching ───────────────────────────────────────────────────────────────────────────────

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
      env: { MINE: "1", UGRO_JOB: "forged", CUDA_DEVICE_ORDER: "FASTEST_FIRST" },
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

// ── stopping ────────────────────────────────────────────────────────────────────────────────

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

// ── logs ────────────────────────────────────────────────────────────────────────────────────

scenario("logs are rotated; the first segment stays for ever", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done";
  await runner.shell("demo", script, { logLimitBytes: 4096 });
  await runner.until("demo", "exited");
  const logs = `${await runDir(workdir, "demo")}/logs`;
  assert.match((await read(`${logs}/0.out.0`))!, /^line 0\n/);
  assert.equal((await Deno.stat(`${logs}/0.out.1`)).size, 4096);
  assert.match((await read(`${logs}/0.out`))!, /line 1999\n$/);
  const tail = await runner.tail("demo", "stdout", 0, 5000);
  assert.equal(tail.length, 5000, "a tail goes back into the segment before");
  assert.match(tail, /line 1998\nline 1999\n$/);
});

// ── hostile input ───────────────────────────────────────────────────────────────────────────

scenario("what is not a request is refused and never ends the session", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const line of ["{", "[]", '"x"', '{"id":true,"op":"observe"}', "[".repeat(100_000), ""]) {
    assert.equal((await runner.refused(line)).error?.code, "invalid", line.slice(0, 40));
  }
  assert.equal((await runner.refused("x".repeat(9 << 20))).error?.code, "invalid");
  assert.equal((await runner.ask("__class__")).error?.code, "invalid");
  assert.equal((await runner.ask("observe", { checkpoints: 3 })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { args: ["nul\0"] })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { args: ["\ud800"] })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { env: { "a b": "" } })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { nodes: 1.5 })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { python: "-c" })).error?.code, "invalid");
  assert.deepEqual(await runner.runs(), []);
});

scenario("no name leads out of the work directory", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const job of ["..", "a/b", "../../x", "A", "-a", "a".repeat(64), "a\n"]) {
    assert.equal((await runner.launch(job)).error?.code, "invalid", job);
    assert.equal((await runner.stop(job, 0)).error?.code, "invalid", job);
    assert.equal(
      (await runner.ask("clean", { job, throughAttempt: 1 })).error?.code,
      "invalid",
      job,
    );
  }
  assert.equal((await runner.launch("demo", {}, { attempt: "../1" })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", {}, { rank: -1 })).error?.code, "invalid");
  assert.equal((await runner.ask("code-has", { digest: "../../x" })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { code: "/etc" })).error?.code, "invalid");
});

scenario("no shell reads what a job says", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const evil = [
    `$(touch ${workdir}/x)`,
    `\`touch ${workdir}/x\``,
    "; exit 9",
    "'\"",
    "--",
    "$$ ${x}",
  ];
  await runner.launch("demo", {
    program: { kind: "command", argv: ["printf", "%s\\n"] },
    args: evil,
    env: { EVIL: `$(touch ${workdir}/x)` },
    rendezvousId: `../$(touch ${workdir}/x)`,
  });
  const run = await runner.until("demo", "exited");
  assert.equal(run.exit?.code, 0);
  assert.equal(await runner.tail("demo"), evil.join("\n") + "\n");
  assert.equal(await read(`${workdir}/x`), undefined);
});

// ── shipped code ────────────────────────────────────────────────────────────────────────────

/** A tar made by Python's own tarfile from `add(name, type, content or link)` lines. */
async function tar(members: [name: string, type: string, content: string][]): Promise<Uint8Array> {
  const script = `import io, json, sys, tarfile
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT,
                  pax_headers={"comment": "c0ffee"}) as t:
    for name, kind, content in json.loads(sys.argv[1]):
        m = tarfile.TarInfo(name)
        m.type = kind.encode()
        m.mode = 0o755 if name.endswith(".sh") else 0o644
        data = content.encode() if kind == "0" else b""
        m.size, m.linkname = len(data), "" if kind == "0" else content
        t.addfile(m, io.BytesIO(data))
sys.stdout.buffer.write(out.getvalue())`;
  const args = ["-c", script, JSON.stringify(members)];
  return (await new Deno.Command(PYTHON, { args }).output()).stdout;
}

async function put(runner: Runner, digest: string, data: Uint8Array, parts = 1): Promise<Answer> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data.slice())).toHex();
  const size = Math.ceil(data.length / parts);
  let answer: Answer = {};
  for (let offset = 0; offset < data.length; offset += size) {
    const chunk = data.slice(offset, offset + size);
    const fields = { digest, sha256: hash, offset, data: chunk.toBase64() };
    const last = offset + size >= data.length;
    answer = await runner.ask("code-put", { ...fields, last });
    if (!last) await runner.ask("code-put", { ...fields, last }); // a repeated piece does no harm
  }
  return answer;
}

scenario("code is shipped in pieces, unpacked once, and run read-only", async (workdir) => {
  await using first = await Runner.open(workdir);
  await using second = await Runner.open(workdir);
  const data = await tar([
    ["train.py", "0", "import lib, sys, os; print(lib.x, sys.argv[1:], os.getcwd())"],
    ["lib.py", "0", "x = 7"],
    ["bin/run.sh", "0", "#!/bin/sh\n"],
    ["bin/link", "2", "../lib.py"],
  ]);
  assert.equal((await first.launch("demo", { code: DIGEST })).error?.code, "not-found");
  const both = await Promise.all([put(first, DIGEST, data, 3), put(second, DIGEST, data, 2)]);
  assert.deepEqual(both.map((answer) => answer.result?.received), [data.length, data.length]);
  assert.equal((await first.ask("code-has", { digest: DIGEST })).result.has, true);
  const root = `${await Deno.realPath(workdir)}/code`;
  assert.deepEqual([...Deno.readDirSync(root)].map((entry) => entry.name), [DIGEST]);
  assert.equal((await Deno.stat(`${root}/${DIGEST}/bin/run.sh`)).mode! & 0o777, 0o555);
  assert.equal((await Deno.stat(`${root}/${DIGEST}`)).mode! & 0o777, 0o555);

  const program = { kind: "script", path: "train.py" };
  await first.launch("demo", { code: DIGEST, program, args: ["--x"] });
  const run = await first.until("demo", "exited");
  assert.equal(run.exit?.code, 0, await first.tail("demo", "stderr"));
  assert.equal(await first.tail("demo"), `7 ['--x'] ${root}/${DIGEST}\n`);
  assert.equal(await read(`${root}/${DIGEST}/__pycache__`), undefined);
});

scenario(
  "an archive that is damaged or leads outside is refused and leaves nothing",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const evil: Record<string, [string, string, string][]> = {
      "an absolute path": [["/tmp/x", "0", "x"]],
      "a path with ..": [["a/../../x", "0", "x"]],
      "an absolute link": [["a", "2", "/etc"]],
      "a link outside": [["d/a", "2", "../../x"]],
      "a link outside by way of another": [["a/b/l", "2", "../.."], ["m", "2", "a/b/l/.."]],
      "a file through a link": [["a", "2", "."], ["a/x", "0", "x"]],
      "a hard link": [["a", "1", "/etc/passwd"]],
      "a device": [["a", "3", ""]],
      "a pipe": [["a", "6", ""]],
      "a file twice": [["a", "0", "1"], ["a", "0", "2"]],
    };
    for (const [what, members] of Object.entries(evil)) {
      const answer = await put(runner, DIGEST, await tar(members));
      assert.equal(answer.error?.code, "invalid", what);
    }
    assert.equal(
      (await put(runner, DIGEST, new TextEncoder().encode("no tar"))).error?.code,
      "invalid",
    );
    const fields = { digest: DIGEST, sha256: "0".repeat(64), offset: 0, data: "AAAA", last: true };
    assert.match((await runner.ask("code-put", fields)).error!.message, /arrived damaged/);
    const gap = await runner.ask("code-put", { ...fields, offset: 5 });
    assert.equal(gap.error?.code, "invalid");
    assert.deepEqual([...Deno.readDirSync(`${workdir}/code`)], []);
  },
);

// ── observation ─────────────────────────────────────────────────────────────────────────────

scenario("checkpoints come newest first, and a truncated one is not complete", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const dir = `${await Deno.realPath(workdir)}/c`;
  await Deno.mkdir(dir);
  const end = new Uint8Array(22);
  end.set([0x50, 0x4b, 5, 6]);
  const zip = concat(new TextEncoder().encode("PK\x03\x04" + "x".repeat(100)), end);
  await Deno.writeFile(`${dir}/step-9.pt`, zip);
  await Deno.writeFile(`${dir}/step-0100.pt`, zip.slice(0, 80));
  await Deno.writeFile(`${dir}/step-20.pt`, new Uint8Array());
  await Deno.writeTextFile(`${dir}/step-3.pt`, "a pickle");
  await Deno.writeTextFile(`${dir}/step-4.pt.tmp`, "not yet");
  const header = new TextEncoder().encode('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}');
  const length = new Uint8Array(8);
  length[0] = header.length;
  for (const [step, bytes] of [[1, 4], [2, 3]]) {
    await Deno.mkdir(`${dir}/full-${step}`);
    const tensors = concat(length, header, new Uint8Array(bytes!));
    await Deno.writeFile(`${dir}/full-${step}/model.safetensors`, tensors);
  }
  await Deno.mkdir(`${dir}/full-3`);
  await Deno.writeTextFile(`${dir}/full-1/.metadata`, "m");
  const ask = async (job: string, pattern: string, more: Fields = {}) => {
    const { result } = await runner.ask("observe", {
      checkpoints: [{ job, dir: "c", pattern, ...more }],
    });
    return result.checkpoints[job]?.map((c: { step: number; complete: boolean }) =>
      `${c.step} ${c.complete}`
    );
  };
  assert.deepEqual(await ask("a", "step-*.pt"), ["100 false", "20 false", "9 true", "3 true"]);
  assert.deepEqual(await ask("b", "full-*"), ["3 false", "2 false", "1 true"]);
  const marked = await ask("b", "full-*", { marker: ".metadata" });
  assert.deepEqual(marked, ["3 false", "2 false", "1 true"]);
  assert.deepEqual(await ask("c", "step-*.pt", { dir: "nowhere" }), []);
  assert.equal(await ask("d", "no star"), undefined, "unknown is not none");
});

/** A folder for PATH with a fake nvidia-smi in it. */
async function fakeSmi(workdir: string, body: string): Promise<Record<string, string>> {
  await Deno.mkdir(`${workdir}/bin`);
  await Deno.writeTextFile(`${workdir}/bin/nvidia-smi`, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return { PATH: `${workdir}/bin:/usr/bin:/bin` };
}

scenario("GPUs and their processes are told, ours apart from others'", async (workdir) => {
  const env = await fakeSmi(
    workdir,
    `case "$1" in --query-gpu*) echo "GPU-a, 0, H100";; *) cat "${workdir}/apps";; esac`,
  );
  await using runner = await Runner.open(workdir, 1, env);
  const bystander = new Deno.Command("sleep", {
    args: ["60"],
    env: { UGRO_RUN: "demo/1/0", UGRO_RUN_DIR: "/somewhere/else/runs/demo/1/0" },
  }).spawn();
  // Ours has lost its marker, but a parent has it.
  await runner.shell("demo", `env -i sleep 60 & echo $! >"$1"; wait`, { args: [`${workdir}/pid`] });
  const ours = await written(`${workdir}/pid`);
  const apps = [ours, bystander.pid, 4194300].map((pid) => `GPU-a, ${pid}, python, 10`).join("\n");
  await Deno.writeTextFile(`${workdir}/apps`, apps);
  const { result } = await runner.ask("observe", { checkpoints: [] });
  assert.equal(result.gpus.csv, "GPU-a, 0, H100\n");
  assert.deepEqual(result.pids, {
    [ours]: { alive: true, run: ["demo", 1, 0] },
    [bystander.pid]: { alive: true, run: null },
    4194300: { alive: false, run: null },
  });
  bystander.kill("SIGKILL");
  await bystander.status;
  await runner.stop("demo", 0);
  await runner.until("demo", "exited");
});

scenario("an nvidia-smi that fails is an error, never an absence", async (workdir) => {
  const env = await fakeSmi(workdir, "echo 'Driver/library version mismatch'; exit 18");
  await using runner = await Runner.open(workdir, 1, env);
  const { result } = await runner.ask("observe", { checkpoints: [] });
  assert.match(result.gpus.error, /exited 18: Driver\/library version mismatch/);
  assert.match(result.apps.error, /exited 18/);
});

scenario(
  "an nvidia-smi that hangs is given up, and holds up no launch meanwhile",
  async (workdir) => {
    const env = await fakeSmi(workdir, `echo $$ >>"${workdir}/pids"; sleep 60`);
    await using runner = await Runner.open(workdir, 1, env);
    let answered = false;
    const observed = runner.ask("observe", { checkpoints: [] }).finally(() => answered = true);
    assert.equal((await runner.shell("demo", "true")).result.created, true);
    assert.equal((await runner.stop("demo", 0)).ok, true);
    assert.equal(answered, false);
    assert.match((await observed).result.gpus.error, /has not answered for 2 s/);
    await runner.close();
    await gone(...(await read(`${workdir}/pids`))!.trim().split("\n").map(Number));
  },
);

scenario(
  "an nvidia-smi that is slow holds up no observation: the last answer is told, then a change",
  async (workdir) => {
    const env = await fakeSmi(
      workdir,
      `cat "${workdir}/delay" | xargs sleep; cat "${workdir}/gpus"`,
    );
    await Deno.writeTextFile(`${workdir}/delay`, "0");
    await Deno.writeTextFile(`${workdir}/gpus`, "GPU-a, 0, H100, 0\n");
    await using runner = await Runner.open(workdir, 1, env);
    const observe = async () => (await runner.ask("observe", { checkpoints: [] })).result.gpus.csv;
    assert.equal(await observe(), "GPU-a, 0, H100, 0\n");
    await Deno.writeTextFile(`${workdir}/delay`, "3");
    await Deno.writeTextFile(`${workdir}/gpus`, "GPU-a, 0, H100, 7\n");
    await new Promise((done) => setTimeout(done, 600)); // until the first answer is old
    assert.equal(await observe(), "GPU-a, 0, H100, 0\n");
    const isTold = () => runner.events.includes("GPUs or who uses them") || undefined;
    await eventually(() => Promise.resolve(isTold()), "a change");
    assert.equal(await observe(), "GPU-a, 0, H100, 7\n");
  },
);

scenario("a work directory belongs to the state repository that used it first", async (workdir) => {
  await using first = await Runner.open(workdir);
  assert.equal((await first.ask("hello", { workdir, epoch: 1, repository: "r1" })).ok, true);
  const { error } = await first.ask("hello", { workdir, epoch: 9, repository: "other" });
  assert.equal(error?.code, "conflict");
  assert.match(error?.message ?? "", /belongs to another/);
});

scenario("a machine without nvidia-smi has no GPUs", async (workdir) => {
  await Deno.mkdir(`${workdir}/bin`);
  await using runner = await Runner.open(workdir, 1, { PATH: `${workdir}/bin` });
  const { result } = await runner.ask("observe", { checkpoints: [] });
  assert.deepEqual([result.gpus, result.apps], [{ absent: true }, { absent: true }]);
  assert.ok(result.memoryTotalMiB > 0 && result.diskFreeMiB > 0 && result.cpuCores > 0);
});

// ── torchrun ────────────────────────────────────────────────────────────────────────────────

const TRAIN = `
import sys
import torch, torch.distributed as dist

dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
print(int(total.item()), sys.argv[1:], flush=True)
dist.destroy_process_group()
`;

const FAIL = `
import os, time
if os.environ["RANK"] == "0":
    time.sleep(60)
from torch.distributed.elastic.multiprocessing.errors import record

@record
def main():
    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

main()
`;

scenario(
  "torchrun starts all ranks with the words as they are, and reports the first failure",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    await Deno.writeTextFile(`${workdir}/train.py`, TRAIN);
    await Deno.writeTextFile(`${workdir}/fail.py`, FAIL);
    // Beside the script, and would break torchrun if it ran in that folder.
    await Deno.mkdir(`${workdir}/argparse`);
    const args = ["$(touch x)", "$$", "${local_rank}", "--", "a b"];
    const changes = {
      launcher: "torchrun",
      gpusPerNode: 2,
      gpus: ["cpu:0", "cpu:1"],
      python: TORCH,
      project: workdir,
      program: { kind: "script", path: "train.py" },
    };
    await runner.launch("good", { ...changes, args });
    await runner.launch("bad", { ...changes, program: { kind: "script", path: "fail.py" } });
    const good = await runner.until("good", "exited");
    assert.equal(good.exit?.code, 0, await runner.tail("good", "agent"));
    assert.equal(good.error, null);
    const said = `2 ['$(touch x)', '$$', '\${local_rank}', '--', 'a b']\n`;
    assert.equal(await runner.tail("good", "stdout", 0), said);
    assert.equal(await runner.tail("good", "stdout", 1), said);
    const bad = await runner.until("bad", "exited");
    assert.equal(bad.exit?.code, 1);
    assert.deepEqual([bad.error?.rank, bad.error?.source], [1, "error-file"]);
    assert.equal(bad.error?.message, "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB");
  },
  { ignore: !TORCH },
);
