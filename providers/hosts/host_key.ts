/**
 * Where the user's ssh keeps the key of a host: under which name, in which file. It is asked of ssh
 * itself (`ssh -G`), never taken from what came over the wire, since a person will type it.
 *
 * @example
 * await findPin(["ssh", "-G", "--", "node-a"], env, clock); // { name: "node-a", files: "/home/…" }
 *
 * @module
 */
import type { Clock } from "../../reconciler/ports.ts";
import { within } from "./clock.ts";
import { quote, quotePath } from "./command.ts";
import { startProcess } from "./process.ts";

/** Where a host key is pinned. */
export interface Pin {
  /** The name in known_hosts. */
  readonly name: string;
  /** What ssh says of its files, the user's own first; names with blanks are not told apart. */
  readonly files: string;
}

/** `ssh -G` prints about 5 KiB and reads only local files, unless a `Match exec` does more. */
const DEADLINE_MS = 3000;
const MAX_OUTPUT_BYTES = 256 * 1024;

/** Asks ssh; undefined: it gave no answer. */
export async function findPin(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  clock: Clock,
): Promise<Pin | undefined> {
  const pipes = startProcess({ argv, env }, clock);
  const output = await within(clock, DEADLINE_MS, readAll(pipes.output));
  await pipes.end();
  return output === undefined ? undefined : parsePin(output);
}

/** Reads what `ssh -G` prints: a setting a line. */
export function parsePin(output: string): Pin | undefined {
  const get = (key: string) => new RegExp(`^${key} (.*)$`, "m").exec(output)?.[1]?.trim();
  const host = get("hostname");
  if (!host) return undefined;
  const port = get("port") ?? "22";
  // The rules of known_hosts: an alias stands alone, a port other than 22 is part of the name.
  const name = get("hostkeyalias") ?? (port === "22" ? host : `[${host}]:${port}`);
  const files = [get("userknownhostsfile"), get("globalknownhostsfile")];
  return { name, files: files.filter((file) => file !== undefined).join(" ") };
}

/**
 * The command that forgets a pinned key, from where it is pinned and what ssh said when it refused
 * the new one. Undefined: that was about another host, a jump host on the way.
 */
export function forgetCommand(pin: Pin, stderr: string): string | undefined {
  const name = /^Host key for (.+) has changed/m.exec(stderr)?.[1];
  if (name !== undefined && name !== pin.name) return undefined;
  const file = /^Offending .*key .*in (.+):\d+\s*$/m.exec(stderr)?.[1];
  // Only a file that ssh itself lists: stderr may hold what the other side wrote.
  const listed = file !== undefined && ` ${pin.files} `.includes(` ${file} `);
  return `ssh-keygen -R ${quote(pin.name)}${listed ? ` -f ${quotePath(file)}` : ""}`;
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_OUTPUT_BYTES) break;
  }
  return text;
}
