/**
 * What kind of lab this machine can have, and what is missing for a better one.
 *
 * @example
 * const { kind, missing } = await labSupport(); // { kind: "namespaces", missing: [] }
 *
 * @module
 */
import { run } from "./processes.ts";

/**
 * - `namespaces`: hosts with their own network, processes, mounts and names (root on Linux)
 * - `loopback`: an sshd a host on 127.0.0.1, nothing else of its own
 * - `none`: no lab
 */
export type LabKind = "namespaces" | "loopback" | "none";

/** What this machine can do, and why not more. */
export interface LabSupport {
  readonly kind: LabKind;
  /** For people: what to install or do to get the next better kind. */
  readonly missing: readonly string[];
}

const PROBE = "ip link add b0 type bridge && ip link add v0 type veth peer name v1";
let known: Promise<LabSupport> | undefined;

/** Finds out once a process. `UGRO_LAB=off` gives none, `UGRO_LAB_KIND=loopback` the lesser one. */
export function labSupport(): Promise<LabSupport> {
  return known ??= findSupport();
}

async function findSupport(): Promise<LabSupport> {
  if (Deno.env.get("UGRO_LAB") === "off") return { kind: "none", missing: ["UGRO_LAB is off"] };
  if (Deno.build.os !== "linux") return { kind: "none", missing: ["a lab needs Linux"] };
  const tools: [string, string][] = [
    ["ssh", "openssh-client"],
    ["ssh-keygen", "openssh-client"],
    ["/usr/sbin/sshd", "openssh-server"],
    ["git", "git"],
    ["python3", "python3"],
  ];
  const missing = await missingTools(tools);
  if (missing.length > 0) return { kind: "none", missing };
  const lacking = await namespaceProblems();
  if (Deno.env.get("UGRO_LAB_KIND") === "loopback") lacking.push("UGRO_LAB_KIND is loopback");
  return { kind: lacking.length === 0 ? "namespaces" : "loopback", missing: lacking };
}

async function namespaceProblems(): Promise<string[]> {
  if (Deno.uid() !== 0) return ["root (run the tests as root, in a container for example)"];
  const missing = await missingTools([
    ["ip", "iproute2"],
    ["unshare", "util-linux"],
    ["nsenter", "util-linux"],
  ]);
  if (missing.length > 0) return missing;
  const probe = await run(
    ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "sh", "-c", PROBE],
  );
  if (probe.code === 0) return [];
  return [`the right to make namespaces, bridges and veth pairs: ${probe.stderr.trim()}`];
}

async function missingTools(tools: readonly [string, string][]): Promise<string[]> {
  const missing: string[] = [];
  for (const [program, pack] of tools) {
    const found = await run(["sh", "-c", 'command -v "$1"', "sh", program]);
    if (found.code !== 0) missing.push(`${program} (Debian package ${pack})`);
  }
  return missing;
}

/** True when `UGRO_LAB=required`: a test that cannot run is then a failure. */
export function labRequired(): boolean {
  return Deno.env.get("UGRO_LAB") === "required";
}
