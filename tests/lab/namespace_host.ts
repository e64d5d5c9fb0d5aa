/**
 * A host made of Linux namespaces. Its network lives as long as the lab (a `sleep` holds it), its
 * processes and mounts as long as its process 1 (`init.sh`).
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { BaseHost, mentions } from "./host.ts";
import type { HostPlan } from "./files.ts";
import { hostPath } from "./files.ts";
import {
  eventually,
  killQuietly,
  type LiveProcess,
  liveProcesses,
  must,
  run,
  type RunOptions,
  type RunResult,
} from "./processes.ts";

/** A running host: `unshare` outside and its only child, process 1 inside. */
interface Machine {
  readonly unshare: Deno.ChildProcess;
  readonly init: number;
  readonly pidNamespace: string;
}

/** What a namespace host needs to know of its lab. */
export interface Wiring {
  readonly labId: string;
  /** Process that holds the switch's network namespace. */
  readonly switchPid: number;
  /** Process that holds this host's network namespace. */
  readonly holderPid: number;
  /** Name of the switch's end of the host's cable. */
  readonly cable: string;
  /** Folders below /tmp that the host must see. */
  readonly visible: readonly string[];
}

/** See `Host`. */
export class NamespaceHost extends BaseHost {
  readonly interface = "eth0";
  readonly canCut = true;
  readonly #wiring: Wiring;
  #machine: Machine | undefined;

  constructor(plan: HostPlan, wiring: Wiring) {
    super(plan);
    this.#wiring = wiring;
  }

  async exec(
    argv: readonly [string, ...string[]],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const init = String(this.#alive().init);
    return await run(
      ["nsenter", "-t", init, "-m", "-u", "-i", "-n", "-p", `--wd=${this.home}`, ...argv],
      {
        ...options,
        clearEnv: true,
        env: {
          PATH: hostPath(this.dir),
          HOME: this.home,
          USER: this.user,
          UGRO_LAB_ID: this.#wiring.labId,
          UGRO_LAB_HOST: this.name,
          ...options.env,
        },
      },
    );
  }

  async crash(): Promise<void> {
    const { init, unshare } = this.#alive();
    await this.cut();
    this.#machine = undefined;
    killQuietly(init);
    await unshare.status;
  }

  async boot(): Promise<void> {
    if (this.#machine !== undefined) throw new Error(`Cannot boot ${this.name}: it runs`);
    await Deno.writeTextFile(`${this.dir}/boot_id`, `${crypto.randomUUID()}\n`);
    await Deno.writeTextFile(`${this.dir}/sshd.log`, "");
    const unshare = new Deno.Command("nsenter", {
      args: [
        `--net=/proc/${this.#wiring.holderPid}/ns/net`,
        ..."unshare --mount --pid --uts --ipc --fork --kill-child --mount-proc".split(" "),
        ...["/bin/sh", fileURLToPath(new URL("./init.sh", import.meta.url)), this.dir, this.name],
        ...this.#wiring.visible,
      ],
      clearEnv: true,
      env: {
        PATH: hostPath(this.dir),
        UGRO_LAB_ID: this.#wiring.labId,
        UGRO_LAB_HOST: this.name,
      },
      stdin: "null",
      // What process 1 has to say is in console.log; `unshare` complains when that is killed.
      stdout: "null",
      stderr: "null",
    }).spawn();
    await this.restore();
    await eventually(
      `boot ${this.name}`,
      10_000,
      async () => await this.sshdListens() || undefined,
      () => this.sshdLog(),
    );
    const [init] = liveProcesses((process) => process.parent === unshare.pid);
    if (init === undefined) throw new Error(`Cannot boot ${this.name}: its process 1 is gone`);
    this.#machine = { unshare, init: init.pid, pidNamespace: init.pidNamespace };
  }

  async cut(): Promise<void> {
    await this.#link("down");
  }

  async restore(): Promise<void> {
    await this.#link("up");
  }

  pids(text: string): LiveProcess[] {
    const machine = this.#machine;
    if (machine === undefined) return [];
    return liveProcesses((process) =>
      process.pidNamespace === machine.pidNamespace && mentions(process, text)
    );
  }

  async #link(state: "up" | "down"): Promise<void> {
    const { switchPid, cable } = this.#wiring;
    await must(["nsenter", "-t", String(switchPid), "-n", "ip", "link", "set", cable, state]);
  }

  #alive(): Machine {
    if (this.#machine === undefined) throw new Error(`Cannot use ${this.name}: it is down`);
    return this.#machine;
  }
}
