/**
 * Arguments of a manifest with their placeholders replaced from the effective configuration.
 *
 * @module
 */
import type { Report } from "../cluster/report.ts";
import { type Path, plain } from "../cluster/show.ts";
import { didYouMean } from "../cluster/suggest.ts";
import { scalarText } from "./flags.ts";
import { isContent, type Sections } from "./sections.ts";
import { fillTemplate } from "./template.ts";

/** What placeholders are replaced from. */
export interface FillContext {
  readonly report: Report;
  readonly config: Sections;
  /** undefined: it gets another name for each of its runs. */
  readonly job: string | undefined;
  /** Further placeholders, such as `matrix.lr`, with their texts. */
  readonly placeholders: ReadonlyMap<string, string>;
  /** How a number was written, by its path in the manifest. */
  readonly written: (path: Path) => string | undefined;
}

/** The longest argument that Linux takes, in characters of one byte each. */
const MAX_ARGUMENT = 131_071;

type Textual = string | number | boolean;

/** The list at `key` as arguments; wrong placeholders are noted. */
export function fillArguments(
  given: readonly Textual[] | undefined,
  key: string,
  context: FillContext,
): string[] | undefined {
  return given?.map((item, i) => {
    const path = [key, i];
    return typeof item === "string"
      ? fill(item, path, context)
      : String(context.written(path) ?? item);
  });
}

/** A map of variables as text: unquoted numbers as they are written, `1.10` and not `1.1`. */
export function texts(
  values: Readonly<Record<string, Textual>>,
  key: string,
  written: (path: Path) => string | undefined,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      written([key, name]) ?? String(value),
    ]),
  );
}

function fill(template: string, path: Path, context: FillContext): string {
  const { report } = context;
  let complained = false;
  let length = template.length;
  const complain = (message: string, hint?: string) => {
    report.problem(path, message, hint);
    complained = true;
    return undefined;
  };
  const filled = fillTemplate(template, (name) => {
    const found = valueOf(name, context);
    if (typeof found !== "string") return found && complain(found.problem);
    length += found.length;
    if (length <= MAX_ARGUMENT) return found;
    const hint = "give the script a file, or the values one by one";
    return complain(`the argument is longer than ${MAX_ARGUMENT} characters`, hint);
  });
  if (filled.ok) return filled.text;
  if (complained) return "";
  if (filled.unknown === undefined) {
    report.problem(path, "a brace stands alone", "write `{{` and `}}` for braces themselves");
  } else {
    const { unknown } = filled;
    const hint = () =>
      didYouMean(unknown, [
        "job",
        ...context.placeholders.keys(),
        ...namesOf(context.config, []),
      ]) ??
        "write `{{` and `}}` for braces themselves";
    report.problem(path, `\`{${plain(unknown)}}\` has no value`, hint);
  }
  return "";
}

/** The text of a placeholder, undefined when there is none, or why it cannot be an argument. */
function valueOf(
  name: string,
  context: FillContext,
): string | { readonly problem: string } | undefined {
  if (name === "job" && context.job === undefined) {
    return {
      problem: "each run of a `schedule` has its own name; the script finds it in UGRO_JOB",
    };
  }
  const own = name === "job" ? context.job : context.placeholders.get(name);
  if (own !== undefined) return own;
  const value = lookup(context.config, name.split("."));
  if (value === undefined) return undefined;
  if (value === null || typeof value === "object") {
    const kind = Array.isArray(value) ? "a list" : "a map";
    return { problem: `\`{${name}}\` is ${kind}; an argument takes one value` };
  }
  return scalarText(value, context.written(name.split(".")));
}

function lookup(content: unknown, path: readonly string[]): unknown {
  let at: unknown = content;
  for (const part of path) {
    if (!isContent(at) || !Object.hasOwn(at, part)) return undefined;
    at = at[part];
  }
  return at;
}

function namesOf(content: unknown, path: readonly string[]): string[] {
  if (!isContent(content)) return [path.join(".")];
  return Object.entries(content).flatMap(([key, value]) => namesOf(value, [...path, key]));
}
