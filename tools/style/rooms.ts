/**
 * Which folder may import which, as one table. A room is a top-level folder; `main.ts` is a room of
 * its own, and so is each folder of `providers/`.
 *
 * @module
 */
import type { Source } from "./source.ts";
import { type Finding, isTest, resolve } from "./finding.ts";

/** For each room the path prefixes that it may import; its own folder is always among them. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  cluster: [],
  jobs: ["cluster/"],
  reconciler: ["jobs/", "cluster/"],
  providers: ["reconciler/ports.ts", "reconciler/elapsed.ts", "jobs/", "cluster/"],
  web: ["reconciler/", "jobs/", "cluster/"],
  cli: ["cluster/", "jobs/", "reconciler/", "providers/", "web/", "examples/", "deno.json"],
  "main.ts": ["cluster/", "jobs/", "reconciler/", "providers/", "web/", "cli/"],
  examples: [],
};

/** What one folder may import beside what its room may, and why. */
const EXCEPTIONS: readonly { readonly from: string; readonly to: string; readonly why: string }[] =
  [
    {
      from: "providers/sim/",
      to: "providers/git/",
      why: "the simulation stands in for git itself, below our own logic",
    },
  ];

/** Rooms that may import anything and that no other room may import. */
const FREE: readonly string[] = ["tests", "bench", "tools"];

/** Finds imports against the table, and imports of test code by other code. */
export function checkRooms(sources: readonly Source[]): Finding[] {
  return sources.filter((source) => !isTest(source.path)).flatMap((source) => {
    const room = roomOf(source.path);
    return source.imports.flatMap((found) => {
      const target = resolve(source.path, found.specifier);
      if (target === undefined || mayImport(source.path, room, target)) return [];
      const { line, column } = found;
      const message = `${room} may not import ${target}; ${advice(room, target)}`;
      return [{ file: source.path, line, column, message }];
    });
  });
}

/** `providers/git/mod.ts` is of the room `providers`, `main.ts` of `main.ts`. */
function roomOf(path: string): string {
  return path.split("/")[0] ?? path;
}

function mayImport(path: string, room: string, target: string): boolean {
  if (FREE.includes(room)) return true;
  if (isTest(target)) return false;
  const own = room === "providers" ? path.split("/").slice(0, 2).join("/") : room;
  if (target.startsWith(`${own}/`)) return true;
  if (EXCEPTIONS.some(({ from, to }) => path.startsWith(from) && target.startsWith(to))) {
    return true;
  }
  return (MAY_IMPORT[room] ?? []).some((prefix) => target.startsWith(prefix));
}

function advice(room: string, target: string): string {
  if (isTest(target)) return "move what both need out of the test";
  const allowed = MAY_IMPORT[room];
  if (!allowed) return `add the folder "${room}" to the table in tools/style/rooms.ts`;
  const list = [room === "providers" ? "its own folder" : `${room}/`, ...allowed].join(", ");
  return `it may import ${list}: pass the value in, or move the code`;
}
