/**
 * The launch that UGRO is compared with: the same `torchrun` started by hand, one ssh command a
 * host.
 *
 * @example
 * const { firstLineMs } = await launchByHand(lab, { python, script: "train.py", args: [] });
 *
 * @module
 */
import type { Lab } from "../tests/lab/lab.ts";

/** What to start by hand. */
export interface HandmadeLaunch {
  /** Python with PyTorch, as the hosts see it. */
  readonly python: string;
  /** Absolute path that all hosts see, below `lab.shared` for example. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Ranks a host. Default: 1. */
  readonly ranksPerHost?: number;
  /** Default: 60,000. */
  readonly timeoutMs?: number;
}

/** How it went. */
export interface HandmadeResult {
  /** From the first ssh command until every rank had printed its first line. */
  readonly firstLineMs: number;
  /** Until the last ssh command ended. */
  readonly totalMs: number;
  /** Exit codes of the ssh commands, in rank order. */
  readonly codes: readonly number[];
  /** Everything that each host printed, in rank order. */
  readonly output: readonly string[];
}

let nextPort = 29_600;

/** Runs `torchrun` on all hosts of the lab at once and waits for its end. */
export async function launchByHand(lab: Lab, launch: HandmadeLaunch): Promise<HandmadeResult> {
  const ranksPerHost = launch.ranksPerHost ?? 1;
  const start = performance.now();
  const signal = AbortSignal.timeout(launch.timeoutMs ?? 60_000);
  const port = nextPort++;
  const runs = await Promise.all(lab.hosts.map((_, nodeRank) => {
    const command = new Deno.Command("ssh", {
      args: [
        "-F",
        lab.sshConfig,
        "-T",
        hostName(lab, nodeRank),
        commandLine(lab, launch, nodeRank, port),
      ],
      env: { UGRO_LAB_ID: lab.id },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal,
    });
    return follow(command.spawn(), ranksPerHost, start);
  }));
  return {
    firstLineMs: Math.max(...runs.map((run) => run.firstLineMs)),
    totalMs: performance.now() - start,
    codes: runs.map((run) => run.code),
    output: runs.map((run) => run.output),
  };
}

function hostName(lab: Lab, nodeRank: number): string {
  return lab.hosts[nodeRank]?.name ?? "";
}

function commandLine(lab: Lab, launch: HandmadeLaunch, nodeRank: number, port: number): string {
  const host = lab.hosts[nodeRank];
  const words = [
    "exec",
    "env",
    `GLOO_SOCKET_IFNAME=${host?.interface}`,
    "PYTHONUNBUFFERED=1",
    launch.python,
    "-m",
    "torch.distributed.run",
    `--nnodes=${lab.hosts.length}`,
    `--nproc-per-node=${launch.ranksPerHost ?? 1}`,
    `--node-rank=${nodeRank}`,
    "--rdzv-backend=static",
    `--master-addr=${lab.hosts[0]?.address}`,
    `--master-port=${port}`,
    `--local-addr=${host?.address}`,
    "--max-restarts=0",
    "--tee=1",
    launch.script,
    ...launch.args ?? [],
  ];
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ").replace(
    "'exec'",
    "exec",
  );
}

/** Reads a host's output; `--tee` marks each rank's lines with `[default0]:`. */
async function follow(
  child: Deno.ChildProcess,
  ranks: number,
  start: number,
): Promise<{ firstLineMs: number; code: number; output: string }> {
  const seen = new Set<string>();
  let firstLineMs = Number.POSITIVE_INFINITY;
  let output = "";
  let rest = "";
  const stderr = new Response(child.stderr).text();
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const rank = /^\[default(\d+)\]:/.exec(line)?.[1];
      if (rank !== undefined) seen.add(rank);
    }
    if (seen.size === ranks && firstLineMs === Number.POSITIVE_INFINITY) {
      firstLineMs = performance.now() - start;
    }
  }
  const { code } = await child.status;
  return { firstLineMs, code, output: output + await stderr };
}
