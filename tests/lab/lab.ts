/**
 * A lab of real hosts on one machine: each with its own sshd, host key, home, processes, network,
 * name and boot id, and an `nvidia-smi` stand-in. See `tests/lab/README.md`.
 *
 * Everything of a lab hangs on processes that carry `UGRO_LAB_ID`; a keeper process kills them when
 * the lab stops or when the process that started it ends in whatever way.
 *
 * @example
 * const lab = await startLab({ dir: await Deno.makeTempDir() });
 * await lab.hosts[0].exec(["nvidia-smi", "-L"]);
 * await lab.stop();
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type HostPlan, makeKey, writeClientFiles, writeHostFiles } from "./files.ts";
import { healthyGpus } from "./gpus.ts";
import type { Host } from "./host.ts";
import { LoopbackHost } from "./loopback_host.ts";
import { NamespaceHost } from "./namespace_host.ts";
import { eventually, type LiveProcess, liveProcesses, must, run } from "./processes.ts";
import { type LabKind, labSupport } from "./support.ts";

/** What a lab is to be like. */
export interface LabOptions {
  /** Default: 3. At most 99. */
  readonly hosts?: number;
  /** Default: 1. With 0 there is no `nvidia-smi` (unless the machine has one). */
  readonly gpusPerHost?: number;
  /** An existing folder; the lab lives in a subfolder of it that `stop` removes. */
  readonly dir: string;
  /** Further folders below /tmp that the hosts must see (they have a /tmp of their own). */
  readonly visible?: readonly string[];
  /** Gives each host a disk of this size (`host.disk`), which a test may fill. Namespaces only. */
  readonly diskMiB?: number;
}

/** A running lab. */
export interface Lab {
  /** `ugPIDxN`; in the environment of all its processes as `UGRO_LAB_ID`. */
  readonly id: string;
  readonly kind: Exclude<LabKind, "none">;
  readonly dir: string;
  readonly hosts: readonly Host[];
  /** An ssh_config with the lab's key and pinned host keys; knows the hosts as h1, h2, … */
  readonly sshConfig: string;
  /** A folder that all hosts see under the same path, like a file server. */
  readonly shared: string;
  /** Runs a command line on a host over ssh. */
  ssh(host: Host, command: string): ReturnType<typeof run>;
  host(name: string): Host;
  /** Ends everything and removes the lab's folder. Can be called twice. */
  stop(): Promise<void>;
}

let counter = 0;

/** Starts a lab. Throws when the machine cannot have one (`labSupport`). */
export async function startLab(options: LabOptions): Promise<Lab> {
  const { kind, missing } = await labSupport();
  if (kind === "none") throw new Error(`Cannot start a lab: missing ${missing.join(", ")}`);
  await sweep();
  const id = `ug${Deno.pid}x${++counter}`;
  const dir = `${await Deno.realPath(options.dir)}/${id}`;
  if (/[\s"'%\\]/.test(dir)) throw new Error(`Cannot start a lab in ${dir}: blanks or quotes`);
  await Deno.mkdir(`${dir}/shared`, { recursive: true });
  const keeper = startKeeper(id);
  const stop = once(async () => {
    await keeper.stdin.close();
    const status = await keeper.status;
    // Shipped code is read-only, and only root may remove files from such folders.
    await run(["chmod", "-R", "u+w", dir]);
    await Deno.remove(dir, { recursive: true });
    if (!status.success) throw new Error(`Cannot stop lab ${id}: processes are left`);
  });
  try {
    const hosts = await startHosts(id, dir, kind, options);
    return {
      id,
      kind,
      dir,
      hosts,
      sshConfig: `${dir}/ssh_config`,
      shared: `${dir}/shared`,
      ssh: (host, command) => run(["ssh", "-F", `${dir}/ssh_config`, "-T", host.name, command]),
      host: (name) => {
        const found = hosts.find((host) => host.name === name);
        if (found === undefined) throw new Error(`Cannot find host ${name} in lab ${id}`);
        return found;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startHosts(
  id: string,
  dir: string,
  kind: LabKind,
  options: LabOptions,
): Promise<Host[]> {
  const count = options.hosts ?? 3;
  const namespaces = kind === "namespaces";
  const prefix = namespaces ? await freeSubnet() : "";
  const plans: HostPlan[] = [];
  for (let k = 1; k <= count; k++) {
    const home = `${dir}/h${k}/home`;
    plans.push({
      name: `h${k}`,
      dir: `${dir}/h${k}`,
      home,
      address: namespaces ? `${prefix}.${k}` : "127.0.0.1",
      port: namespaces ? 22 : freePort(),
      user: namespaces ? "root" : Deno.env.get("USER") ?? (await must(["id", "-un"])).trim(),
      namespaces,
    });
  }
  await makeKey(`${dir}/client_key`, id);
  const gpus = options.gpusPerHost ?? 1;
  await Promise.all(plans.map((plan) => writeHostFiles(id, dir, plan, healthyGpus(gpus))));
  await writeClientFiles(dir, plans);
  const visible = [dir, ...options.visible ?? []].filter((path) => path.startsWith("/tmp/"));
  const hosts = namespaces
    ? await wire(id, prefix, plans, visible, options.diskMiB)
    : plans.map((plan) => new LoopbackHost(plan, id));
  await Promise.all(hosts.map((host) => host.boot()));
  return hosts;
}

/** Makes the network namespaces and their cables. */
async function wire(
  id: string,
  prefix: string,
  plans: readonly HostPlan[],
  visible: readonly string[],
  diskMiB?: number,
): Promise<NamespaceHost[]> {
  const [switchPid, ...holders] = await Promise.all([
    holdNetwork(id),
    ...plans.map(() => holdNetwork(id, diskMiB)),
  ]);
  if (switchPid === undefined) throw new Error("Cannot wire a lab: no switch");
  const script = fileURLToPath(new URL("./network.sh", import.meta.url));
  await must(["sh", script, id, prefix, String(switchPid), ...holders.map(String)]);
  return plans.map((plan, k) =>
    new NamespaceHost(plan, {
      labId: id,
      switchPid,
      holderPid: holders[k] as number,
      cable: `h${k + 1}`,
      controllerCable: `${id}c`,
      controllerAddress: `${prefix}.254`,
      visible,
      ...(diskMiB === undefined ? {} : { disk: DISK, diskMiB }),
    })
  );
}

/** Where a host's disk is mounted: a folder that every machine has. */
const DISK = "/srv";

/**
 * Starts a process whose only purpose is to keep a network namespace, and with it the disk of a
 * host, which so survives the host's crashes; gives its pid.
 */
async function holdNetwork(id: string, diskMiB?: number): Promise<number> {
  const mount = `mount -t tmpfs -o mode=755,size=${diskMiB}m ugro-lab-disk ${DISK}`;
  const holder = new Deno.Command("unshare", {
    args: diskMiB === undefined
      ? ["--net", "sleep", "infinity"]
      : ["--net", "--mount", "sh", "-ec", `${mount}; exec sleep infinity`],
    env: { UGRO_LAB_ID: id },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  holder.unref();
  // `unshare` has made the namespaces once it has become `sleep`.
  await eventually("make a network namespace", 5_000, () => {
    const sleeping = liveProcesses((p) => p.pid === holder.pid && p.command === "sleep");
    return sleeping.length === 1 ? true : undefined;
  });
  return holder.pid;
}

/** The first three bytes of a 10.x.y.0/24 that the machine has no route to. */
async function freeSubnet(): Promise<string> {
  for (let attempt = 0; attempt < 64; attempt++) {
    const n = (Deno.pid * 4 + counter + attempt * 257) % (128 * 256);
    const prefix = `10.${64 + (n >> 8)}.${n & 255}`;
    const routes = await must(["ip", "-4", "route", "show", "to", "match", `${prefix}.1`]);
    const taken = routes.split("\n").some((line) => line !== "" && !line.startsWith("default"));
    if (!taken) return prefix;
  }
  throw new Error("Cannot find a free 10.x.y.0/24 for the lab");
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

function startKeeper(id: string): Deno.ChildProcess {
  return new Deno.Command("setsid", {
    args: ["sh", fileURLToPath(new URL("./keeper.sh", import.meta.url)), id],
    stdin: "piped",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
}

/**
 * Ends labs whose owner is gone (their keeper was killed as well), found by the names that they
 * left in processes. Gives the ids.
 */
export async function sweep(): Promise<string[]> {
  const all = liveProcesses(() => true);
  const denos = new Set(all.filter((p) => p.command.startsWith("deno")).map((p) => p.pid));
  const dead = new Set<string>();
  for (const process of all) {
    const id = labIdOf(process);
    if (id !== undefined && !denos.has(Number(/\d+/.exec(id)?.[0]))) dead.add(id);
  }
  for (const id of dead) {
    const keeper = startKeeper(id);
    await keeper.stdin.close();
    await keeper.status;
  }
  return [...dead];
}

/** The lab that a process belongs to: by its mark, or by a folder of a host in what it knows. */
function labIdOf({ argv, environ }: LiveProcess): string | undefined {
  const mark = environ.get("UGRO_LAB_ID") ?? "";
  if (/^ug\d+x\d+$/.test(mark)) return mark;
  const sshd = /^(sshd: )?\/usr\/sbin\/sshd /.test(argv.join(" ")) ? argv : [];
  for (const text of [...environ.values(), ...sshd]) {
    const id = /\/(ug\d+x\d+)\/h\d+\//.exec(text)?.[1];
    if (id !== undefined) return id;
  }
  return undefined;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => done ??= action();
}
