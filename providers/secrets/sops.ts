/**
 * Reads YAML and JSON files that SOPS wrote for age recipients. The values of such a file are
 * encrypted by AES-256-GCM with one data key, each bound to its place by the keys that lead to it
 * (additional data `hf:token:`). The data key is an age file for each recipient, and the code over
 * all values (`mac`) tells whether anything was changed, moved or taken away.
 *
 * Why not the `sops` program: docs/adr/0008-secrets.md. The format, checked against files of SOPS
 * 3.11: https://github.com/getsops/sops (`aes/cipher.go`, `sops.go`).
 *
 * @example
 * const file = await readSops("secrets/lab.yaml", bytes, unwrap);
 * if ("values" in file) file.values.get(sopsPath(["hf", "token"]));
 *
 * @module
 */
import { createDecipheriv, createHash, type Hash } from "node:crypto";
import { z } from "zod";
import { parseYaml } from "../../cluster/yaml.ts";
import type { Bytes, Missing } from "./found.ts";

/** A decrypted file: values that were encrypted, by `sopsPath`. */
export interface SopsFile {
  readonly values: ReadonlyMap<string, string>;
  /** Paths of values that stand there in the clear. */
  readonly clear: ReadonlySet<string>;
}

/** Decrypts an age file, armoured or not. */
export type Unwrap = (ciphertext: Uint8Array) => Promise<Bytes>;

/** Names a value: the keys that lead to it, items of lists by their number from 0. */
export function sopsPath(keys: readonly string[]): string {
  return JSON.stringify(keys);
}

const MAX_RECIPIENTS = 32;
const ENCRYPTED =
  /^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z0-9]+)\]$/;
/** What the code over the values begins with when it leaves out what is not encrypted. */
const ONLY_ENCRYPTED = createHash("sha256").update("sops").digest();

const metadataSchema = z.object({
  age: z.array(z.object({ enc: z.string() })).min(1),
  lastmodified: z.string(),
  mac: z.string(),
  mac_only_encrypted: z.boolean().optional(),
});

/** The values of a file, or why they cannot be had. Never throws. */
export async function readSops(file: string, bytes: Uint8Array, unwrap: Unwrap): Promise<
  SopsFile | Missing
> {
  const top = parse(file, bytes);
  if ("why" in top) return top;
  const { sops, ...tree } = top.value;
  const metadata = metadataSchema.safeParse(sops);
  if (!metadata.success) return { why: "is not a file that SOPS encrypted for age recipients" };
  const found = await dataKey(metadata.data.age.map(({ enc }) => enc), unwrap);
  if ("why" in found) return found;
  try {
    return decrypt(tree, metadata.data, found.bytes);
  } catch {
    // The reasons of the cipher tell nothing that helps, and nothing of a value may be in them.
    return { why: "cannot be decrypted: it was changed by hand, or is damaged" };
  }
}

function parse(
  file: string,
  bytes: Uint8Array,
): { readonly value: Record<string, unknown> } | Missing {
  let value: unknown;
  if (file.endsWith(".json")) {
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      return { why: "is not JSON" };
    }
  } else {
    const read = parseYaml(file, bytes);
    if (!read.ok) {
      return { why: `is not YAML that is read here (line ${read.problems[0]?.line ?? 1})` };
    }
    value = read.value.value;
  }
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  return isMap
    ? { value: value as Record<string, unknown> }
    : { why: "is not a file that SOPS encrypted for age recipients" };
}

/** The key is wrapped for each recipient; one of them is us, or none. */
async function dataKey(wrapped: readonly string[], unwrap: Unwrap): Promise<Bytes> {
  let last: Missing = { why: "has no recipient" };
  for (const one of wrapped.slice(0, MAX_RECIPIENTS)) {
    const found = await unwrap(new TextEncoder().encode(one));
    if ("why" in found) last = found;
    else return found.bytes.length === 32 ? found : { why: "holds no data key of 32 bytes" };
  }
  return last;
}

function decrypt(
  tree: Record<string, unknown>,
  metadata: z.output<typeof metadataSchema>,
  key: Uint8Array,
): SopsFile | Missing {
  const values = new Map<string, string>();
  const clear = new Set<string>();
  const hash = createHash("sha512");
  if (metadata.mac_only_encrypted) hash.update(ONLY_ENCRYPTED);
  walk(tree, [], [], (leaf, path, place) => {
    const plain = open(leaf, key, place);
    if (plain !== undefined) values.set(sopsPath(path), plain.text);
    else clear.add(sopsPath(path));
    if (plain !== undefined) hash.update(plain.bytes);
    else if (!metadata.mac_only_encrypted) hash.update(clearBytes(leaf));
  });
  const expected = open(metadata.mac, key, metadata.lastmodified);
  if (expected === undefined || !isDigest(expected.text, hash)) {
    return { why: "its MAC does not fit: it was changed without SOPS" };
  }
  return { values, clear };
}

function isDigest(expected: string, hash: Hash): boolean {
  return expected.toLowerCase() === hash.digest("hex");
}

/**
 * Calls `visit` for each value, in order, with the keys that lead to it and the additional data
 * that it was encrypted with: maps count there, lists do not.
 */
function walk(
  value: unknown,
  path: readonly string[],
  maps: readonly string[],
  visit: (leaf: unknown, path: readonly string[], place: string) => void,
): void {
  if (value === null) return;
  if (Array.isArray(value)) {
    value.forEach((item, i) => walk(item, [...path, String(i)], maps, visit));
  } else if (typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) {
      walk(inner, [...path, key], [...maps, key], visit);
    }
  } else visit(value, path, `${maps.join(":")}:`);
}

/** A decrypted value; undefined when it is not encrypted. Throws when it cannot be decrypted. */
function open(leaf: unknown, key: Uint8Array, place: string) {
  const match = typeof leaf === "string" ? ENCRYPTED.exec(leaf) : null;
  if (match === null) return undefined;
  const [data, iv, tag] = match.slice(1, 4).map(decode) as [Uint8Array, Uint8Array, Uint8Array];
  // Looked at before: a cipher that refuses its tag is never freed.
  if (tag.length !== 16 || iv.length > 64) throw new Error("not the cipher text of SOPS");
  const cipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: 16 });
  cipher.setAAD(new TextEncoder().encode(place));
  cipher.setAuthTag(tag);
  const bytes = new Uint8Array([...cipher.update(data), ...cipher.final()]);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  return { bytes, text: match[4] === "bool" ? text.toLowerCase() : text };
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(base64);
}

/** What stands for a value in the clear: as Go prints numbers, and Python truth values. */
function clearBytes(leaf: unknown): Uint8Array {
  const text = typeof leaf === "boolean" ? (leaf ? "True" : "False") : String(leaf);
  return new TextEncoder().encode(text);
}
