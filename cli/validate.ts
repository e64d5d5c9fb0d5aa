/**
 * `ugro validate [PATH…]`: everything that is wrong with the files of a state repository on disk,
 * before they are pushed.
 *
 * @module
 */
import type { Cluster } from "../cluster/cluster.ts";
import { parseCluster } from "../cluster/parse.ts";
import { type Defaults, NO_DEFAULTS, parseDefaults } from "../jobs/defaults.ts";
import type { JobSpec } from "../jobs/job.ts";
import { parseManifest } from "../jobs/manifest.ts";
import { formatProblem, type Parsed, type Problem } from "../jobs/problem.ts";
import { checkDependencies } from "../reconciler/dependencies.ts";
import { Names, type Taken } from "../reconciler/names.ts";
import { openFolder, type StateFolder, within } from "./state_folder.ts";
import { print, safe, tell } from "./text.ts";

/** What a check came to. */
export interface Verdict {
  /** How many files were read. */
  readonly files: number;
  readonly problems: readonly Problem[];
  /** Worth knowing; they stop nothing. */
  readonly warnings: readonly Problem[];
  /** Manifests that make several jobs, and how many. */
  readonly many: readonly { readonly file: string; readonly jobs: readonly string[] }[];
}

const CLUSTER = "cluster.yaml";
const DEFAULTS = "config/training_defaults.yaml";

/** Prints the problems of some paths, and a summary; gives the exit code: 1 with problems. */
export async function validate(paths: readonly string[]): Promise<number> {
  const verdicts = new Map<string, { folder: StateFolder; verdict: Verdict }>();
  let problems = 0;
  for (const path of paths.length > 0 ? paths : ["."]) {
    const folder = await openFolder(path);
    const found = verdicts.get(folder.root) ?? { folder, verdict: await checkFolder(folder) };
    verdicts.set(folder.root, found);
    problems += report(found.verdict, within(folder.root, path));
  }
  return problems > 0 ? 1 : 0;
}

/** Checks all files of a state repository. */
export async function checkFolder(folder: StateFolder): Promise<Verdict> {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  let files = 0;
  const take = <T>(parsed: Parsed<T>): T | undefined => {
    files++;
    if (parsed.ok) warnings.push(...parsed.warnings);
    else problems.push(...parsed.problems);
    return parsed.ok ? parsed.value : undefined;
  };
  const clusterFile = await folder.read(CLUSTER);
  const env = Deno.env.toObject();
  const cluster = clusterFile && take(parseCluster(CLUSTER, clusterFile, { env }));
  const defaultsFile = await folder.read(DEFAULTS);
  const defaults = defaultsFile && take(parseDefaults(DEFAULTS, defaultsFile));
  const names = new Names();
  const jobs: { spec: JobSpec; file: string }[] = [];
  const many = [];
  let broken = false;
  for (const file of folder.manifests) {
    const bytes = await folder.read(file);
    const specs = bytes && take(parseManifest(file, bytes, contextOf(folder, cluster, defaults)));
    broken ||= !specs;
    for (const spec of specs ?? []) {
      const other = names.take(spec, file);
      if (other === undefined) jobs.push({ spec, file });
      else problems.push(sameName(file, other));
    }
    if (specs?.[0]?.parent) many.push({ file, jobs: specs.map(({ name }) => name) });
  }
  // What a broken file would have declared is not known: any name may be one of its jobs.
  const found = checkDependencies(jobs, () => broken);
  problems.push(...found.problems);
  warnings.push(...found.warnings);
  return { files, problems, warnings, many };
}

function contextOf(folder: StateFolder, cluster?: Cluster, defaults: Defaults = NO_DEFAULTS) {
  const hasPath = (path: string) => folder.has(path);
  return { defaults, hasPath, ...(cluster === undefined ? {} : { cluster }) };
}

function sameName(file: string, { name, file: first }: Taken): Problem {
  const message = `the job \`${name}\` is in ${first} already`;
  return { file, line: 1, column: 1, message, hint: "give one of them another `name:`" };
}

/** Prints what concerns `path` ("" is all), and gives the number of problems. */
function report({ files, problems, warnings, many }: Verdict, path: string): number {
  const concerns = ({ file }: { readonly file: string }) =>
    path === "" || file === path || file.startsWith(`${path}/`);
  const wrong = problems.filter(concerns);
  const odd = warnings.filter(concerns);
  for (const problem of wrong) print(formatProblem(problem));
  for (const warning of odd) tell(`warning: ${formatProblem(warning)}`);
  for (const { file, jobs } of many.filter(concerns)) {
    const shown = jobs.length > 3 ? `${jobs.slice(0, 3).join(", ")}, …` : jobs.join(", ");
    tell(`${safe(file)}: ${jobs.length} ${jobs.length === 1 ? "job" : "jobs"} (${shown})`);
  }
  const scope = path === "" ? `${files} ${files === 1 ? "file" : "files"}` : safe(path);
  tell(wrong.length > 0 ? `${scope}: ${wrong.length} problems` : `${scope}: fine`);
  return wrong.length;
}
