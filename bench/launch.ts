/**
 * From `git push` to the first line of every rank on three real hosts, against the same torchrun
 * started by hand over three ssh commands, turn about in one run; one observation of the hosts; and
 * the service's memory at its peak.
 *
 * @module
 */
import type { NodeName } from "../cluster/node.ts";
import { systemClock } from "../providers/hosts/clock.ts";
import { HostFleet } from "../providers/hosts/fleet.ts";
import { Harness, job } from "../tests/lab/harness.ts";
import { type Lab, startLab } from "../tests/lab/lab.ts";
import { must, run } from "../tests/lab/processes.ts";
import { torchPython, venvOf } from "../tests/lab/torch.ts";
import { launchByHand } from "./handmade.ts";
import { figures, type Row } from "./table.ts";

const ROUNDS = 7;
const OBSERVATIONS = 100;

/** Prints a line at once; what it costs besides is torchrun's own start. */
const SCRIPT = 'import os\nprint("rank", os.environ["RANK"], "is here", flush=True)\n';

/** Measures; needs root, sshd and PyTorch, as the lab does. */
export async function benchLaunch(): Promise<Row[]> {
  const python = await torchPython();
  if (python === undefined) throw new Error("Cannot measure launches: no PyTorch");
  const dir = await Deno.makeTempDir({ prefix: "ugro-bench-" });
  const lab = await startLab({ dir, visible: [venvOf(python)] });
  try {
    await Deno.writeTextFile(`${lab.shared}/first_line.py`, SCRIPT);
    const harness = await Harness.start(lab, { python });
    const rows = await launches(lab, harness, python);
    rows.push(await memory(harness), await observation(lab, harness));
    await harness.close();
    return rows;
  } finally {
    await lab.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

async function launches(lab: Lab, harness: Harness, python: string): Promise<Row[]> {
  const script = `${lab.shared}/first_line.py`;
  const pushed: number[] = [];
  const byHand: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const hand = (await launchByHand(lab, { python, script })).firstLineMs;
    const push = await pushToFirstLine(harness, script, round);
    // The first round warms the page cache and is not counted.
    if (round > 0) byHand.push(hand), pushed.push(push);
  }
  const differences = pushed.map((ms, i) => ms - (byHand[i] as number));
  return [
    figures("by hand: ssh to first line of 3 ranks", "ms", byHand),
    figures("UGRO: git push to first line of 3 ranks", "ms", pushed),
    figures("difference, round by round", "ms", differences),
  ];
}

async function pushToFirstLine(harness: Harness, script: string, round: number): Promise<number> {
  const name = `bench-${round}`;
  const manifest = job({ script, resources: { nodes: harness.lab.hosts.length } });
  await Deno.mkdir(`${harness.work}/jobs`, { recursive: true });
  await Deno.writeTextFile(`${harness.work}/jobs/${name}.yaml`, manifest);
  const git = (...args: string[]) =>
    must(["git", "-c", "user.name=b", "-c", "user.email=b@localhost", ...args], {
      cwd: harness.work,
    });
  await git("add", "-A");
  await git("commit", "-q", "-m", name);
  const start = performance.now();
  await git("push", "-q", "origin", "HEAD:main");
  await harness.hint();
  const missing = new Set(harness.lab.hosts.keys());
  while (missing.size > 0) {
    if (performance.now() - start > 60_000) throw new Error(`${name} printed nothing in 60 s`);
    for (const rank of missing) {
      const host = harness.lab.hosts[rank];
      if (host && await harness.output(host, name, 1, rank)) missing.delete(rank);
    }
    await systemClock.sleep(2);
  }
  const ms = performance.now() - start;
  await harness.until(name, (status) => status.phase === "Succeeded", 60_000);
  return ms;
}

/** Peak resident memory of the service, from the kernel. */
async function memory(harness: Harness): Promise<Row> {
  const { stdout } = await run(["cat", `/proc/${harness.service.pid}/status`]);
  const kib = Number(/VmHWM:\s+(\d+) kB/.exec(stdout)?.[1]);
  return figures("service, peak resident memory", "MiB", [kib / 1024]);
}

async function observation(lab: Lab, harness: Harness): Promise<Row> {
  await harness.service.stop();
  const fleet = new HostFleet({ sshConfig: lab.sshConfig });
  fleet.configure(
    lab.hosts.map((host) => ({
      name: host.name as NodeName,
      connect: { kind: "ssh", host: host.address, port: host.port, user: host.user },
      address: host.address,
      labels: {},
      hardware: {},
      cpuSlots: 0,
      workdir: `${host.home}/bench-observe`,
      python: "python3",
    })),
    { epoch: 1, repository: "bench" },
  );
  const times: number[] = [];
  try {
    for (let i = 0; i < OBSERVATIONS + 3; i++) {
      const start = performance.now();
      const seen = await fleet.observe([]);
      if ([...seen.values()].some((node) => node.state !== "reachable")) continue;
      if (i >= 3) times.push(performance.now() - start);
      await systemClock.sleep(20);
    }
  } finally {
    await fleet.close();
  }
  return figures("one observation of 3 hosts over ssh", "ms", times);
}
