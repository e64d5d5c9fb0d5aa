/**
 * What a git of ours sees of the caller's environment and configuration: the user's credentials,
 * ssh settings and proxies, and nothing that redirects git to another repository or runs code.
 *
 * @module
 */

/** `GIT_…` variables that belong to the installation or to reaching a remote. */
const KEPT = new Set([
  "GIT_ASKPASS",
  "GIT_CONFIG_GLOBAL",
  "GIT_CONFIG_NOSYSTEM",
  "GIT_CONFIG_SYSTEM",
  "GIT_EXEC_PATH",
  "GIT_HTTP_LOW_SPEED_LIMIT",
  "GIT_HTTP_LOW_SPEED_TIME",
  "GIT_HTTP_PROXY_AUTHMETHOD",
  "GIT_PROXY_COMMAND",
  "GIT_PROXY_SSL_CAINFO",
  "GIT_PROXY_SSL_CERT",
  "GIT_PROXY_SSL_KEY",
  "GIT_SSH",
  "GIT_SSH_COMMAND",
  "GIT_SSH_VARIANT",
  "GIT_SSL_CAINFO",
  "GIT_SSL_CAPATH",
  "GIT_SSL_CERT",
  "GIT_SSL_CIPHER_LIST",
  "GIT_SSL_KEY",
  "GIT_SSL_NO_VERIFY",
  "GIT_SSL_VERSION",
]);

/**
 * Settings that every call gets on its command line, over whatever the user's configuration says.
 * Which transports may run is not here but in `GIT_ALLOW_PROTOCOL`, which no configuration beats
 * (a user's `protocol.ext.allow=always` would beat `protocol.allow=never`).
 */
export const FORCED_CONFIG: readonly string[] = [
  "core.hooksPath=/dev/null",
  "core.attributesFile=/dev/null",
  // Trees of many files are mostly ids, which do not compress; a level of 6 only takes time.
  "core.compression=1",
  "core.fsmonitor=false",
  "core.logAllRefUpdates=false",
  "credential.interactive=false",
  "fetch.recurseSubmodules=false",
  "fetch.writeCommitGraph=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "protocol.allow=never",
  "push.followTags=false",
  "push.gpgSign=false",
  "push.recurseSubmodules=no",
  "submodule.recurse=false",
  "tar.umask=0022",
];

/** The environment of a git of ours, from the caller's. `sshCommand` undefined: leave ssh alone. */
export function gitEnvironment(
  caller: Readonly<Record<string, string>>,
  sshCommand: string | undefined,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(caller)) {
    // LD_… and DYLD_… would need an unrestricted --allow-run, and a conda's break ssh.
    if (/^(LD_|DYLD_|LC_|LANGUAGE$)/.test(name)) continue;
    // Secrets of jobs are no business of git and its helpers.
    if (name.startsWith("UGRO_")) continue;
    if (name.startsWith("GIT_") && !KEPT.has(name)) continue;
    env[name] = value;
  }
  env.LC_ALL = "C";
  env.GIT_TERMINAL_PROMPT = "0";
  env.GIT_LFS_SKIP_SMUDGE = "1";
  env.GIT_ATTR_NOSYSTEM = "1";
  env.GIT_NO_REPLACE_OBJECTS = "1";
  env.GIT_OPTIONAL_LOCKS = "0";
  env.GIT_ALLOW_PROTOCOL = "";
  if (sshCommand !== undefined) env.GIT_SSH_COMMAND = sshCommand;
  return env;
}

/** Quotes one word for the shell that git starts `GIT_SSH_COMMAND` with. */
function shellWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Never asks for anything. */
export const DEFAULT_SSH = "ssh -o BatchMode=yes";

/** The ssh that never asks; undefined when the caller has chosen one and gives no `configFile`. */
export function sshCommandFor(
  caller: Readonly<Record<string, string>>,
  configFile: string | undefined,
): string | undefined {
  if (configFile !== undefined) return `${DEFAULT_SSH} -F ${shellWord(configFile)}`;
  const chosen = caller.GIT_SSH_COMMAND ?? caller.GIT_SSH;
  return chosen === undefined ? DEFAULT_SSH : undefined;
}
