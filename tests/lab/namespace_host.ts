/**
 * A host made of Linux namespaces. Its network lives as long as the lab (a `sleep` holds it), its
 * processes and mounts as long as its process 1 (`init.sh`).
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { BaseHost, type CutDirection, mentions } from "./host.ts";
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
  /** The controller's network interface to the lab, and its address there. */
  readonly controllerCable: string;
  readonly controllerAddress: string;
  /** Folders below /tmp that the host must see. */
  readonly visible: readonly string[];
  /** Mount point of the disk that `holderPid` keeps in a mount namespace of its own. */
  readonly disk?: string;
  readonly diskMiB?: number;
}

/** Nobody has this address: what is sent to it is lost. */
const NOWHERE = "02:00:00:00:00:01";

/** See `Host`. */
export class NamespaceHost extends BaseHost {
  readonly interface = "eth0";
  readonly canCut = true;
  readonly disk: string | undefined;
  readonly #wiring: Wiring;
  readonly #misled = new Set<CutDirection>();
  #machine: Machine | undefined;

  constructor(plan: HostPlan, wiring: Wiring) {
    super(plan);
    this.#wiring = wiring;
    this.disk = wiring.disk;
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
        ...this.disk === undefined ? [] : [`--mount=/proc/${this.#wiring.holderPid}/ns/mnt`],
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

  async cut(direction: CutDirection = "both"): Promise<void> {
    if (direction === "both") return await this.#link("down");
    this.#misled.add(direction);
    const to = ["lladdr", NOWHERE, "nud", "permanent"];
    await must([...this.#neighbour(direction, "replace"), ...to]);
  }

  async restore(): Promise<void> {
    for (const direction of this.#misled) await run(this.#neighbour(direction, "del"));
    this.#misled.clear();
    await this.#link("up");
  }

  /** `ip neigh` on the sending side: a wrong hardware address loses packets in one direction. */
  #neighbour(direction: CutDirection, action: string): [string, ...string[]] {
    const { controllerAddress, controllerCable, holderPid } = this.#wiring;
    return direction === "to-host"
      ? ["ip", "neigh", action, this.address, "dev", controllerCable]
      : [
        ...["nsenter", "-t", String(holderPid), "-n"] as [string, ...string[]],
        ...["ip", "neigh", action, controllerAddress, "dev", this.interface],
      ];
  }

  async fillDisk(): Promise<void> {
    // `head` fails when nothing more fits; a page may be left until the second one.
    const write = `head -c "$1" /dev/zero`;
    await this.#onDisk(`{ ${write} >.filler; ${write} >>.filler; } 2>/dev/null || true`);
  }

  async freeDisk(): Promise<void> {
    await this.#onDisk("rm -f .filler");
  }

  async listDisk(): Promise<string[]> {
    const kinds = ["-type d -printf '%P/\\0'", "! -type d -printf '%P\\0'"];
    const found = await this.#onDisk(`find . -mindepth 1 ${kinds.join(" -o ")}`);
    return found.split("\0").filter((path) => path !== "").toSorted();
  }

  pids(text: string): LiveProcess[] {
    const machine = this.#machine;
    if (machine === undefined) return [];
    return liveProcesses((process) =>
      process.pidNamespace === machine.pidNamespace && mentions(process, text)
    );
  }

  /** Runs a script in the disk's root, with the size of the disk in bytes as `$1`. */
  async #onDisk(script: string): Promise<string> {
    const { disk, diskMiB = 0, holderPid } = this.#wiring;
    if (disk === undefined) throw new Error(`Cannot use the disk of ${this.name}: it has none`);
    // Never anywhere but on the host's own disk: what fills it would fill the machine's.
    const guarded = `mountpoint -q "$0"; cd "$0"; ${script}`;
    const enter = ["nsenter", "-t", String(holderPid), "-m"] as [string, ...string[]];
    return await must([...enter, "sh", "-ec", guarded, disk, String(diskMiB << 20)]);
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
