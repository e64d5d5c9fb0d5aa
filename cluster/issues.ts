/**
 * From zod's issues to sentences with a place. The schemas of `fields.ts` say what they want as a
 * phrase; here it becomes "`nodes` must be a whole number of at least 1, not \"two\"".
 *
 * @module
 */
import { z } from "zod";
import { type Path, plain, showPath, showValue } from "./show.ts";
import { didYouMean } from "./suggest.ts";

/** A problem that knows its path in the value and not yet its line. */
export interface Finding {
  readonly path: Path;
  readonly what: "key" | "value";
  readonly message: string;
  readonly hint?: Hint;
}

/** A hint, or how to find one: that takes time, and most of a thousand problems are never shown. */
export type Hint = string | (() => string | undefined);

type Issue = z.core.$ZodIssue;

/** What is needed to explain an issue: the schema and value that it came from, and where they are. */
export interface Checked {
  readonly schema: z.ZodType;
  readonly value: unknown;
  /** Path of `value` in the file. */
  readonly base: Path;
  /** The characters of an unquoted scalar, by path in the file. */
  readonly written: (path: Path) => string | undefined;
}

/** All findings of one failed check. */
export function explain(issues: readonly Issue[], checked: Checked): Finding[] {
  return issues.flatMap((issue) => explainOne(issue, checked));
}

function explainOne(issue: Issue, checked: Checked): Finding[] {
  const path = [...checked.base, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(checked.schema, issue.path);
    return issue.keys.map((key) => unknownKey(path, key, known));
  }
  if (issue.code === "invalid_union") {
    const value = valueAt(checked.value, issue.path);
    const branch = likelyBranch(issue, value);
    if (branch !== undefined) {
      const moved = branch.map((i) => ({ ...i, path: [...issue.path, ...i.path] }) as Issue);
      return explain(moved, checked);
    }
  }
  if (issue.code === "invalid_key") {
    const wanted = issue.issues[0]?.message ?? "a plain word";
    const message = `a key of \`${showPath(path.slice(0, -1))}\` must be ${wanted}, not ` +
      showValue(path.at(-1));
    return [{ path, what: "key", message }];
  }
  return [wrongValue(issue, path, checked)];
}

/** The finding for a key that the schema does not know. */
export function unknownKey(parent: Path, key: string, known: readonly string[]): Finding {
  const where = parent.length === 0 ? "" : ` in \`${showPath(parent)}\``;
  const hint = () => didYouMean(key, known);
  return {
    path: [...parent, key],
    what: "key",
    message: `unknown key \`${plain(key)}\`${where}`,
    hint,
  };
}

function wrongValue(issue: Issue, path: Path, checked: Checked): Finding {
  const value = valueAt(checked.value, issue.path);
  const name = showPath(path);
  if (value === undefined && path.length > 0) {
    const hint = `it must be ${issue.message}`;
    return { path: path.slice(0, -1), what: "key", message: `\`${name}\` is missing`, hint };
  }
  const subject = name === "" ? "the file" : `\`${name}\``;
  const hint = hintFor(issue, value, checked.written(path));
  const shown = typeof value === "number" ? plain(checked.written(path) ?? "") : "";
  const long = issue.code === "too_big" && Array.isArray(value) ? `${value.length}` : "";
  const instead = shown || long ||
    (issue.code === "invalid_union" ? showKeys(value) : showValue(value));
  const message = `${subject} must be ${issue.message}, not ${instead}`;
  return { path, what: "value", message, ...(hint === undefined ? {} : { hint }) };
}

function showKeys(value: unknown): string {
  const shown = showValue(value);
  if (shown !== "a map") return shown;
  const keys = Object.keys(value as object).slice(0, 3).map((key) => `\`${plain(key)}\``);
  return keys.length === 0 ? "an empty map" : `a map with ${keys.join(", ")}`;
}

/** Hints for what YAML 1.2 reads differently than many expect. */
function hintFor(issue: Issue, value: unknown, written: string | undefined): string | undefined {
  const expected = issue.code === "invalid_type" ? issue.expected : undefined;
  if (issue.message.includes("true or false") && typeof value === "string") {
    if (/^(on|off|yes|no|y|n|true|false)$/i.test(value)) return "write true or false";
  }
  if (issue.message.startsWith("a duration") && typeof value === "number") {
    return `write \`${value}s\` for seconds`;
  }
  if (issue.message.startsWith("a time with its zone") && typeof value === "string") {
    return "write the day, `T`, the time and its zone: `Z` for UTC, or such as `+01:00`";
  }
  if (expected === "string" && (typeof value === "number" || typeof value === "boolean")) {
    return `write it in quotes: "${plain(written ?? String(value))}"`;
  }
  const numeric = expected === "number" || expected === "int";
  if (numeric && typeof value === "string" && /^[-+]?\d+(\.\d+)?$/.test(value)) {
    return "remove the quotes";
  }
  if (expected === "array" && typeof value === "string" && value !== "") {
    const items = value.split(/\s+/).filter((word) => word !== "").map((word) => showValue(word));
    return plain(`each word an item: [${items.join(", ")}]`, 200);
  }
  if (value === null) return "give a value, or remove the key";
  return undefined;
}

/** The branch of a union that the writer had in mind: the one whose outer shape and keys fit. */
function likelyBranch(
  issue: Extract<Issue, { code: "invalid_union" }>,
  value: unknown,
): Issue[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fitting = issue.errors.filter((branch) =>
    branch.every((i) => i.path.length > 0 || i.code !== "invalid_type")
  );
  const complete = fitting.filter((branch) =>
    branch.every((i) => i.path.length === 0 || valueAt(value, i.path) !== undefined)
  );
  const likely = fitting.length === 1 ? fitting : complete;
  return likely.length === 1 ? likely[0] as Issue[] : undefined;
}

/** The keys that the schema knows for the map at `path`. */
function keysAt(schema: z.core.$ZodType, path: Path): string[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodUnion) {
    return inner.options.flatMap((option) => keysAt(option as z.core.$ZodType, path));
  }
  const [head, ...rest] = path;
  if (inner instanceof z.ZodObject) {
    if (head === undefined) return Object.keys(inner.shape);
    const child = inner.shape[String(head)];
    return child === undefined ? [] : keysAt(child, rest);
  }
  if (head === undefined) return [];
  if (inner instanceof z.ZodArray) return keysAt(inner.element as z.core.$ZodType, rest);
  if (inner instanceof z.ZodRecord) return keysAt(inner.valueType as z.core.$ZodType, rest);
  return [];
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const def = schema._zod.def as { innerType?: z.core.$ZodType; in?: z.core.$ZodType };
  const inner = def.innerType ?? def.in;
  return inner === undefined ? schema : unwrap(inner);
}

function valueAt(value: unknown, path: Path): unknown {
  let at: unknown = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = Object.hasOwn(at, part) ? (at as Record<PropertyKey, unknown>)[part] : undefined;
  }
  return at;
}
