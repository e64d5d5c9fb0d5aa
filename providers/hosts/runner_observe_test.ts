import assert from "node:assert/strict";
import {
  concat,
  eventually,
  type Fields,
  gone,
  read,
  runDir,
  Runner,
  scenario,
  written,
} from "./fixtures/runner.ts";

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
  await using runner = await Runner.open(workdir, 1, { env });
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
  await using runner = await Runner.open(workdir, 1, { env });
  const { result } = await runner.ask("observe", { checkpoints: [] });
  assert.match(result.gpus.error, /exited 18: Driver\/library version mismatch/);
  assert.match(result.apps.error, /exited 18/);
});

scenario(
  "an nvidia-smi that hangs is given up, and holds up no launch meanwhile",
  async (workdir) => {
    const env = await fakeSmi(workdir, `echo $$ >>"${workdir}/pids"; sleep 60`);
    await using runner = await Runner.open(workdir, 1, { env });
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
    await using runner = await Runner.open(workdir, 1, { env });
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

scenario("a machine without nvidia-smi has no GPUs", async (workdir) => {
  await Deno.mkdir(`${workdir}/bin`);
  await using runner = await Runner.open(workdir, 1, { env: { PATH: `${workdir}/bin` } });
  const { result } = await runner.ask("observe", { checkpoints: [] });
  assert.deepEqual([result.gpus, result.apps], [{ absent: true }, { absent: true }]);
  assert.ok(result.memoryTotalMiB > 0 && result.diskFreeMiB > 0 && result.cpuCores > 0);
});

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
