/**
 * Training parameters as arguments of an unchanged script, by a template.
 *
 * | template | `lr: 0.1` | `fp16: true` | `ids: [1, 2]` |
 * | --- | --- | --- | --- |
 * | `--{name} {value}` | `--lr 0.1` | `--fp16` | `--ids 1 2` |
 * | `--{kebab}={value}` | `--lr=0.1` | `--fp16` | `--ids=1 --ids=2` |
 * | `{name}={value}` (Hydra) | `lr=0.1` | `fp16=true` | `ids=[1,2]` |
 * | `none` | | | |
 *
 * False is nothing (unless booleans are values), and so is null. Nested maps are dotted names in
 * the Hydra form and refused in the others.
 *
 * @module
 */
import type { Content } from "./sections.ts";
import { isContent } from "./sections.ts";
import { fillTemplate, numberText } from "./template.ts";

/** A template that has been understood. */
export interface FlagStyle {
  /** One part, or a flag and a value of its own. */
  readonly parts: readonly [string] | readonly [string, string];
  readonly hydra: boolean;
  readonly booleans: "bare" | "value";
}

/** Told about each parameter that cannot be a flag. */
export type Complain = (path: readonly PropertyKey[], message: string, hint?: string) => void;

/** How a number was written, by its path below `training`. */
export type Written = (path: readonly PropertyKey[]) => string | undefined;

/** Reads a template: undefined for `none`, an error text for one that cannot work. */
export function readTemplate(
  template: string,
  booleans?: "bare" | "value",
): FlagStyle | undefined | string {
  if (template === "none") return undefined;
  const parts = template.split(" ");
  if (parts.length > 2 || parts.includes("")) return "at most one space between flag and value";
  const names = new Set<string>();
  for (const part of parts) {
    const filled = fillTemplate(part, (name) => {
      names.add(name);
      return /^(name|kebab|value)$/.test(name) ? "x" : undefined;
    });
    if (!filled.ok) return "placeholders are `{name}`, `{kebab}` and `{value}`";
  }
  const named = /\{(name|kebab)\}/.test(parts[0]!);
  if (!named || !names.has("value")) return "`{name}` (or `{kebab}`) and `{value}` are needed";
  if (parts.length === 2 && (parts[0]!.includes("{value}") || /\{(name|kebab)\}/.test(parts[1]!))) {
    return "the name goes before the space, the value after it";
  }
  const hydra = !template.startsWith("-");
  return {
    parts: parts as [string] | [string, string],
    hydra,
    booleans: booleans ?? (hydra ? "value" : "bare"),
  };
}

/** All parameters as arguments, in the order in which they are written. */
export function trainingFlags(
  training: Content,
  style: FlagStyle,
  written: Written,
  complain: Complain,
): string[] {
  const flags: string[] = [];
  const add = (content: Content, path: readonly PropertyKey[]) => {
    for (const [key, value] of Object.entries(content)) {
      const at = [...path, key];
      if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(key)) {
        complain(at, "a training parameter needs a name of letters, digits, `_`, `.` and `-`");
      } else if (isContent(value) && style.hydra) add(value, at);
      else flags.push(...flagsOf(at, value, style, written, complain));
    }
  };
  add(training, []);
  return flags;
}

function flagsOf(
  path: readonly PropertyKey[],
  value: unknown,
  style: FlagStyle,
  written: Written,
  complain: Complain,
): string[] {
  const name = path.join(".");
  if (value === null) return [];
  if (typeof value === "boolean" && style.booleans === "bare") {
    return value ? [bare(name, style)] : [];
  }
  if (isContent(value)) {
    complain(path, `\`training.${name}\` is a map and cannot be a flag`, MAP_HINT);
    return [];
  }
  if (!Array.isArray(value)) return filled(name, scalarText(value, written(path)), style);
  if (value.some((item) => item === null || typeof item === "object")) {
    complain(path, `\`training.${name}\` may only list text, numbers and truth values`);
    return [];
  }
  const texts = value.map((item, i) => scalarText(item, written([...path, i])));
  if (style.hydra) return filled(name, `[${texts.join(",")}]`, style);
  if (style.parts.length === 1) return texts.flatMap((text) => filled(name, text, style));
  if (texts.length === 0) return [];
  const [first, ...rest] = texts;
  return [...filled(name, first!, style), ...rest.flatMap((t) => filled(name, t, style).slice(1))];
}

const MAP_HINT = "use a Hydra template (`{name}={value}`), or another section and `UGRO_CONFIG`";

function filled(name: string, value: string, style: FlagStyle): string[] {
  const values: Record<string, string> = { name, kebab: name.replaceAll("_", "-"), value };
  return style.parts.map((part) => {
    const result = fillTemplate(part, (placeholder) => values[placeholder]);
    return result.ok ? result.text : part;
  });
}

/** The flag alone: what stands before the value, without `=`. */
function bare(name: string, style: FlagStyle): string {
  const [flag = ""] = filled(name, "", style);
  return flag.replace(/[=:]$/, "");
}

/** A value as one argument. */
export function scalarText(value: unknown, written: string | undefined): string {
  return typeof value === "number" ? numberText(value, written) : String(value);
}
