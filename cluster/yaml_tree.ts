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

/** The plain value of a node; problems go to `complain`, and the value goes on without them. */
export function toPlain(node: unknown, complain: Complain): unknown {
  const { tag } = (node ?? {}) as { tag?: string };
  if (tag !== undefined) {
    complain(startOf(node), "tags (`!name`) are not allowed", "remove the tag");
    return null;
  }
  if (isScalar(node)) return scalarToPlain(node.value, node.source, startOf(node), complain);
  if (isMap(node)) return mapToPlain(node, complain);
  if (isSeq(node)) return node.items.map((item) => toPlain(item, complain));
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

/** The pair of a map whose key reads `key`. */
export function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => keyText(pair.key) === key);
}

function mapToPlain(map: YAMLMap, complain: Complain): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  const seen = new Set<string>();
  for (const pair of map.items) {
    const key = keyText(pair.key);
    const at = startOf(pair.key ?? pair.value);
    const child = toPlain(pair.value, complain);
    if (key === undefined) {
      complain(at, "a key must be a word", "put text with `{`, `[` or `?` in quotes");
    } else if (key === "<<") {
      complain(at, "merge keys (`<<`) are not allowed", "write the keys out again");
    } else if (key === "__proto__" || key.includes("\0")) {
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

function scalarToPlain(
  value: unknown,
  source: string | undefined,
  at: number,
  complain: Complain,
): unknown {
  if (typeof value === "string" && value.includes("\0")) {
    complain(at, "text must not contain a NUL character");
  } else if (typeof value === "number") {
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
