/**
 * The faults of a run of chaos, done to a lab.
 *
 * @module
 */
import { type Harness, pause } from "../harness.ts";
import type { CutDirection, Host } from "../host.ts";
import { killQuietly, type LiveProcess } from "../processes.ts";
import type { Fault, Target } from "./schedule.ts";
import type { Services } from "./services.ts";

/** One node's part of an attempt, as its processes name it. */
export interface Victim {
  readonly job: string;
  readonly attempt: number;
}

/** What a fault did. Times are milliseconds since the epoch. */
export interface Injected {
  readonly kind: string;
  /** Attempts that cannot have survived it. */
  readonly killed: readonly Victim[];
  readonly host?: string;
  readonly beganMs: number;
  readonly endedMs: number;
}

const CUTS: Readonly<Record<string, CutDirection>> = {
  "cut": "both",
  "cut-to-host": "to-host",
  "cut-from-host": "from-host",
};

/** How long a fault waits for a process that it could hit. */
const PATIENCE_MS = 6_000;

/** Injects faults and mends them again. */
export class Faults {
  readonly #harness: Harness;
  readonly #say: (text: string) => void;
  readonly #services: Services;
  readonly injected: Injected[] = [];

  constructor(harness: Harness, services: Services, say: (text: string) => void) {
    this.#harness = harness;
    this.#services = services;
    this.#say = say;
  }

  /** Resolves once the fault was mended. */
  async inject(fault: Fault): Promise<void> {
    const beganMs = Date.now();
    const killed = await this.#do(fault);
    if (killed === undefined) return;
    this.injected.push({
      kind: fault.kind === "kill" ? `kill ${fault.target}` : fault.kind,
      killed,
      ...("host" in fault ? { host: fault.host } : {}),
      beganMs,
      endedMs: Date.now(),
    });
  }

  async #do(fault: Fault): Promise<readonly Victim[] | undefined> {
    switch (fault.kind) {
      case "kill":
        return await this.#kill(fault.target, fault.pick);
      case "pause-rank":
        return await this.#pauseRank(fault.pick, fault.forMs);
      case "hide-repository":
        await this.#hideRepository(fault.forMs);
        return [];
      case "kill-service":
        await this.#services.kill(fault.pick, fault.forMs);
        return [];
      case "pause-service":
        await this.#services.pause(fault.pick, fault.forMs);
        return [];
      default:
        return await this.#onHost(fault.kind, this.#harness.lab.host(fault.host), fault.forMs);
    }
  }

  async #onHost(kind: string, host: Host, forMs: number): Promise<readonly Victim[]> {
    const seconds = `for ${(forMs / 1000).toFixed(1)} s`;
    switch (kind) {
      case "crash": {
        const killed = victims(find(host, "rank"));
        this.#say(`crash ${host.name} ${seconds}: ${show(killed)}`);
        await host.crash();
        await pause(forMs);
        await host.boot();
        this.#say(`${host.name} has booted`);
        return killed;
      }
      case "fill-disk":
        this.#say(`fill the disk of ${host.name} ${seconds}`);
        await host.fillDisk();
        await pause(forMs);
        await host.freeDisk();
        return [];
      case "fail-gpus":
        this.#say(`nvidia-smi fails on ${host.name} ${seconds}`);
        await host.changeGpus((state) => ({ ...state, mode: "fail" }));
        await pause(forMs);
        await host.changeGpus((state) => ({ ...state, mode: "ok" }));
        return [];
      default:
        this.#say(`${kind} ${host.name} ${seconds}`);
        await host.cut(CUTS[kind]);
        await pause(forMs);
        await host.restore();
        this.#say(`${host.name} is connected again`);
        return [];
    }
  }

  async #kill(target: Target, pick: number): Promise<readonly Victim[] | undefined> {
    const chosen = await this.#choose(target, pick);
    if (chosen === undefined) return undefined;
    const { host, process } = chosen;
    killQuietly(process.pid);
    const killed = target === "runner" || target === "session" ? [] : victims([process]);
    this.#say(`kill a ${target} on ${host.name}: ${show(killed)}`);
    return killed;
  }

  async #pauseRank(pick: number, forMs: number): Promise<readonly Victim[] | undefined> {
    const chosen = await this.#choose("rank", pick);
    if (chosen === undefined) return undefined;
    const { host, process } = chosen;
    killQuietly(process.pid, "SIGSTOP");
    const who = show(victims([process]));
    this.#say(`pause a rank on ${host.name} for ${(forMs / 1000).toFixed(1)} s: ${who}`);
    await pause(forMs);
    killQuietly(process.pid, "SIGCONT");
    return [];
  }

  /** The process that `pick` points at; waits a while for one to appear. */
  async #choose(target: Target, pick: number) {
    for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += 400) {
      const found = this.#harness.lab.hosts.flatMap((host) =>
        find(host, target).map((process) => ({ host, process }))
      );
      const chosen = found[Math.floor(pick * found.length)];
      if (chosen !== undefined) return chosen;
      await pause(400);
    }
    this.#say(`no ${target} to hit`);
    return undefined;
  }

  async #hideRepository(forMs: number): Promise<void> {
    const { repo } = this.#harness;
    this.#say(`the repository is away for ${(forMs / 1000).toFixed(1)} s`);
    await Deno.rename(repo, `${repo}.away`);
    await pause(forMs);
    await Deno.rename(`${repo}.away`, repo);
    this.#say("the repository is back");
  }
}

const FITS: Readonly<Record<Target, (process: LiveProcess) => boolean>> = {
  runner: ({ argv }) => argv[1] === "-I" && argv[2] === "-u" && !argv.includes("supervise"),
  session: ({ argv }) => /^sshd: .*@notty/.test(argv[0] ?? ""),
  supervisor: ({ argv }) => argv.includes("supervise"),
  agent: ({ argv, environ }) => argv.includes("torch.distributed.run") && environ.has("UGRO_RUN"),
  rank: ({ command, environ }) =>
    command.startsWith("python") && environ.has("UGRO_RUN") && environ.has("LOCAL_RANK"),
};

/** Processes of a kind on a host, in an order that does not depend on pids. */
function find(host: Host, target: Target): LiveProcess[] {
  const key = (process: LiveProcess) =>
    `${runOf(process) ?? ""} ${process.environ.get("LOCAL_RANK") ?? ""}`;
  return host.pids("").filter(FITS[target]).toSorted((a, b) => key(a) < key(b) ? -1 : 1);
}

/** `JOB/ATTEMPT/RANK` of a process of a run or of its supervisor. */
function runOf({ argv, environ }: LiveProcess): string | undefined {
  return environ.get("UGRO_RUN") ?? /\/runs\/([^/]+\/\d+\/\d+)$/.exec(argv.at(-1) ?? "")?.[1];
}

function victims(processes: readonly LiveProcess[]): Victim[] {
  const runs = processes.flatMap((process) => runOf(process) ?? []);
  const names = new Set(runs.map((run) => run.slice(0, run.lastIndexOf("/"))));
  return [...names].map((name) => {
    const [job = "", attempt = ""] = name.split("/");
    return { job, attempt: Number(attempt) };
  });
}

function show(killed: readonly Victim[]): string {
  return killed.map(({ job, attempt }) => `${job}/${attempt}`).join(", ") || "nothing of a job";
}
