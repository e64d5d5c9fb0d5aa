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
  readonly job: string;
}

type Textual = string | number | boolean;

/** The list at `key` as arguments; wrong placeholders are noted. */
export function fillArguments(
  given: readonly Textual[] | undefined,
  key: string,
  context: FillContext,
): string[] | undefined {
  return given?.map((item, i) => {
    const path = [key, i];
    const { written } = context.report.source;
    return typeof item === "string" ? fill(item, path, context) : String(written(path) ?? item);
  });
}

/** A map of variables as text: unquoted numbers as they are written, `1.10` and not `1.1`. */
export function texts(
  values: Readonly<Record<string, Textual>>,
  key: string,
  report: Report,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      report.source.written([key, name]) ?? String(value),
    ]),
  );
}

function fill(template: string, path: Path, context: FillContext): string {
  const { report } = context;
  let complained = false;
  const filled = fillTemplate(template, (name) => {
    const value = name === "job" ? context.job : lookup(context.config, name.split("."));
    if (value === undefined) return undefined;
    if (value !== null && typeof value !== "object") {
      return scalarText(value, report.source.written(name.split(".")));
    }
    const kind = Array.isArray(value) ? "a list" : "a map";
    report.problem(path, `\`{${name}}\` is ${kind}; an argument takes one value`);
    complained = true;
    return "";
  });
  if (filled.ok) return filled.text;
  if (complained) return "";
  if (filled.unknown === undefined) {
    report.problem(path, "a brace stands alone", "write `{{` and `}}` for braces themselves");
  } else {
    const { unknown } = filled;
    const hint = () =>
      didYouMean(unknown, ["job", ...namesOf(context.config, [])]) ??
        "write `{{` and `}}` for braces themselves";
    report.problem(path, `\`{${plain(unknown)}}\` has no value`, hint);
  }
  return "";
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
