/** Secrets reach the ranks and nothing else: docs/secrets.md, "Where a value goes". */
import assert from "node:assert/strict";
import { torchPython } from "../../tests/lab/torch.ts";
import { alive, read, runDir, Runner, scenario, supervisorGone } from "./fixtures/runner.ts";
import { eventually, type Fields, gone, PYTHON, written } from "./fixtures/runner.ts";

const TORCH = await torchPython();
const TOKEN = "hf_S3cr3t-0123456789";
const PEM = "-----BEGIN KEY-----\nMIIabcdef0123456789/+x\n-----END KEY-----\n";
const SECRETS = { HF_TOKEN: TOKEN, PEM };
const NAMES = { secretNames: Object.keys(SECRETS) };

/** Launches Python with the two secrets. */
function launch(runner: Runner, job: string, script: string, changes: Fields = {}, more = {}) {
  const program = { kind: "command", argv: [PYTHON, "-c", script] };
  return runner.launch(job, { program, ...NAMES, ...changes }, { secrets: SECRETS, ...more });
}

/** All bytes of all files below a folder, and of what processes show of themselves. */
async function everything(folder: string, ...pids: number[]): Promise<string> {
  const texts: string[] = [];
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for await (const { name, isFile, isDirectory } of Deno.readDir(next)) {
      if (isDirectory) folders.push(`${next}/${name}`);
      if (isFile) texts.push(await Deno.readTextFile(`${next}/${name}`));
    }
  }
  const environments = pids.map((pid) => `/proc/${pid}/environ`).join(" ");
  const script = `cat /proc/[0-9]*/cmdline ${environments} 2>/dev/null; true`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  return [...texts, new TextDecoder().decode(stdout)].join("\n");
}

function assertHidden(text: string): void {
  for (const part of [TOKEN, btoa(TOKEN), "MIIabcdef0123456789"]) {
    assert(
      !text.includes(part),
      `${part} in …${text.slice(Math.max(0, text.indexOf(part) - 200))}`,
    );
  }
}

const WAITS = `import os, time, hashlib
out = os.environ["OUT"] + "/" + os.environ["RANK"]
digest = hashlib.sha256((os.environ["HF_TOKEN"] + os.environ["PEM"]).encode()).hexdigest()
open(out + ".new", "w").write(digest)
os.rename(out + ".new", out)
while not os.path.exists(os.environ["OUT"] + "/end"):
    time.sleep(0.02)`;

scenario("the ranks get the values; no file, command line, log or frame does", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const out = await Deno.makeTempDir();
  try {
    await launch(runner, "demo", WAITS, { gpusPerNode: 2, gpus: ["a", "b"], env: { OUT: out } });
    const bytes = new TextEncoder().encode(TOKEN + PEM);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    for (const rank of [0, 1]) assert.equal(await written(`${out}/${rank}`), digest);
    const folder = await runDir(workdir, "demo");
    const supervisor = JSON.parse((await read(`${folder}/supervisor.json`))!).pid;
    const all = await everything(workdir, runner.pid, supervisor);
    assertHidden(all);
    assert(all.includes('"secretNames": ["HF_TOKEN", "PEM"]'), "what was read is what matters");
    const stdin = await new Deno.Command("readlink", { args: [`/proc/${supervisor}/fd/0`] })
      .output();
    assert.equal(new TextDecoder().decode(stdin.stdout).trim(), "/dev/null");
    await Deno.writeTextFile(`${out}/end`, "");
    await runner.until("demo", "exited");
    assertHidden(await everything(workdir));
    assertHidden(runner.said.join("\n"));
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

scenario("an error that repeats a secret is told without it", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const fail = (what: string) => `import os, base64, urllib.parse\nraise RuntimeError(${what})`;
  const token = `os.environ["HF_TOKEN"]`;
  await launch(runner, "plain", fail(`"401 for " + ${token}`));
  await launch(runner, "basic", fail(`base64.b64encode(("user:" + ${token}).encode())`));
  await launch(runner, "key", fail(`os.environ["PEM"]`));
  await launch(runner, "repr", fail(`repr({"key": os.environ["PEM"]})`));
  for (const job of ["plain", "basic", "key", "repr"]) {
    const { error } = await runner.until(job, "exited");
    assert.match(error?.message ?? "", /RuntimeError.*\[secret (HF_TOKEN|PEM)\]/s, job);
    assertHidden(error?.message ?? "");
    assertHidden((await read(`${await runDir(workdir, job)}/error.json`)) ?? "");
  }
});

scenario("a message that is cut off in the middle of a secret shows no part of it", async (dir) => {
  await using runner = await Runner.open(dir);
  const long = Array.from({ length: 3000 }, (_, i) => `k${i}`).join("");
  const print = `import os, sys\nsys.stderr.write(os.environ["LONG"] + " END")\nsys.exit(3)`;
  const whole = print.replace(`os.environ["LONG"]`, `"x" * 100 + os.environ["LONG"] * 3`);
  for (const [job, script] of [["once", print], ["thrice", whole]] as const) {
    const names = { secretNames: ["LONG"] };
    await launch(runner, job, script, names, { secrets: { LONG: long } });
    const { error } = await runner.until(job, "exited");
    assert.match(error?.message ?? "", / END$/);
    assert.doesNotMatch(error?.message ?? "", /k\d+k\d+k\d+/);
  }
});

scenario("so is one that says why nothing could be started", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const path = "/opt/secret-folder-0123";
  const program = { kind: "command", argv: ["no-such-program"] };
  const changes = { program, secretNames: ["PATH"] };
  await runner.launch("demo", changes, { secrets: { PATH: path } });
  const { exit, error } = await runner.until("demo", "exited");
  assert(exit !== null);
  assert.doesNotMatch(`${exit.message} ${error?.message}`, /secret-folder/);
});

scenario("an error file of torchelastic is told without the secret in it", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const script = `import json, os, sys
message = {"message": "E: " + os.environ["HF_TOKEN"], "extraInfo": {"timestamp": "1"}}
json.dump({"message": message}, open(os.environ["TORCHELASTIC_ERROR_FILE"], "w"))
sys.exit(1)`;
  await launch(runner, "demo", script);
  const { error } = await runner.until("demo", "exited");
  assert.deepEqual([error?.message, error?.source], ["E: [secret HF_TOKEN]", "error-file"]);
});

scenario(
  "who ends a run without its supervisor cannot clean a message and shows none",
  async (d) => {
    await using runner = await Runner.open(d);
    const script = `import json, os, time
path = os.environ["TORCHELASTIC_ERROR_FILE"]
json.dump({"message": "E: " + os.environ["HF_TOKEN"]}, open(path + ".new", "w"))
os.rename(path + ".new", path)
time.sleep(600)`;
    await launch(runner, "demo", script);
    const folder = await runDir(d, "demo");
    await written(`${folder}/elastic/processes/0/error.json`);
    const { pid } = JSON.parse((await read(`${folder}/supervisor.json`))!);
    Deno.kill(pid, "SIGKILL");
    await gone(pid);
    await runner.stop("demo", 0);
    const { error } = await runner.until("demo", "exited");
    assert.match(error?.message ?? "", /^not shown: the run has secrets/);
  },
);

scenario("a launch that was interrupted brings the values again", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const show = `import os\nprint(len(os.environ["HF_TOKEN"]), "HF_TOKEN" in os.environ)`;
  await launch(runner, "demo", show);
  await runner.until("demo", "exited");
  const folder = await runDir(workdir, "demo");
  await supervisorGone(folder);
  for (const name of ["exit.json", "supervisor.json", "agent.json", "logs/0.out"]) {
    await Deno.remove(`${folder}/${name}`);
  }
  // Started by hand, or by anything else that has not all values: it must not start the agent.
  for (const given of ["", "junk", `{"HF_TOKEN": "x"}`, `{"HF_TOKEN": "x", "PEM": 3}`]) {
    const complaint = await supervise(workdir, folder, given);
    assert.match(complaint, /not started: its secrets did not come; the next launch brings them/);
    assert.equal(await read(`${folder}/agent.json`), undefined);
  }
  assert.equal((await launch(runner, "demo", show)).result.created, false);
  await runner.until("demo", "exited");
  assert.equal(await runner.tail("demo"), `${TOKEN.length} True\n`);
});

/** Starts a supervisor as the runner does, with something else on its stdin; gives its complaint. */
async function supervise(workdir: string, folder: string, given: string): Promise<string> {
  const programs = await Array.fromAsync(Deno.readDir(`${workdir}/runner`));
  const name = programs.find((entry) => entry.name.endsWith(".py"))?.name;
  const child = new Deno.Command(PYTHON, {
    args: [`${workdir}/runner/${name}`, "supervise", folder],
    stdin: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(given));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stderr);
}

scenario("a launch without a value that its spec names is refused", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const secrets of [undefined, {}, { HF_TOKEN: TOKEN }]) {
    const { error } = await launch(runner, "demo", "", {}, { secrets });
    assert.equal(error?.code, "invalid");
    assert.match(error?.message ?? "", /no value came for the secret (PEM|HF_TOKEN)/);
  }
  assert.deepEqual(await runner.runs(), []);
});

scenario("a run that lives keeps the values that it was started with", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await launch(runner, "demo", "import time\ntime.sleep(600)");
  const { agent } = await eventually(async () => {
    const text = await read(`${await runDir(workdir, "demo")}/agent.json`);
    return text === undefined ? undefined : { agent: JSON.parse(text).pid };
  }, "agent");
  const secrets = { HF_TOKEN: "another-value", PEM };
  assert.equal((await launch(runner, "demo", "", {}, { secrets })).result.created, false);
  assert(await alive(agent));
  const environment = await read(`/proc/${agent}/environ`) ?? "";
  assert(!environment.includes("another-value"));
  await runner.stop("demo", 0);
  await runner.until("demo", "exited");
});

scenario("what is refused is refused without being repeated", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`S${i}`, TOKEN]));
  const wrong: unknown[] = [
    { HF_TOKEN: `${TOKEN}\0` },
    { HF_TOKEN: [TOKEN] },
    { HF_TOKEN: `${TOKEN}\ud800` },
    { HF_TOKEN: TOKEN + "x".repeat(200_000) },
    { "a b": TOKEN },
    [TOKEN],
    TOKEN,
    many,
  ];
  for (const secrets of wrong) {
    assert.equal((await launch(runner, "demo", "", {}, { secrets })).error?.code, "invalid");
  }
  await runner.refused(`{"id":"x","op":"launch","secrets":{"HF_TOKEN":"${TOKEN}"}}`);
  await runner.refused(`{"id":7,"op":"launch","secrets":{"HF_TOKEN":"${TOKEN}"`);
  assertHidden(runner.said.join("\n"));
  assert.deepEqual(await runner.runs(), []);
});

scenario(
  "a secret is not one of ours: names that begin with UGRO_ are left out",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const script = `import os\nprint(os.environ["UGRO_JOB"], os.environ["MINE"])`;
    const secrets = { ...SECRETS, UGRO_JOB: "forged", MINE: "mine" };
    const changes = { env: { MINE: "env" }, secretNames: Object.keys(secrets) };
    await launch(runner, "demo", script, changes, { secrets });
    await runner.until("demo", "exited");
    assert.equal(await runner.tail("demo"), "demo mine\n");
  },
);

scenario("torchrun's ranks get them, too, and its error is told without them", async (workdir) => {
  await using runner = await Runner.open(workdir);
  await Deno.writeTextFile(
    `${workdir}/fail.py`,
    `import os
from torch.distributed.elastic.multiprocessing.errors import record

@record
def main():
    raise RuntimeError("401 for " + os.environ["HF_TOKEN"])

main()
`,
  );
  const changes = {
    launcher: "torchrun",
    python: TORCH,
    project: workdir,
    program: { kind: "script", path: "fail.py" },
  };
  await launch(runner, "demo", "", changes);
  const { error } = await runner.until("demo", "exited");
  assert.deepEqual([error?.message, error?.source], [
    "RuntimeError: 401 for [secret HF_TOKEN]",
    "error-file",
  ]);
  for (const name of ["error.json", "exit.json", "spec.json", "config.json", "supervisor.log"]) {
    assertHidden((await read(`${await runDir(workdir, "demo")}/${name}`)) ?? "");
  }
  assertHidden(runner.said.join("\n"));
}, { ignore: !TORCH });
