/**
 * The command line that starts a runner: through the user's own OpenSSH, or directly.
 *
 * @example
 * commandFor({ connect: { kind: "ssh", host: "node-a" }, python: "~/venv/bin/python" }, {});
 * // argv: ["ssh", "-T", …, "--", "node-a", "exec ~/'venv/bin/python' -I -u -X utf8 -c '…'"]
 *
 * @module
 */
import type { NodeSpec } from "../../cluster/node.ts";

/** Reads a byte count and that much source from stdin, and goes on as that source. */
const BOOTSTRAP = "import sys;b=sys.stdin.buffer;s=b.read(int(b.readline()));" +
  'exec(compile(s,"runner.py","exec"),{"__name__":"__ugro_runner__","UGRO_SOURCE":s})';

/**
 * `-I`: with a plain `-c`, a `queue.py` in the home folder would take the place of Python's own, and
 * PYTHON… variables of a login script would count. `utf8`: whatever the locale says.
 */
const PYTHON_OPTIONS = ["-I", "-u", "-X", "utf8", "-c"];

/** A program to start; `env` is its whole environment. */
export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** What decides how a node is reached. */
export type Target = Pick<NodeSpec, "connect" | "python">;

/** Settings of the connection. */
export interface CommandOptions {
  /** An ssh_config file instead of the user's own. */
  readonly sshConfig?: string;
  readonly connectTimeoutMs?: number;
}

/**
 * Of the controller's environment only these reach ssh and local runners, so that its secrets
 * (tokens of forges, say) do not end up in training processes.
 */
const ENV_NAMES = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LC_ALL",
  "TMPDIR",
  "XDG_RUNTIME_DIR",
];
const SSH_ENV_NAMES = ["SSH_AUTH_SOCK", "KRB5CCNAME"];

/** The command for a node, or what is wrong with how it is declared. */
export function commandFor(
  target: Target,
  options: CommandOptions,
): { readonly command: Command } | { readonly problem: string } {
  const { connect, python } = target;
  if (!/^[^-\p{Cc}][^\p{Cc}]*$/u.test(python)) {
    return { problem: `Cannot start ${JSON.stringify(python)}: not the path of a Python` };
  }
  const home = readEnv("HOME");
  if (connect.kind === "local") {
    const path = python.startsWith("~/") && home ? home + python.slice(1) : python;
    const argv = [path, ...PYTHON_OPTIONS, BOOTSTRAP];
    const env = environment(ENV_NAMES);
    return { command: home ? { argv, env, cwd: home } : { argv, env } };
  }
  const problem = destinationProblem(connect.host, connect.user);
  if (problem) return { problem };
  const argv = sshArguments(connect, python, options);
  return { command: { argv, env: sshEnvironment() } };
}

/** What ssh gets of the controller's environment. */
export function sshEnvironment(): Record<string, string> {
  return environment([...ENV_NAMES, ...SSH_ENV_NAMES]);
}

/** The words that choose a host for ssh: an ssh_config, a port, the host itself. */
export function destination(
  connect: Extract<NodeSpec["connect"], { kind: "ssh" }>,
  sshConfig: string | undefined,
): { readonly options: readonly string[]; readonly host: string } {
  return {
    options: [
      ...(sshConfig ? ["-F", sshConfig] : []),
      ...(connect.port ? ["-p", String(connect.port)] : []),
    ],
    host: connect.user ? `${connect.user}@${connect.host}` : connect.host,
  };
}

function sshArguments(
  connect: Extract<NodeSpec["connect"], { kind: "ssh" }>,
  python: string,
  options: CommandOptions,
): string[] {
  const settings = [
    "BatchMode=yes",
    `ConnectTimeout=${Math.max(1, Math.ceil((options.connectTimeoutMs ?? 8000) / 1000))}`,
    "ServerAliveInterval=3",
    "ServerAliveCountMax=3",
    "StrictHostKeyChecking=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "RemoteCommand=none",
  ];
  const { options: where, host } = destination(connect, options.sshConfig);
  return [
    "ssh",
    "-T",
    ...where,
    ...settings.flatMap((setting) => ["-o", setting]),
    "--",
    host,
    `exec ${quotePath(python)} ${PYTHON_OPTIONS.join(" ")} ${quote(BOOTSTRAP)}`,
  ];
}

/** One word for a POSIX shell, whatever is in it. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The same, with a leading `~/` left for the shell to expand. */
export function quotePath(path: string): string {
  return path.startsWith("~/") ? `~/${quote(path.slice(2))}` : quote(path);
}

/** Names that ssh would take for an option, or hand to a ProxyCommand's shell as more than a name. */
function destinationProblem(host: string, user: string | undefined): string | undefined {
  if (!/^[A-Za-z0-9_.:][A-Za-z0-9_.:%-]{0,254}$/.test(host)) {
    return `Cannot connect: ${JSON.stringify(host)} is not a host name`;
  }
  if (user !== undefined && !/^[A-Za-z0-9_.][A-Za-z0-9_.@\\+-]{0,63}$/.test(user)) {
    return `Cannot connect: ${JSON.stringify(user)} is not a user name`;
  }
}

function environment(names: readonly string[]): Record<string, string> {
  const entries = names.map((name) => [name, readEnv(name)] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => !!entry[1]));
}

function readEnv(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch {
    return undefined; // not among the permissions given
  }
}
