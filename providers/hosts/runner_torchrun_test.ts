/** With real PyTorch, found as the lab finds it; without one these tests are left out. */
import assert from "node:assert/strict";
import { torchPython } from "../../tests/lab/torch.ts";
import { alive, read, runDir, Runner, scenario, written } from "./fixtures/runner.ts";

const TORCH = await torchPython();

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

scenario(
  "an agent that is killed (-9) takes its ranks with it, stopped ones (SIGSTOP) too",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const script = `import os, time, signal
open(f"{os.environ['PIDS']}/{os.environ['RANK']}", "w").write(str(os.getpid()))
if os.environ["RANK"] == "1":
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(600)`;
    await Deno.writeTextFile(`${workdir}/train.py`, script);
    await Deno.mkdir(`${workdir}/pids`);
    const changes = {
      launcher: "torchrun",
      gpusPerNode: 2,
      gpus: ["cpu:0", "cpu:1"],
      python: TORCH,
      project: workdir,
      program: { kind: "script", path: "train.py" },
      env: { PIDS: `${workdir}/pids` },
    };
    for (const job of ["killed", "stopped"]) {
      await runner.launch(job, changes);
      const paths = [0, 1].map((rank) => `${workdir}/pids/${rank}`);
      const pids = (await Promise.all(paths.map(written))).map(Number);
      for (const path of paths) await Deno.remove(path);
      const agent = JSON.parse((await read(`${await runDir(workdir, job)}/agent.json`))!);
      if (job === "killed") Deno.kill(agent.pid, "SIGKILL");
      else await runner.stop(job, 1500);
      const run = await runner.until(job, "exited");
      assert.equal(run.exit?.reason, job === "killed" ? "exited" : "killed");
      assert.equal(run.exit?.signal, 9);
      for (const pid of pids) assert.equal(await alive(pid), false);
    }
  },
  { ignore: !TORCH },
);
