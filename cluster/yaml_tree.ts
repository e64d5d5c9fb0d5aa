/**
 * From a YAML syntax tree to plain values, refusing on the way what a reader would not expect:
 * aliases, repeated keys, keys that are not text, numbers that would lose digits.
 *
 * @module
 */
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";
import { plain } from "./show.ts";

/** Called for each problem with the offset of the text that it is about. */
export type Complain = (offset: number, message: string, hint?: string) => void;

/**
 * The plain value of a node; problems go to `complain`, and the value goes on without them.
 * `byProgram` spares texts and numbers the checks for what people write by mistake.
 */
export function toPlain(node: unknown, complain: Complain, byProgram = false): unknown {
  const { tag } = (node ?? {}) as { tag?: string };
  if (tag !== undefined) {
    complain(startOf(node), "tags (`!name`) are not allowed", "remove the tag");
    return null;
  }
  if (isScalar(node)) {
    if (byProgram) return node.value ?? null;
    if (typeof node.value === "string") return textToPlain(node.value, startOf(node), complain);
    return scalarToPlain(node.value, node.source, startOf(node), complain);
  }
  if (isMap(node)) return mapToPlain(node, complain, byProgram);
  if (isSeq(node)) return node.items.map((item) => toPlain(item, complain, byProgram));
  if (isAlias(node)) {
    complain(startOf(node), "aliases (`*name`) are not allowed", "write the value out again");
  }
  return null;
}

/** The text of a key, or undefined for a key that is no plain word. */
export function keyText(key: unknown): string | undefined {
  if (!isScalar(key) || key.value === null) return undefined;
  return typeof key.value === "string" ? key.value : key.source ?? String(key.value);
}

/** Where a node begins in the source. */
export function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

const indexes = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

/** The pair of a map whose key reads `key`; a map of 40,000 keys is searched once. */
export function pairOf(map: YAMLMap, key: string): Pair | undefined {
  const index = indexes.get(map) ?? indexOf(map);
  indexes.set(map, index);
  return index.get(key);
}

function indexOf(map: YAMLMap): ReadonlyMap<string, Pair> {
  const index = new Map<string, Pair>();
  for (const pair of map.items) {
    const key = keyText(pair.key);
    if (key !== undefined && !index.has(key)) index.set(key, pair);
  }
  return index;
}

function mapToPlain(
  map: YAMLMap,
  complain: Complain,
  byProgram: boolean,
): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  const seen = new Set<string>();
  for (const pair of map.items) {
    const key = keyText(pair.key);
    const at = startOf(pair.key ?? pair.value);
    const child = toPlain(pair.value, complain, byProgram);
    if (key === undefined) {
      complain(at, "a key must be a word", "put text with `{`, `[` or `?` in quotes");
    } else if (key === "<<") {
      complain(at, "merge keys (`<<`) are not allowed", "write the keys out again");
    } else if (key === "__proto__" || key.includes("\0") || !key.isWellFormed()) {
      complain(at, `\`${plain(key)}\` cannot be a key`);
    } else if (seen.has(key)) {
      complain(at, `\`${plain(key)}\` is written twice`, "keep one of the two");
    } else {
      seen.add(key);
      value[key] = child;
    }
  }
  return value;
}

function textToPlain(text: string, at: number, complain: Complain): string {
  if (text.includes("\0")) complain(at, "text must not contain a NUL character");
  if (!text.isWellFormed()) {
    const hint = "`\\ud800` to `\\udfff` are halves";
    complain(at, "text must not contain half of a character", hint);
  }
  return text;
}

function scalarToPlain(
  value: unknown,
  source: string | undefined,
  at: number,
  complain: Complain,
): unknown {
  if (typeof value === "number") {
    const whole = /^[-+]?\d+$/.test(source ?? "");
    if (!Number.isFinite(value) || (whole && !Number.isSafeInteger(value))) {
      const shown = plain(source ?? String(value));
      complain(at, `${shown} is not a number that can be kept exactly`, `text: write "${shown}"`);
    } else if (/^[-+]?0\d+$/.test(source ?? "")) {
      const shown = plain(source ?? "");
      const hint = `a number: write ${value}; text: write "${shown}"`;
      complain(at, `${shown} is read as ${value} by some and as octal by others`, hint);
    }
  }
  return value === undefined ? null : value;
}
