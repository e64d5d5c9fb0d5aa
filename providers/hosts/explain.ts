/**
 * Says in one line why a session could not be opened, or ended, and what to do about it.
 *
 * @module
 */
import { quotePath, type Target } from "./command.ts";
import { cleanLine } from "./text.ts";

/** What is left of a session. */
export interface Ending {
  /** Exit code; null: the process had to be ended from here. */
  readonly code: number | null;
  /** The last of what it wrote to stderr. */
  readonly stderr: string;
}

type Rule = readonly [RegExp, (host: string, ssh: string) => string];

/** Texts of OpenSSH's client (8.0 to 10.0), the first match wins. */
const SSH_RULES: readonly Rule[] = [
  [/ssh: command not found/, () => "There is no ssh program here: install the OpenSSH client"],
  [
    /HOST IDENTIFICATION HAS CHANGED/,
    (host) =>
      `Host key of ${host} has changed: if the machine was reinstalled, remove the old key ` +
      `with \`ssh-keygen -R\`, compare and accept the new one; if not, do not connect`,
  ],
  [
    /host key is known for|Host key verification failed/,
    (host, ssh) =>
      `Host key of ${host} is not known: run \`${ssh}\` once, compare the fingerprint, accept`,
  ],
  [
    /Permission denied|Too many authentication failures/,
    (host, ssh) =>
      `${host} refused the login: check user and key; \`${ssh} true\` must work without a password`,
  ],
  [
    /Could not resolve hostname/,
    (host) => `Host name ${host} cannot be resolved: check \`host:\`, DNS or your ssh_config`,
  ],
  [/Connection refused/, (host) => `${host} refused the connection: check that sshd runs there`],
  [
    /timed out|Timeout, server/,
    (host) => `${host} did not answer in time: check that it is up and reachable from here`,
  ],
  [
    /No route to host|Network is unreachable|Network is down/,
    (host) => `There is no way to ${host}: check the network on both sides`,
  ],
  [
    /kex_exchange_identification|Connection (closed|reset) by/,
    (host) =>
      `${host} closed the connection: sshd limits new connections (MaxStartups, penalties) or is ` +
      "shutting down",
  ],
];

/** Why no session to `target` could be opened. */
export function explain(target: Target, sshConfig: string | undefined, ending: Ending): string {
  const { connect, python } = target;
  const host = hostOf(target);
  if (connect.kind === "ssh" && (ending.code === 255 || ending.code === 127)) {
    const rule = SSH_RULES.find(([pattern]) => pattern.test(ending.stderr));
    if (rule) return rule[1](host, sshLine(connect, sshConfig));
  }
  return explainPython(host, python, ending) ?? lastWords(host, ending);
}

/** Why a session that worked is over. */
export function explainCut(target: Target, ending: Ending): string {
  return lastWords(hostOf(target), ending);
}

function hostOf({ connect }: Target): string {
  return connect.kind === "ssh" ? connect.host : "this machine";
}

function explainPython(host: string, python: string, ending: Ending): string | undefined {
  const { code, stderr } = ending;
  const hint = "set the node's `python:` to a Python 3.10 or newer";
  if (code === 127) return cleanLine(`There is no ${python} on ${host}: ${hint}`);
  if (code === 126) return cleanLine(`${python} on ${host} cannot be executed: ${hint}`);
  if (/SyntaxError|has no attribute 'buffer'|[Pp]ython 3\.10/.test(stderr)) {
    return cleanLine(`${python} on ${host} is too old: ${hint}`);
  }
}

function lastWords(host: string, ending: Ending): string {
  const lines = ending.stderr.split("\n").map((line) => cleanLine(line, 300))
    .filter((line) => line !== "" && !line.startsWith("stdin pipe broken"));
  const end = ending.code === null ? "was cut off" : `ended with exit code ${ending.code}`;
  return `Session to ${host} ${end}${lines.length > 0 ? `: ${lines.at(-1)}` : ""}`;
}

/** The command that a person would type to see the same. */
function sshLine(
  connect: { readonly host: string; readonly port?: number; readonly user?: string },
  sshConfig: string | undefined,
): string {
  const config = sshConfig ? `-F ${quotePath(sshConfig)} ` : "";
  const port = connect.port ? `-p ${connect.port} ` : "";
  return `ssh ${config}${port}${connect.user ? `${connect.user}@` : ""}${connect.host}`;
}
