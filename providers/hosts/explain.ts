/**
 * Says in one line why a session could not be opened, or ended, and what to do about it. The same
 * cause gives the same text at every try, so that it is committed once.
 *
 * @module
 */
import type { NodeProblem } from "../../reconciler/ports.ts";
import { destination, quote, quotePath, type Target } from "./command.ts";
import { forgetCommand, type Pin } from "./host_key.ts";
import { cleanLine } from "./text.ts";

/** What is left of a session. */
export interface Ending {
  /** Exit code; null: the process had to be ended from here. */
  readonly code: number | null;
  /** The last of what it wrote to stderr. */
  readonly stderr: string;
}

/** Why there is no session; `problem` when only a person can mend it. */
export interface Explanation {
  readonly reason: string;
  readonly problem?: NodeProblem;
}

/** What explanations of ssh's own failures are made of. */
interface Failed {
  readonly host: string;
  readonly stderr: string;
  /** The command that a person would type to see the same, with more options. */
  readonly ssh: (...options: string[]) => string;
  readonly pin: Pin | undefined;
}

const CHANGED = /HOST IDENTIFICATION HAS CHANGED/;
/** Overrides an ssh_config that never asks, and a shared connection that would not look. */
const ASKING = ["ControlPath=none", "BatchMode=no", "StrictHostKeyChecking=ask"];
const COMPARE = "accept the key only if its fingerprint is one that " +
  "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` (or of another type) prints on the machine " +
  "itself";

/** Texts of OpenSSH's client (8.0 to 10.0), the first match wins. */
const PROBLEMS: readonly (readonly [RegExp, (failed: Failed) => NodeProblem])[] = [
  [/REVOKED HOST KEY/, ({ host }) => ({
    type: "HostKeyRevoked",
    message: `Host key of ${host} is marked as revoked`,
    fix: "give the machine a new host key; whoever answers with this one is not to be trusted",
  })],
  [CHANGED, keyChanged],
  [/host key is known for|Host key verification failed/, ({ host, ssh }) => ({
    type: "HostKeyUnknown",
    message: `Host key of ${host} is not known`,
    fix: `run \`${ssh(...ASKING)} true\` as the user that runs UGRO; ${COMPARE}`,
  })],
  [/Permission denied|Too many authentication failures/, ({ host, ssh }) => ({
    type: "AuthenticationFailed",
    message: `${host} refused the login`,
    fix: `check user and key; \`${ssh()} true\` must work without a password`,
  })],
];

/** Those that may pass by themselves. */
const OTHERS: readonly (readonly [RegExp, (host: string) => string])[] = [
  [/ssh: command not found/, () => "There is no ssh program here: install the OpenSSH client"],
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

/** True when {@linkcode explain} can say more with the place of the host's key. */
export function wantsPin({ connect }: Target, { code, stderr }: Ending): boolean {
  return connect.kind === "ssh" && code === 255 && CHANGED.test(stderr);
}

/** Why no session to `target` could be opened; `pin` is where its key is pinned, if known. */
export function explain(
  target: Target,
  sshConfig: string | undefined,
  ending: Ending,
  pin?: Pin,
): Explanation {
  const { connect, python } = target;
  const { code, stderr } = ending;
  const host = hostOf(target);
  if (connect.kind === "ssh" && (code === 255 || code === 127)) {
    const ssh = (...options: string[]) => sshLine(connect, sshConfig, options);
    const known = PROBLEMS.find(([pattern]) => pattern.test(stderr));
    if (known) return withReason(known[1]({ host, stderr, ssh, pin }));
    const other = OTHERS.find(([pattern]) => pattern.test(stderr));
    if (other) return { reason: other[1](host) };
  }
  return { reason: explainPython(host, python, ending) ?? lastWords(host, ending) };
}

/** Why a session that worked is over. */
export function explainCut(target: Target, ending: Ending): string {
  return lastWords(hostOf(target), ending);
}

function withReason(problem: NodeProblem): Explanation {
  return { reason: `${problem.message}: ${problem.fix}`, problem };
}

function keyChanged({ host, stderr, ssh, pin }: Failed): NodeProblem {
  const forget = pin && forgetCommand(pin, stderr);
  const accept = `${ssh(...ASKING)} true`;
  const fix = forget
    ? `run \`${forget} && ${accept}\` as the user that runs UGRO`
    : `run \`${accept}\`, which names the key to remove (it may be a jump host's), remove it with ` +
      "`ssh-keygen -R`, and run it again";
  return {
    type: "HostKeyChanged",
    message: `Host key of ${host} has changed`,
    fix: `if nobody gave the machine a new one, do not connect; else ${fix}, and ${COMPARE}`,
  };
}

function hostOf({ connect }: Target): string {
  return connect.kind === "ssh" ? connect.host : "this machine";
}

function explainPython(host: string, python: string, ending: Ending): string | undefined {
  const { code, stderr } = ending;
  const hint = "set the node's `python:` to a Python 3.10 or newer";
  if (/--allow-run/.test(stderr) && host === "this machine") {
    return cleanLine(
      `This UGRO may not start ${python}: set the node's \`python:\` to \`python3\`, or add it to ` +
        "--allow-run (docs/security.md)",
    );
  }
  if (code === 127) return cleanLine(`There is no ${python} on ${host}: ${hint}`);
  if (code === 126) return cleanLine(`${python} on ${host} cannot be executed: ${hint}`);
  if (/SyntaxError|has no attribute 'buffer'|[Pp]ython 3\.10/.test(stderr)) {
    return cleanLine(`${python} on ${host} is too old: ${hint}`);
  }
}

function lastWords(host: string, ending: Ending): string {
  const lines = ending.stderr.split("\n").map((line) => cleanLine(line, 300))
    .filter((line) => line !== "");
  const end = ending.code === null ? "was cut off" : `ended with exit code ${ending.code}`;
  return `Session to ${host} ${end}${lines.length > 0 ? `: ${lines.at(-1)}` : ""}`;
}

/** A command line for a person's shell. */
function sshLine(
  connect: Extract<Target["connect"], { kind: "ssh" }>,
  sshConfig: string | undefined,
  settings: readonly string[],
): string {
  const { options, host } = destination(connect, sshConfig);
  const asked = settings.flatMap((setting) => ["-o", setting]);
  return ["ssh", ...[...options, ...asked].map(quotePath), quote(host)].join(" ");
}
