/**
 * The files of a lab: keys, ssh and sshd settings, and what a host has in `/etc`.
 *
 * @module
 */
import { must } from "./processes.ts";
import { type GpuState, writeGpus } from "./gpus.ts";

/** What a host's files are made of. */
export interface HostPlan {
  readonly name: string;
  readonly dir: string;
  readonly home: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Of its own `/etc`, `/run`…: true in namespaces. */
  readonly namespaces: boolean;
}

const STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** PATH inside a host: its stand-ins first. */
export function hostPath(dir: string): string {
  return `${dir}/bin:${STANDARD_PATH}`;
}

/** An ed25519 key pair without a passphrase at `path`. */
export async function makeKey(path: string, comment: string): Promise<void> {
  await must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]);
}

/** Writes everything that a host needs before its first boot. */
export async function writeHostFiles(
  labId: string,
  labDir: string,
  host: HostPlan,
  gpus: GpuState,
): Promise<void> {
  for (const folder of ["", "/home", "/bin", "/etc", "/tmp"]) {
    await Deno.mkdir(host.dir + folder, { recursive: true });
  }
  await makeKey(`${host.dir}/host_key`, host.name);
  await Deno.writeTextFile(`${host.dir}/sshd_config`, sshdConfig(labId, labDir, host));
  if (host.namespaces) await writeEtc(host);
  await writeGpus(host.dir, gpus);
  await Deno.copyFile(new URL("./nvidia_smi.py", import.meta.url), `${host.dir}/nvidia_smi.py`);
  if (gpus.gpus.length > 0) await writeStandIn(host);
  await linkPython(host);
}

async function writeStandIn(host: HostPlan): Promise<void> {
  const script =
    `#!/bin/sh\nexec python3 -I -S ${host.dir}/nvidia_smi.py ${host.dir}/gpus.json "$@"\n`;
  await Deno.writeTextFile(`${host.dir}/bin/nvidia-smi`, script, { mode: 0o755 });
}

/** sshd's PATH may lack the machine's Python (pyenv, say). */
async function linkPython(host: HostPlan): Promise<void> {
  try {
    await Deno.stat("/usr/bin/python3");
  } catch {
    const python = await must(["python3", "-c", "import os, sys; print(sys.executable)"]);
    await Deno.symlink(await Deno.realPath(python.trim()), `${host.dir}/bin/python3`);
  }
}

async function writeEtc(host: HostPlan): Promise<void> {
  const passwd = [
    `root:x:0:0:root:${host.home}:/bin/bash`,
    "sshd:x:102:65534::/run/sshd:/usr/sbin/nologin",
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
  ];
  const shadow = ["root:*:20000:0:99999:7:::", "sshd:!:20000::::::", "nobody:*:20000::::::"];
  // Debian's habit, and a trap: a host's own name leads to the loopback.
  const hosts = ["127.0.0.1 localhost", `127.0.1.1 ${host.name}`];
  await Deno.writeTextFile(`${host.dir}/etc/passwd`, passwd.join("\n") + "\n");
  await Deno.writeTextFile(`${host.dir}/etc/shadow`, shadow.join("\n") + "\n", { mode: 0o600 });
  await Deno.writeTextFile(`${host.dir}/etc/hosts`, hosts.join("\n") + "\n");
}

function sshdConfig(labId: string, labDir: string, host: HostPlan): string {
  const environment = `PATH=${hostPath(host.dir)} UGRO_LAB_ID=${labId} UGRO_LAB_HOST=${host.name}`;
  return [
    `ListenAddress ${host.address}`,
    `Port ${host.port}`,
    `HostKey ${host.dir}/host_key`,
    `AuthorizedKeysFile ${labDir}/client_key.pub`,
    "StrictModes no",
    "UsePAM no",
    "UseDNS no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "PidFile none",
    "PrintMotd no",
    `SetEnv ${environment}`,
    "",
  ].join("\n");
}

/** Writes `ssh_config` and `known_hosts` of a lab; gives the path of the former. */
export async function writeClientFiles(
  labDir: string,
  hosts: readonly HostPlan[],
): Promise<string> {
  const known: string[] = [];
  const config: string[] = [];
  for (const host of hosts) {
    const key = (await Deno.readTextFile(`${host.dir}/host_key.pub`)).split(" ").slice(0, 2);
    const name = host.port === 22 ? host.address : `[${host.address}]:${host.port}`;
    known.push(`${name} ${key.join(" ")}`);
    config.push(
      `Host ${host.name}`,
      `  HostName ${host.address}`,
      `  Port ${host.port}`,
      `  User ${host.user}`,
    );
  }
  config.push(
    "Host *",
    `  IdentityFile ${labDir}/client_key`,
    "  IdentitiesOnly yes",
    "  IdentityAgent none",
    `  UserKnownHostsFile ${labDir}/known_hosts`,
    "  GlobalKnownHostsFile /dev/null",
    "  StrictHostKeyChecking yes",
    "  BatchMode yes",
    "",
  );
  await Deno.writeTextFile(`${labDir}/known_hosts`, known.join("\n") + "\n");
  await Deno.writeTextFile(`${labDir}/ssh_config`, config.join("\n"));
  return `${labDir}/ssh_config`;
}
