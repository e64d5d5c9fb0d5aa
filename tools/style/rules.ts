/**
 * The rules about sizes, cycles, unused exports and packages. Each takes all files and returns
 * what it found; none reads or writes anything.
 *
 * @module
 */
import { type Finding, isTest, resolve } from "./finding.ts";
import type { Source } from "./source.ts";

/** Lines of the longest function that still reads at a glance. */
const MAX_FUNCTION_LINES = 70;
/** Lines of the longest file that still is about one thing. */
const MAX_FILE_LINES = 400;

/** Finds functions and files that have grown too long. */
export function checkSizes(sources: readonly Source[]): Finding[] {
  return sources.flatMap(({ path: file, lines, functions }) => {
    const long = functions.filter((f) => f.lines > MAX_FUNCTION_LINES).map((f) => ({
      file,
      line: f.line,
      column: f.column,
      message: `${f.name} has ${f.lines} lines, more than ${MAX_FUNCTION_LINES}: split it`,
    }));
    if (lines <= MAX_FILE_LINES) return long;
    const message = `the file has ${lines} lines, more than ${MAX_FILE_LINES}: split it by topic`;
    return [...long, { file, line: MAX_FILE_LINES + 1, column: 1, message }];
  });
}

/** Finds import cycles, type imports included; each cycle is told once. */
export function checkCycles(sources: readonly Source[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const findings: Finding[] = [];
  const visit = (source: Source, trail: readonly string[]): void => {
    if (done.has(source.path)) return;
    const path = [...trail, source.path];
    for (const { specifier, line, column } of source.imports) {
      const target = byPath.get(resolve(source.path, specifier) ?? "");
      if (!target) continue;
      const start = path.indexOf(target.path);
      if (start < 0) {
        visit(target, path);
        continue;
      }
      const cycle = [...path.slice(start), target.path].join(" → ");
      const message = `import cycle ${cycle}: move what they share into a third file`;
      findings.push({ file: source.path, line, column, message });
    }
    done.add(source.path);
  };
  for (const source of sources) visit(source, []);
  return findings;
}

/**
 * Finds exports that no other file uses, tests included. A type may be exported for the sake of a
 * signature of its own file.
 */
export function checkExports(sources: readonly Source[]): Finding[] {
  const used = new Map<string, Set<string>>();
  for (const source of sources) {
    for (const { specifier, names } of source.imports) {
      const target = resolve(source.path, specifier);
      if (target === undefined) continue;
      const set = used.get(target) ?? new Set();
      for (const name of names) set.add(name);
      used.set(target, set);
    }
  }
  return sources.filter((source) => !isTest(source.path)).flatMap((source) => {
    const names = used.get(source.path);
    if (names?.has("*")) return [];
    return source.exports
      .filter((e) => !names?.has(e.name) && !(e.isType && e.usesInFile > 0))
      .map(({ name, usesInFile, line, column }) => {
        const fix = usesInFile > 0 ? "drop the word export" : "delete it";
        return { file: source.path, line, column, message: `nobody imports ${name}: ${fix}` };
      });
  });
}

/** Finds packages that are imported past the import map of `deno.json`. */
export function checkPackages(
  sources: readonly Source[],
  imports: Readonly<Record<string, string>>,
): Finding[] {
  return sources.flatMap((source) =>
    source.imports.flatMap(({ specifier, line, column }) => {
      if (/^\.{1,2}\//.test(specifier) || specifier.startsWith("node:")) return [];
      if (packageName(specifier) in imports) return [];
      const message = /^(npm|jsr|https?|file|data):|^\//.test(specifier)
        ? `"${specifier}" is imported past the import map: give it a name in deno.json`
        : `"${specifier}" is not in the import map: add it to deno.json with an exact version`;
      return [{ file: source.path, line, column, message }];
    })
  );
}

/** Finds entries of the import map that do not name one exact version. */
export function checkVersions(
  text: string,
  imports: Readonly<Record<string, string>>,
): Finding[] {
  const exact = /^(npm|jsr):\/?(@[^/@]+\/)?[^/@]+@\d+\.\d+\.\d+(-[\w.]+)?(\/.*)?$/;
  return Object.entries(imports).filter(([, target]) => !exact.test(target)).map(
    ([name, target]) => {
      const before = text.slice(0, Math.max(0, text.indexOf(`"${name}"`))).split("\n");
      const message = `"${target}" is not an exact version: write npm:NAME@MAJOR.MINOR.PATCH`;
      return {
        file: "deno.json",
        line: before.length,
        column: (before.at(-1)?.length ?? 0) + 1,
        message,
      };
    },
  );
}

/** `@scope/name/sub` → `@scope/name`, `name/sub` → `name`. */
function packageName(specifier: string): string {
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}
