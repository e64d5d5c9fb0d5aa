/**
 * Breaks the code in each way of `mutations.ts` and shows that the simulation notices: prints a
 * table, and fails when one was missed.
 *
 * @example
 * deno task mutate --seeds 500
 *
 * @module
 */
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { type Mutation, MUTATIONS } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FOLDERS = ["cluster", "jobs", "reconciler", "providers", "tests/simulation"];
const FILES = ["deno.json", "deno.lock"];
/** Seeds of one process. */
const AT_ONCE = 20;

/** What came of one mutation. */
interface Verdict {
  readonly mutation: Mutation;
  /** The seed that noticed, and what it said; undefined: missed. */
  readonly caught: { readonly seed: string; readonly words: string } | undefined;
  readonly tookS: number;
  readonly output: string;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "600" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
      only: { type: "string" },
    },
  });
  const queue = MUTATIONS.filter(({ name }) => name.includes(values.only ?? ""));
  const verdicts: Verdict[] = [];
  const work = async () => {
    const dir = await copyTree();
    try {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const verdict = await tryOut(dir, next, Number(values.from), Number(values.seeds));
        verdicts.push(verdict);
        console.log(line(verdict));
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  const missed = verdicts.filter((verdict) => !verdict.caught);
  for (const { mutation, output } of missed) console.log(`\nmissed: ${mutation.name}\n${output}`);
  console.log(`\n${verdicts.length - missed.length} of ${verdicts.length} mutations caught`);
  return missed.length > 0 || verdicts.length === 0 ? 1 : 0;
}

/** A copy of what the simulation is made of. */
async function copyTree(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "ugro-mutate-" });
  for (const folder of FOLDERS) await copyFolder(`${ROOT}${folder}`, `${dir}/${folder}`);
  for (const file of FILES) await Deno.copyFile(ROOT + file, `${dir}/${file}`);
  return dir;
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory) await copyFolder(source, target);
    else if (entry.isFile) await Deno.copyFile(source, target);
  }
}

/** Runs seeds on the mutated copy, some at a time, until one fails. */
async function tryOut(
  dir: string,
  mutation: Mutation,
  first: number,
  seeds: number,
): Promise<Verdict> {
  const { file, find, replace } = mutation;
  const path = `${dir}/${file}`;
  const text = await Deno.readTextFile(path);
  if (text.split(find).length !== 2) throw new Error(`Cannot mutate ${file}: ${mutation.name}`);
  await Deno.writeTextFile(path, text.replace(find, () => replace));
  const startedMs = performance.now();
  let output = "";
  let caught: Verdict["caught"];
  for (let from = first; from < first + seeds && !caught; from += AT_ONCE) {
    const run = await simulate(dir, from);
    output = run.output;
    const [, seed, words] = /^seed (\d+)[^:]*: *(.*)$/m.exec(output) ?? [];
    if (run.code === 0) continue;
    if (seed === undefined) break;
    caught = { seed, words: words ?? "" };
  }
  await Deno.writeTextFile(path, text);
  return { mutation, caught, tookS: (performance.now() - startedMs) / 1000, output };
}

async function simulate(dir: string, from: number): Promise<{ code: number; output: string }> {
  const run = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-check", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys=cpus"],
      ...["tests/simulation/main.ts", "--seeds", `${AT_ONCE}`, "--from", `${from}`, "--jobs", "1"],
    ],
    cwd: dir,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: run.code, output: text(run.stdout) + text(run.stderr) };
}

function line({ mutation, caught, tookS }: Verdict): string {
  const how = caught ? `seed ${caught.seed}: ${caught.words}` : "MISSED";
  return `${mutation.name}\n    ${how.slice(0, 160)} (${tookS.toFixed(1)} s)`;
}

if (import.meta.main) Deno.exit(await main());
