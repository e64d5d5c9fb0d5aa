/**
 * Collects everything that is wrong with one file, so that its writer sees all of it at once.
 *
 * @module
 */
import type { z } from "zod";
import { explain, type Finding, type Hint, unknownKey } from "./issues.ts";
import type { Parsed, Problem } from "./problem.ts";
import type { Path } from "./show.ts";
import { sortProblems, type YamlFile } from "./yaml.ts";

/** Values of the fields that were right; the wrong ones are missing. */
export type Read<S> = { [K in keyof S]?: S[K] extends z.ZodType ? z.output<S[K]> : never };

/** A problem whose hint is only found if it is shown. */
type Noted = Omit<Problem, "hint"> & { readonly hint?: Hint };

/** The problems and warnings of one file. */
export class Report {
  readonly #problems: Noted[] = [];
  readonly #warnings: Noted[] = [];

  constructor(readonly source: YamlFile) {}

  /** Whether the file is without problems so far. */
  get clean(): boolean {
    return this.#problems.length === 0;
  }

  /** Notes a problem with the value (or the key) at `path`. */
  problem(path: Path, message: string, hint?: Hint, what: "value" | "key" = "value"): void {
    this.#problems.push(this.#locate({ path, message, what, ...(hint ? { hint } : {}) }));
  }

  /** Notes something that is worth knowing and stops nothing. */
  warn(path: Path, message: string, hint?: Hint, what: "value" | "key" = "value"): void {
    this.#warnings.push(this.#locate({ path, message, what, ...(hint ? { hint } : {}) }));
  }

  /** The value as `schema` reads it, or undefined once its problems are noted. */
  check<S extends z.ZodType>(schema: S, value: unknown, path: Path): z.output<S> | undefined {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const { written } = this.source;
    const findings = explain(result.error.issues, { schema, value, base: path, written });
    for (const finding of findings) this.#problems.push(this.#locate(finding));
    return undefined;
  }

  /**
   * Reads each field of a map by itself, so that one wrong field hides no problem of another, and
   * notes keys that `shape` does not know.
   */
  fields<S extends Record<string, z.ZodType>>(shape: S, value: object, path: Path): Read<S> {
    const given = value as Record<string, unknown>;
    const read: Record<string, unknown> = {};
    this.unknownKeys(given, Object.keys(shape), path);
    for (const [key, schema] of Object.entries(shape)) {
      const present = Object.hasOwn(given, key);
      if (!present && schema._zod.def.type === "optional") continue;
      const found = this.check(schema, given[key], [...path, key]);
      if (found !== undefined) read[key] = found;
    }
    return read as Read<S>;
  }

  /** Notes the keys of `given` that are not among `known`. */
  unknownKeys(given: object, known: readonly string[], path: Path = []): void {
    for (const key of Object.keys(given)) {
      if (known.includes(key)) continue;
      this.#problems.push(this.#locate(unknownKey(path, key, known)));
    }
  }

  /** The value with its warnings when nothing was wrong; else the problems, sorted and bounded. */
  finish<T>(value: () => T): Parsed<T> {
    if (!this.clean) return { ok: false, problems: shown(this.#problems) };
    return { ok: true, value: value(), warnings: shown(this.#warnings) };
  }

  #locate(finding: Finding): Noted {
    const { path, what, message, hint } = finding;
    const place = this.source.place(path, what);
    return { file: this.source.file, ...place, message, ...(hint === undefined ? {} : { hint }) };
  }
}

/** Those that are shown, in order, with their hints. */
function shown(noted: readonly Noted[]): Problem[] {
  return sortProblems(noted).map(({ hint, ...problem }) => {
    const found = typeof hint === "function" ? hint() : hint;
    return found === undefined ? problem : { ...problem, hint: found };
  });
}

/** The top of a file as a map, or the reason why it is none. */
export function topMap(report: Report): Record<string, unknown> | undefined {
  const { value } = report.source;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  const message = value === null ? "the file is empty" : "the file must be `key: value` lines";
  report.problem([], message);
  return undefined;
}
