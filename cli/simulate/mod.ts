/**
 * `ugro simulate`: what would a trace of jobs come to on a cluster, under this policy or that one?
 * The scheduler is the one that the controller uses; the machines and the time are not real.
 *
 * @module
 */
import { dirname } from "node:path";
import type { Cluster } from "../../cluster/cluster.ts";
import { parseCluster } from "../../cluster/parse.ts";
import { formatProblem, type Parsed } from "../../jobs/problem.ts";
import { declaredRoom } from "../../reconciler/scheduling/rooms.ts";
import { schedule } from "../../reconciler/scheduling/schedule.ts";
import type { Room } from "../../reconciler/scheduling/types.ts";
import { print, tell } from "../text.ts";
import { figuresOf } from "./figures.ts";
import { generate } from "./generate.ts";
import { type Left, neverStarted } from "./never.ts";
import type { SimulateOptions } from "./options.ts";
import { type Result, resultJson, resultTable } from "./print.ts";
import { replay } from "./replay.ts";
import { settingOf } from "./setting.ts";
import { type Line, utilisationSvg } from "./svg.ts";
import { formatTrace, MAX_TRACE_BYTES, parseTrace, type TraceRow } from "./trace.ts";
import { workloadOf } from "./workload.ts";

/** Runs the command; gives the exit code: 1 with a file that is wrong, 2 without a trace. */
export async function simulate(options: SimulateOptions): Promise<number> {
  if ((options.trace === undefined) === (options.generate === undefined)) {
    tell("error: name a trace with --trace FILE, or have one made with --generate N");
    return 2;
  }
  const cluster = accept(await readCluster(options.cluster));
  if (!cluster) return 1;
  const rooms = cluster.nodes.map(declaredRoom);
  checkRooms(options.cluster, rooms);
  const rows = await rowsOf(options, rooms, cluster);
  if (!rows) return 1;
  // Before the work, which may take minutes, so that it is not lost to a wrong path.
  if (options.save !== undefined) await write(options.save, formatTrace(rows));
  if (options.svg !== undefined) await write(options.svg, "");
  const jobs = workloadOf(rows, rooms, options.estimates);
  const results: Result[] = [];
  const lines: Line[] = [];
  const left: Left[] = [];
  for (const policy of options.policy) {
    const progress = progressOf(policy, jobs.length);
    const world = {
      ...cluster,
      scheduling: { ...cluster.scheduling, policy },
      rooms,
      schedule,
      checkpointMs: options.checkpointEvery,
      onProgress: progress.show,
    };
    const run = replay(jobs, world);
    progress.clear();
    left.push({ policy, run, world });
    results.push([policy, figuresOf(run)]);
    lines.push([policy, run]);
  }
  const setting = settingOf(jobs, rooms, options);
  print((options.output === "json" ? resultJson : resultTable)(setting, results));
  for (const line of neverStarted(left, options.trace)) {
    // The JSON stays JSON.
    (options.output === "json" ? tell : print)(line);
  }
  if (options.svg !== undefined) {
    await write(options.svg, utilisationSvg(`Utilisation of ${setting.gpus} GPUs`, lines));
  }
  return 0;
}

async function readCluster(file: string): Promise<Parsed<Cluster>> {
  const bytes = await Deno.readFile(file).catch((error) => fail("read", file, error));
  return parseCluster(file, bytes, { env: Deno.env.toObject() });
}

/** A node of unknown size cannot be simulated, and leaving it out would mislead. */
function checkRooms(file: string, rooms: readonly Room[]): void {
  const unknown = rooms.filter((room) => room.slots.size === 0).map(({ node }) => node.name);
  if (unknown.length === 0) return;
  const names = unknown.slice(0, 5).join(", ") + (unknown.length > 5 ? ", …" : "");
  throw new Error(
    `Cannot simulate ${file}: it does not say how many GPUs these nodes have: ${names} ` +
      "(write `hardware: {gpus: 8}` for each)",
  );
}

async function rowsOf(
  { trace, generate: count, load, seed }: SimulateOptions,
  rooms: readonly Room[],
  { users }: Cluster,
): Promise<readonly TraceRow[] | undefined> {
  if (trace === undefined) return generate({ count: count ?? 0, load, seed }, rooms, users);
  const { size } = await Deno.stat(trace).catch((error) => fail("read", trace, error));
  if (size > MAX_TRACE_BYTES) {
    throw new Error(
      `Cannot read ${trace}: it has more than ${MAX_TRACE_BYTES / 2 ** 20} MiB (cut it into parts)`,
    );
  }
  const text = await Deno.readTextFile(trace).catch((error) => fail("read", trace, error));
  return accept(parseTrace(trace, text));
}

/** The value of a file that is fine; of another one, tells what is wrong. */
function accept<T>(parsed: Parsed<T>): T | undefined {
  if (parsed.ok) return parsed.value;
  for (const problem of parsed.problems) tell(formatProblem(problem));
  return undefined;
}

async function write(file: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(file, text).catch(async (error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.mkdir(dirname(file), { recursive: true });
      await Deno.writeTextFile(file, text);
    });
  } catch (error) {
    fail("write", file, error);
  }
}

function fail(verb: "read" | "write", file: string, error: unknown): never {
  // The command line tells which flag grants it.
  if (error instanceof Deno.errors.NotCapable) throw error;
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`Cannot ${verb} ${file}: ${reason}`, { cause: error });
}

/** How far a replay is, on a terminal only. */
function progressOf(policy: string, jobs: number) {
  const isTerminal = Deno.stderr.isTerminal();
  const put = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  const every = Math.ceil(jobs / 100);
  return {
    show: (ended: number) => {
      if (isTerminal && ended % every === 0) put(`${policy}: ${ended} of ${jobs} jobs`);
    },
    clear: () => {
      if (isTerminal) put("");
    },
  };
}
