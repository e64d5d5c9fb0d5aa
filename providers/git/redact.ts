/**
 * Takes secrets out of what git says, and says it on one line with what to do next.
 *
 * @example
 * ```ts
 * redact("fatal: https://me:token@forge/x.git not found"); // "fatal: https://***@forge/x.git not found"
 * ```
 *
 * @module
 */

/** Longest reason that is passed on, in characters. */
const MAX_REASON = 400;

/** What git or ssh says, and what a person does about it. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/host key verification failed/i, "connect once with `ssh HOST` to check and accept its key"],
  [
    /permission denied \(|could not read from remote repository.*permission/i,
    "give this user's ssh key access (`ssh-add -l` lists the loaded ones)",
  ],
  [
    /could not read (username|password)|terminal prompts disabled|authentication failed|\b40[13]\b/i,
    "set up a git credential helper that answers without asking, or use an ssh remote",
  ],
  [/dubious ownership/i, "run `git config --global --add safe.directory PATH` for this folder"],
  [
    /does not appear to be a git repository|repository .*not found|not found$/i,
    "check the address, and that this user may read it",
  ],
  [/could not resolve host/i, "check the network and the host name"],
  [/transport '.*' not allowed/i, "use a path, ssh:// or https:// remote"],
  [/connection (refused|timed out|reset)|network is unreachable/i, "check the network"],
  [/no space left on device/i, "free some disk space"],
  [/mismatched algorithms|unsupported object format/i, "use a repository with SHA-1 object ids"],
];

/** Replaces credentials in URLs and token-like query parameters by `***`. */
export function redact(text: string): string {
  return text
    .replace(/\b(https?|ftps?):\/\/[^/\s'"]*@/gi, "$1://***@")
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^/:@\s'"]+):[^/\s'"]*@/gi, "$1***@")
    .replace(/([?&][a-z_]*(?:token|password|secret|key|sig)[a-z_]*=)[^&\s'"]+/gi, "$1***");
}

/** The lines of stderr that tell why, on one line, redacted, with a next step where one is known. */
export function reasonOf(stderr: string): string {
  const lines = stderr.split(/[\r\n]+/).map((line) => line.trim()).filter((line) => line !== "");
  const telling = lines.filter((line) =>
    /^(fatal|error|ERROR|ssh|remote|kex|kex_exchange)\b.*:|denied|verification failed/.test(line)
  );
  const chosen = (telling.length > 0 ? telling : lines.slice(-2)).slice(0, 3).map((line) =>
    // deno-lint-ignore no-control-regex
    line.replace(/^(fatal|error|remote): ?/, "").replace(/[\x00-\x1f\x7f]/g, " ").trim()
  ).filter((line) => line !== "");
  const text = chosen.join("; ");
  const reason = redact(text === "" ? "git failed without saying why" : text).slice(0, MAX_REASON);
  const hint = HINTS.find(([pattern]) => pattern.test(stderr));
  return hint === undefined ? reason : `${reason} (${hint[1]})`;
}
