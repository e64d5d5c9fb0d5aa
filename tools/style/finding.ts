/**
 * What a style rule says, and the few path helpers that all rules need.
 *
 * @module
 */

/** One breach of the style, with the place and the way out. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** `file:line:column: message`, which editors turn into a link. */
export function formatFinding({ file, line, column, message }: Finding): string {
  return `${file}:${line}:${column}: ${message}`;
}

/** True for `planner_test.ts`, for helpers called `testing.ts` and for what is in a `testing/`. */
export function isTest(path: string): boolean {
  return /(_test|(^|\/)testing)\.tsx?$|(^|\/)testing\//.test(path) || path.startsWith("tests/");
}

/**
 * The path that a relative specifier leads to, from the root of the project; undefined for the
 * name of a package.
 */
export function resolve(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
