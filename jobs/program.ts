/**
 * What runs, and where its code comes from.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import type { Report } from "../cluster/report.ts";
import { plain } from "../cluster/show.ts";
import type { Code, Program } from "./job.ts";

/** The keys of a manifest that decide it. */
export interface ProgramFields {
  readonly script?: string;
  readonly module?: string;
  readonly code?: "node" | { readonly repository: string } | {
    readonly git: string;
    readonly rev: string;
  };
}

/** What is known about the state repository and the cluster. */
export interface Surroundings {
  readonly cluster?: Cluster;
  /** Whether a file or folder exists in the state repository at the manifest's commit. */
  hasPath(path: string): boolean;
}

/** A program together with its code. */
export interface Located {
  readonly program: Program;
  readonly code: Code;
}

/** Notes unless exactly one of the three keys is written. */
export function checkOneProgram(top: Readonly<Record<string, unknown>>, report: Report): void {
  const given = ["script", "module", "command"].filter((key) => key in top);
  if (given.length === 0) {
    const hint = "say what to run, such as `script: scripts/train.py`";
    report.problem([], "one of `script`, `module` and `command` is missing", hint);
  }
  const [first, second] = given;
  if (second !== undefined) {
    report.problem(
      [second],
      `\`${second}\` and \`${first}\` exclude each other`,
      "keep one",
      "key",
    );
  }
}

/** Where the script or module is found; problems are noted and undefined returned. */
export function locate(
  fields: ProgramFields,
  argv: readonly string[] | undefined,
  around: Surroundings,
  report: Report,
): Located | undefined {
  const code = codeOf(fields, around, report);
  if (code === undefined) return undefined;
  if (argv !== undefined) return { program: { kind: "command", argv }, code };
  if (fields.module !== undefined) {
    return { program: { kind: "module", module: fields.module }, code };
  }
  if (fields.script === undefined) return undefined;
  return locateScript(normalise(fields.script), fields.code !== undefined, code, around, report);
}

function codeOf(fields: ProgramFields, around: Surroundings, report: Report): Code | undefined {
  const { code = "node" } = fields;
  if (code === "node") return { kind: "node" };
  if ("git" in code) return { kind: "git", url: code.git, rev: code.rev };
  const path = normalise(code.repository);
  if (isOnNode(path)) {
    report.problem(
      ["code", "repository"],
      "`code.repository` must be a folder of the state repository",
    );
    return undefined;
  }
  if (path === "" || around.hasPath(path)) return { kind: "repository", path };
  report.problem(["code", "repository"], `no folder \`${plain(path)}\` in the state repository`);
  return undefined;
}

function locateScript(
  script: string,
  explicit: boolean,
  code: Code,
  around: Surroundings,
  report: Report,
): Located | undefined {
  const program: Program = { kind: "script", path: script };
  const shown = plain(script);
  if (isOnNode(script)) {
    if (code.kind === "node") return { program, code };
    report.problem(["script"], `\`${shown}\` is a path on the nodes`, "remove `code`");
    return undefined;
  }
  if (code.kind === "git") return { program, code };
  if (code.kind === "repository") {
    const whole = join(code.path, script);
    if (around.hasPath(whole)) return { program, code };
    const inside = script.startsWith(`${code.path}/`) ? script.slice(code.path.length + 1) : "";
    const hint = inside && around.hasPath(script) ? `write \`script: ${inside}\`` : undefined;
    report.problem(["script"], `no file \`${plain(whole)}\` in the state repository`, hint);
    return undefined;
  }
  if (!explicit && around.hasPath(script)) {
    const slash = script.lastIndexOf("/");
    const folder = script.slice(0, Math.max(0, slash));
    return {
      program: { kind: "script", path: script.slice(slash + 1) },
      code: { kind: "repository", path: folder },
    };
  }
  const { cluster } = around;
  if (cluster === undefined || cluster.nodes.some((node) => node.project)) return { program, code };
  const missing = explicit ? "" : `no file \`${shown}\` in the state repository, and `;
  const hint = "check the path, or write an absolute one for a file on the nodes";
  report.problem(["script"], `${missing}no node declares \`project:\``, hint);
  return undefined;
}

function isOnNode(path: string): boolean {
  return path.startsWith("/") || path === "~" || path.startsWith("~/");
}

/** Without `.` and empty parts; the root itself is "". */
function normalise(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return (path.startsWith("/") ? "/" : "") + parts.join("/");
}

function join(folder: string, path: string): string {
  return folder === "" ? path : `${folder}/${path}`;
}
