/**
 * The values of secrets, as the controller finds them: in variables of its own, in files of a
 * private folder, and in encrypted files of the state repository. Values are kept in memory only.
 * What a manifest may name is narrow on purpose, since who can push one can name anything
 * (docs/secrets.md).
 *
 * @example
 * const store = new ControllerSecrets({ folder, identity, readBlobs });
 * await store.read({ name: "HF_TOKEN", source: { kind: "file", name: "hf-token" } });
 *
 * @module
 */
import { join, resolve } from "node:path";
import type { NeededSecret, SecretSource } from "../../jobs/job.ts";
import type { SecretRead, SecretStore, StateRepository } from "../../reconciler/ports.ts";
import { ageDecrypt, identityProblem } from "./age.ts";
import { type Bytes, type Missing, phrase } from "./found.ts";
import { folderProblem, readPrivate } from "./private_file.ts";
import { type Named, redactor } from "./redact.ts";
import { readSops, type SopsFile, sopsPath } from "./sops.ts";

/** Where the values are. */
export interface ControllerSecretsOptions {
  /** Folder of `file` secrets; private, as each file in it must be. */
  readonly folder: string;
  /** The age identity that opens `age` and `sops` files; private. */
  readonly identity: string;
  readonly readBlobs: StateRepository["readBlobs"];
  /** A variable of the controller. */
  readonly env?: (name: string) => string | undefined;
  readonly now?: () => number;
  /** The `age` program. */
  readonly program?: string;
}

/** What begins the name of each variable that may be named in a manifest. */
const PREFIX = "UGRO_SECRET_";
/** Largest value: what `env` of a manifest takes, too. */
const MAX_VALUE_BYTES = 32_768;
/** Largest encrypted file. */
const MAX_FILE_BYTES = 256 * 1024;
/** Decrypted files that are kept. */
const MAX_FILES = 500;
/** Values that are looked for in messages. */
const MAX_KNOWN = 2000;
/** Messages that are kept as they were cleaned, and the longest of them. */
const MAX_REDACTED = 5000;
const MAX_REDACTED_CHARS = 8192;
/** `age` processes at the same time. */
const PARALLEL = 4;
/** When a file that cannot be decrypted is tried again: another identity may have come. */
const RETRY_MS = 30_000;

type Opened = { readonly text: string } | SopsFile | Missing;

interface Kept {
  readonly opened: Promise<Opened>;
  /** Set once it is known that it could not be opened. */
  retryAtMs?: number;
}

/** `SecretStore` of a controller. */
export class ControllerSecrets implements SecretStore {
  readonly #options: ControllerSecretsOptions;
  readonly #files = new Map<string, Kept>();
  readonly #known = new Map<string, Named>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #redact: ((text: string) => string) | undefined;
  /** The same messages of ended runs come with every observation. */
  readonly #redacted = new Map<string, string>();

  constructor(options: ControllerSecretsOptions) {
    this.#options = options;
  }

  /** @inheritDoc */
  async read(secret: NeededSecret): Promise<SecretRead> {
    const found = await this.#find(secret).catch(() => ({ why: "cannot be read" }));
    if ("why" in found) return { why: phrase(found.why) };
    const value = checked(found.value);
    if ("value" in value) this.#remember(secret.name, value.value);
    return value;
  }

  /** `text` without the values that were read since this controller started. */
  redact(text: string): string {
    if (this.#known.size === 0) return text;
    const before = this.#redacted.get(text);
    if (before !== undefined) return before;
    this.#redact ??= redactor([...this.#known.values()]);
    const clean = this.#redact(text);
    if (this.#redacted.size >= MAX_REDACTED) this.#redacted.clear();
    if (text.length <= MAX_REDACTED_CHARS) this.#redacted.set(text, clean);
    return clean;
  }

  async #find({ source, blob }: NeededSecret): Promise<SecretRead> {
    switch (source.kind) {
      case "env": {
        const { env = Deno.env.get } = this.#options;
        const value = env(PREFIX + source.name);
        return value === undefined ? { why: "is not set" } : { value };
      }
      case "file":
        return await this.#readFile(source.name);
      default:
        return blob === undefined
          ? { why: "is no regular file of the state repository" }
          : await this.#fromBlob(source, blob);
    }
  }

  async #readFile(name: string): Promise<SecretRead> {
    const { folder, identity } = this.#options;
    const path = join(folder, name);
    // Whoever has it can read every encrypted file there ever was.
    if (resolve(path) === resolve(identity)) return { why: "is the controller's own key" };
    const problem = await folderProblem(folder);
    if (problem) return problem;
    return toValue(await readPrivate(path, MAX_VALUE_BYTES + 2));
  }

  async #fromBlob(
    source: Extract<SecretSource, { kind: "age" | "sops" }>,
    blob: string,
  ): Promise<SecretRead> {
    const key = `${source.kind} ${blob} ${source.path.slice(source.path.lastIndexOf(".") + 1)}`;
    const kept = this.#files.get(key);
    const old = kept?.retryAtMs !== undefined && kept.retryAtMs <= this.#now();
    const known = kept && !old ? kept : undefined;
    // Cheap to look at, so it is not remembered: the identity is used as soon as it is there.
    const problem = known ? undefined : await identityProblem(this.#options.identity);
    if (problem) return problem;
    const opened = await (known?.opened ?? this.#open(key, source, blob));
    if ("why" in opened) return opened;
    if ("text" in opened) return { value: opened.text };
    if (source.kind !== "sops") return { why: "cannot be read" };
    const path = sopsPath(source.key);
    if (opened.clear.has(path)) return { why: "that value stands there in the clear" };
    const value = opened.values.get(path);
    return value === undefined ? { why: "has no single value under that key" } : { value };
  }

  #open(
    key: string,
    source: Extract<SecretSource, { kind: "age" | "sops" }>,
    blob: string,
  ): Promise<Opened> {
    const kept: Kept = { opened: this.#decrypt(source, blob) };
    this.#files.delete(key);
    this.#files.set(key, kept);
    for (const oldest of this.#files.keys()) {
      if (this.#files.size <= MAX_FILES) break;
      this.#files.delete(oldest);
    }
    kept.opened.then((opened) => {
      if ("why" in opened) kept.retryAtMs = this.#now() + RETRY_MS;
    });
    return kept.opened;
  }

  async #decrypt(
    source: Extract<SecretSource, { kind: "age" | "sops" }>,
    blob: string,
  ): Promise<Opened> {
    const { readBlobs } = this.#options;
    const blobs = await readBlobs([blob], MAX_FILE_BYTES).catch(() => undefined);
    if (!blobs) return { why: "cannot be read from the state repository" };
    const bytes = blobs.get(blob);
    if (!bytes) return { why: `has more than ${MAX_FILE_BYTES} bytes, or is gone` };
    const unwrap = (ciphertext: Uint8Array) => this.#age(ciphertext);
    if (source.kind === "sops") return await readSops(source.path, bytes, unwrap);
    const found = toValue(await unwrap(bytes));
    return "why" in found ? found : { text: found.value };
  }

  /** `age`, at most a few at a time. */
  async #age(ciphertext: Uint8Array): Promise<Bytes> {
    if (this.#running >= PARALLEL) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running++;
    try {
      const { program = "age", identity } = this.#options;
      return await ageDecrypt(ciphertext, { program, identity });
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #remember(name: string, value: string): void {
    if (this.#known.has(value)) return;
    this.#known.set(value, { name, value });
    this.#redact = undefined;
    this.#redacted.clear();
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
  }
}

/** Text without the line break that editors put at the end of a file. */
function toValue(found: Bytes): SecretRead {
  if ("why" in found) return found;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return { value: decoder.decode(found.bytes).replace(/\r?\n$/, "") };
  } catch {
    return { why: "is not text in UTF-8" };
  }
}

/** What a variable of a process can hold. */
function checked(value: string): SecretRead {
  if (value === "") return { why: "is empty" };
  if (value.includes("\0")) return { why: "holds a NUL byte" };
  if (!value.isWellFormed()) return { why: "is not text in UTF-8" };
  const tooLong = new TextEncoder().encode(value).length > MAX_VALUE_BYTES;
  return tooLong ? { why: `has more than ${MAX_VALUE_BYTES} bytes` } : { value };
}
