/**
 * The address of a git repository, checked before git sees it: what cannot be mistaken for an
 * option, a remote helper (`ext::…` runs commands) or two lines.
 *
 * @example
 * ```ts
 * parseRemote("git@forge.example:lab/state.git").kind; // "ssh"
 * parseRemote("ext::sh -c id"); // throws RemoteError
 * ```
 *
 * @module
 */
import { redact } from "./redact.ts";

/** An address that passed. */
export interface Remote {
  readonly kind: "path" | "ssh" | "https" | "http";
  /** For git; may hold credentials. */
  readonly url: string;
  /** For people: credentials replaced. */
  readonly display: string;
  /** Value of `GIT_ALLOW_PROTOCOL`: the only transports that git may use. */
  readonly protocols: string;
  /** What a person should know about this address. */
  readonly warning?: string;
}

/** An address was refused; `message` says why and what to write instead. */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
}

const MAX_LENGTH = 2048;
const HOST = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\])$/;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/;

/** A user's `url.….insteadOf` may turn one into the other, so both are allowed for both. */
const NETWORK = "https:ssh";

/** Checks an address. Throws {@linkcode RemoteError}. */
export function parseRemote(address: string): Remote {
  const display = redact(address);
  const refuse = (why: string) =>
    new RemoteError(`Cannot use git remote ${JSON.stringify(display.slice(0, 200))}: ${why}`);
  if (address === "") throw refuse("it is empty; give a path, ssh:// or https:// address");
  if (address.length > MAX_LENGTH) throw refuse(`it is longer than ${MAX_LENGTH} characters`);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(address)) throw refuse("it holds a line break or control character");
  if (address.startsWith("-")) throw refuse("it begins with `-`, which git reads as an option");
  if (/^[A-Za-z0-9+.-]*::/.test(address)) {
    throw refuse("remote helpers (`name::…`) can run commands; use a path, ssh:// or https://");
  }
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(address)?.[1]?.toLowerCase();
  if (scheme !== undefined) return fromUrl(address, scheme, display, refuse);
  if (/^[^/]*:/.test(address)) return fromScp(address, display, refuse);
  if (address.startsWith("~")) throw refuse("`~` is not expanded here; write the whole path");
  if (!address.startsWith("/")) throw refuse("the path is relative; write the whole path");
  return { kind: "path", url: address, display, protocols: "file" };
}

type Refuse = (why: string) => RemoteError;

function fromUrl(address: string, scheme: string, display: string, refuse: Refuse): Remote {
  if (!URL.canParse(address)) throw refuse("it is not a valid URL");
  const url = new URL(address);
  switch (scheme) {
    case "file":
      if (!/^file:\/\/\//i.test(address)) throw refuse("write file:/// and an absolute path");
      return { kind: "path", url: address, display, protocols: "file" };
    case "ssh":
      return fromSsh(address, display, refuse);
    case "https":
    case "http": {
      if (!HOST.test(url.hostname)) throw refuse(`the host name "${url.hostname}" is not valid`);
      if (scheme === "https") return { kind: "https", url: address, display, protocols: NETWORK };
      const local = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
      const protocols = `http:${NETWORK}`;
      const warning = `${display} is not encrypted: anyone on the way can read and change it`;
      return { kind: "http", url: address, display, protocols, ...(local ? {} : { warning }) };
    }
    default:
      throw refuse(`${scheme}:// is not supported; use a path, ssh:// or https://`);
  }
}

/** By hand: `URL` neither keeps the host of a non-web scheme as written nor refuses `-o…`. */
function fromSsh(address: string, display: string, refuse: Refuse): Remote {
  const match = /^ssh:\/\/(?:([^@/]*)@)?(\[[^\]/]*\]|[^:/]*)(?::(\d{1,5}))?(\/.*)$/i.exec(address);
  if (match === null) throw refuse("write ssh://USER@HOST/PATH");
  checkLogin(match[1], match[2] ?? "", match[4] ?? "", refuse);
  return { kind: "ssh", url: address, display, protocols: NETWORK };
}

function fromScp(address: string, display: string, refuse: Refuse): Remote {
  const match = /^(?:([^@/:]*)@)?(\[[^\]/]*\]|[^:/]*):(.*)$/.exec(address);
  if (match === null) throw refuse("write USER@HOST:PATH or ssh://USER@HOST/PATH");
  checkLogin(match[1], match[2] ?? "", match[3] ?? "", refuse);
  return { kind: "ssh", url: address, display, protocols: NETWORK };
}

function checkLogin(user: string | undefined, host: string, path: string, refuse: Refuse): void {
  if (user?.includes(":")) throw refuse("ssh takes no password; use a key");
  if (user !== undefined && !USER.test(user)) throw refuse("the user name is not valid");
  if (!HOST.test(host)) throw refuse(`the host name "${host}" is not valid`);
  if (path === "" || path === "/") throw refuse("the path is missing");
  if (/^\/?-/.test(path)) throw refuse("the path begins with `-`, which reads as an option");
}
