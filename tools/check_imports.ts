/**
 * The style check: imports against the table of rooms, import cycles, functions and files that are
 * too long, exports that nobody uses, packages past the import map. Run by `deno task check`.
 *
 * @example
 * deno run --allow-read=. --ignore-env tools/check_imports.ts
 *
 * @module
 */
import { type Finding, formatFinding } from "./style/finding.ts";
import { checkRooms } from "./style/rooms.ts";
import {
  checkCycles,
  checkExports,
  checkPackages,
  checkSizes,
  checkVersions,
} from "./style/rules.ts";
import { readSource, type Source } from "./style/source.ts";

/** All findings about `files` (path → text) in order of file and line. */
export function checkStyle(files: ReadonlyMap<string, string>, denoJson: string): Finding[] {
  const sources: Source[] = [...files].map(([path, text]) => readSource(path, text));
  const { imports = {} } = JSON.parse(denoJson) as { imports?: Record<string, string> };
  const findings = [
    ...checkRooms(sources),
    ...checkCycles(sources),
    ...checkExports(sources),
    ...checkSizes(sources),
    ...checkPackages(sources, imports),
    ...checkVersions(denoJson, imports),
  ];
  return findings.sort((a, b) => a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line);
}

/** Reads every `.ts` and `.tsx` file under `folder`, hidden and generated folders aside. */
async function readFiles(folder = "", into = new Map<string, string>()) {
  for await (const entry of Deno.readDir(folder || ".")) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (entry.isDirectory) await readFiles(path, into);
    else if (/\.tsx?$/.test(entry.name)) into.set(path, await Deno.readTextFile(path));
  }
  return into;
}

if (import.meta.main) {
  const files = await readFiles();
  const findings = checkStyle(files, await Deno.readTextFile("deno.json"));
  for (const finding of findings) console.error(formatFinding(finding));
  console.error(`style: ${files.size} files, ${findings.length || "no"} findings`);
  Deno.exitCode = findings.length > 0 ? 1 : 0;
}
