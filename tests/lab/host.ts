/**
 * One host of a lab: how tests run programs on it, break it and look at it.
 *
 * @example
 * await host.crash();           // power off: no process of it is left, nothing answers
 * await host.boot();            // and on again, with another boot id
 * host.pids("UGRO_JOB=demo");   // live processes on it that carry this text
 *
 * @module
 */
import { changeGpus, type GpuState, readGpus } from "./gpus.ts";
import type { LiveProcess, RunOptions, RunResult } from "./processes.ts";

/** Which packets between the controller and a host are lost; `both`: and all others of the host. */
export type CutDirection = "both" | "to-host" | "from-host";

/** A host as tests see it. */
export interface Host {
  /** `h1`, `h2`, … */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Network interface that reaches the other hosts. */
  readonly interface: string;
  /** The host's folder in the lab: home, gpus.json, sshd.log. Same path inside and outside. */
  readonly dir: string;
  /** Home folder of `user`. Same path inside and outside. */
  readonly home: string;
  /** False in the loopback lab: `cut` throws. */
  readonly canCut: boolean;
  /** Runs a program on the host without ssh (works while the link is cut), in its home. */
  exec(argv: readonly [string, ...string[]], options?: RunOptions): Promise<RunResult>;
  /** The power goes: the link first, so that no farewell reaches anybody, then every process. */
  crash(): Promise<void>;
  /** Power on after `crash`, with a new boot id and an empty /tmp; waits for sshd. */
  boot(): Promise<void>;
  /** Pulls the cable: everything on the host goes on, nothing reaches it. Or cuts one way only. */
  cut(direction?: CutDirection): Promise<void>;
  /** Plugs the cable in again; undoes every `cut`. */
  restore(): Promise<void>;
  /** Mount point of the host's own disk (`diskMiB`); it survives crashes. */
  readonly disk: string | undefined;
  /** Writes until nothing more fits on the disk. Works while the host is down. */
  fillDisk(): Promise<void>;
  /** Removes what `fillDisk` wrote. */
  freeDisk(): Promise<void>;
  /** Paths (relative to it) of everything on the disk, folders with a `/` at the end. */
  listDisk(): Promise<string[]>;
  /** Live processes on the host whose environment or command line contains `text`. */
  pids(text: string): LiveProcess[];
  readGpus(): Promise<GpuState>;
  changeGpus(change: (state: GpuState) => GpuState): Promise<void>;
}

/** What both kinds of hosts have in common. */
export abstract class BaseHost implements Host {
  abstract readonly interface: string;
  abstract readonly canCut: boolean;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly dir: string;
  readonly home: string;

  constructor(
    plan: Pick<Host, "name" | "address" | "port" | "user" | "dir" | "home">,
  ) {
    this.name = plan.name;
    this.address = plan.address;
    this.port = plan.port;
    this.user = plan.user;
    this.dir = plan.dir;
    this.home = plan.home;
  }

  abstract exec(argv: readonly [string, ...string[]], options?: RunOptions): Promise<RunResult>;
  abstract crash(): Promise<void>;
  abstract boot(): Promise<void>;
  abstract cut(direction?: CutDirection): Promise<void>;
  abstract restore(): Promise<void>;
  abstract readonly disk: string | undefined;
  abstract fillDisk(): Promise<void>;
  abstract freeDisk(): Promise<void>;
  abstract listDisk(): Promise<string[]>;
  abstract pids(text: string): LiveProcess[];

  readGpus(): Promise<GpuState> {
    return readGpus(this.dir);
  }

  changeGpus(change: (state: GpuState) => GpuState): Promise<void> {
    return changeGpus(this.dir, change);
  }

  /** Resolves once this boot's sshd says that it listens. */
  protected async sshdListens(): Promise<boolean> {
    try {
      return (await Deno.readTextFile(`${this.dir}/sshd.log`)).includes("Server listening on");
    } catch {
      return false;
    }
  }

  protected async sshdLog(): Promise<string> {
    const logs = ["sshd.log", "console.log"].map((name) =>
      Deno.readTextFile(`${this.dir}/${name}`).catch(() => `(no ${name})\n`)
    );
    return (await Promise.all(logs)).join("");
  }
}

/** True when a process's environment or command line contains `text`. */
export function mentions(process: LiveProcess, text: string): boolean {
  if (process.argv.some((argument) => argument.includes(text))) return true;
  for (const [name, value] of process.environ) {
    if (`${name}=${value}`.includes(text)) return true;
  }
  return false;
}
