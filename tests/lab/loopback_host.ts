/**
 * A host of the lesser lab, for machines without root: an sshd on 127.0.0.1 with a port and a
 * folder of its own. Processes are told apart by what their environment says; there is no cable to
 * cut, and boot id and /tmp are the machine's.
 *
 * @module
 */
import { BaseHost, mentions } from "./host.ts";
import { hostPath, type HostPlan } from "./files.ts";
import {
  eventually,
  killQuietly,
  type LiveProcess,
  liveProcesses,
  run,
  type RunOptions,
  type RunResult,
} from "./processes.ts";

/** See `Host`. */
export class LoopbackHost extends BaseHost {
  readonly interface = "lo";
  readonly canCut = false;
  readonly disk = undefined;
  readonly #labId: string;
  #sshd: Deno.ChildProcess | undefined;

  constructor(plan: HostPlan, labId: string) {
    super(plan);
    this.#labId = labId;
  }

  exec(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<RunResult> {
    if (this.#sshd === undefined) throw new Error(`Cannot use ${this.name}: it is down`);
    return run(argv, {
      cwd: this.home,
      ...options,
      clearEnv: true,
      env: { ...this.#environment(), HOME: this.home, USER: this.user, ...options.env },
    });
  }

  async crash(): Promise<void> {
    const sshd = this.#sshd;
    if (sshd === undefined) throw new Error(`Cannot crash ${this.name}: it is down`);
    this.#sshd = undefined;
    killQuietly(sshd.pid);
    await sshd.status;
    await eventually(`end the processes of ${this.name}`, 5_000, () => {
      const left = this.#processes();
      for (const process of left) killQuietly(process.pid);
      return left.length === 0 ? true : undefined;
    });
  }

  async boot(): Promise<void> {
    if (this.#sshd !== undefined) throw new Error(`Cannot boot ${this.name}: it runs`);
    await Deno.writeTextFile(`${this.dir}/sshd.log`, "");
    // An sshd of root's wants this folder; Debian makes it when its own sshd starts.
    if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    this.#sshd = new Deno.Command("/usr/sbin/sshd", {
      args: ["-D", "-E", `${this.dir}/sshd.log`, "-f", `${this.dir}/sshd_config`],
      env: this.#environment(),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await eventually(
      `boot ${this.name}`,
      10_000,
      async () => await this.sshdListens() || undefined,
      () => this.sshdLog(),
    );
  }

  cut(): Promise<void> {
    return Promise.reject(new Error("Cannot cut a loopback host: run the lab as root"));
  }

  restore(): Promise<void> {
    return Promise.resolve();
  }

  fillDisk(): Promise<void> {
    return Promise.reject(noDisk());
  }

  freeDisk(): Promise<void> {
    return Promise.reject(noDisk());
  }

  listDisk(): Promise<string[]> {
    return Promise.reject(noDisk());
  }

  pids(text: string): LiveProcess[] {
    return this.#processes().filter((process) => mentions(process, text));
  }

  #processes(): LiveProcess[] {
    return liveProcesses((process) =>
      (process.environ.get("UGRO_LAB_ID") === this.#labId &&
        process.environ.get("UGRO_LAB_HOST") === this.name) ||
      // Jobs get an environment made anew, which names folders of their host.
      [...process.environ.values()].some((value) => value.includes(`${this.dir}/`))
    );
  }

  #environment(): Record<string, string> {
    return {
      PATH: hostPath(this.dir),
      UGRO_LAB_ID: this.#labId,
      UGRO_LAB_HOST: this.name,
    };
  }
}

function noDisk(): Error {
  return new Error("Cannot use the disk of a loopback host: run the lab as root");
}
