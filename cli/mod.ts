/**
 * The command line: what commands and options there are. Each command is a file of its own, which
 * is loaded when it runs, so that `ugro --help` is quick.
 *
 * @example
 * Deno.exitCode = await runCli(["status", "demo"]);
 *
 * @module
 */
import { Command, CommanderError, Option } from "commander";
import type { RawServiceOptions } from "./options.ts";
import { LOG_LEVELS, parseBranch, parseListen, parsePoll, parseRepo } from "./options.ts";
import { OUTPUTS, type QueueOptions, type StatusOptions } from "./output.ts";
import {
  ESTIMATES,
  parseCount,
  parseEvery,
  parseLoad,
  parsePolicies,
  parseSeed,
  SIMULATE_OUTPUTS,
  type SimulateOptions,
} from "./simulate/options.ts";
import { tell } from "./text.ts";

/** Exit code of a command line that could not be understood. */
const USAGE = 2;

/** Runs one command line and gives its exit code: 0 fine, 1 failed, 2 not understood. */
export async function runCli(args: readonly string[]): Promise<number> {
  let code = 0;
  const program = buildProgram((exit) => code = exit);
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    tell(describe(error));
    return 1;
  }
}

/** All commands; `done` takes the exit code of the one that ran. */
function buildProgram(done: (code: number) => void): Command {
  const program = new Command("ugro")
    .description("A GPU training platform whose control plane is a git repository.")
    .exitOverride()
    .showHelpAfterError("(ugro --help lists the commands and options)")
    .configureOutput({
      writeOut: (text) => console.log(text.trimEnd()),
      writeErr: (text) => tell(text.trimEnd()),
    });
  addService(program, done);
  addReading(program, done);
  addSimulate(program, done);
  return program;
}

/** The commands that act on machines. */
function addService(program: Command, done: (code: number) => void): void {
  serviceCommand(program, "start", "follow a state repository: reconcile it and serve the page")
    .addOption(
      new Option("--listen <host:port>", "where the page listens").argParser(parseListen)
        .default({ hostname: "127.0.0.1", port: 8420 }, "127.0.0.1:8420"),
    )
    .option("--standby", "take over when the controller at work ends, and only then")
    .action(async (options: RawServiceOptions) =>
      done(await (await import("./start.ts")).start(options))
    );
  serviceCommand(program, "once", "do one pass over a state repository, then stop")
    .action(async (options: RawServiceOptions) =>
      done(await (await import("./once.ts")).once(options))
    );
  program.command("demo")
    .description("run the example state repository on this machine")
    .action(async () => done(await (await import("./demo/demo.ts")).demo()));
}

/** A command with the options that `start` and `once` share. */
function serviceCommand(program: Command, name: string, description: string): Command {
  return program.command(name).description(description)
    .requiredOption("--repo <url|path>", "the state repository", parseRepo)
    .option("--branch <name>", "the branch that people write", parseBranch, "main")
    .option("--state-dir <folder>", "where UGRO keeps its mirror and caches", ".ugro")
    .option("--ssh-config <file>", "an ssh_config instead of your own")
    .option("--poll <time>", "how often to look, such as 5s", parsePoll)
    .addOption(
      new Option("--log-level <level>", "least urgent lines to log").choices([...LOG_LEVELS])
        .default("info"),
    );
}

/** The commands that only look. */
function addReading(program: Command, done: (code: number) => void): void {
  program.command("validate")
    .description("check the files of a state repository on disk")
    .argument("[path...]", "folders with a cluster.yaml, or files in one (default: here)")
    .action(async (paths: string[]) => done(await (await import("./validate.ts")).validate(paths)));
  lookingCommand(program, "status", "say how the jobs are, or tell the whole story of one")
    .argument("[job]", "the name of a job")
    .action(async (job: string | undefined, options: StatusOptions) =>
      done(await (await import("./status.ts")).status(job, options))
    );
  lookingCommand(program, "queue", "say who waits for what, and who has how many GPUs")
    .option("--branch <name>", "the branch that people write", parseBranch, "main")
    .action(async (options: QueueOptions) =>
      done(await (await import("./queue.ts")).queue(options))
    );
  program.command("version").description("print the versions that a bug report needs")
    .action(async () => done((await import("./version.ts")).version()));
}

/** A command that reads the status branch. */
function lookingCommand(program: Command, name: string, description: string): Command {
  return program.command(name).description(description)
    .option("--repo <url|path>", "the state repository, or a clone of it", parseRepo, ".")
    .addOption(
      new Option("-o, --output <format>", "how to print it").choices([...OUTPUTS]).default("table"),
    );
}

/** The what-if. */
function addSimulate(program: Command, done: (code: number) => void): void {
  const [policies, every] = [parsePolicies("fifo,default"), parseEvery("30m")];
  program.command("simulate")
    .description("replay a trace of jobs on simulated nodes, under several policies")
    .option("--cluster <file>", "the nodes, queues and users", "cluster.yaml")
    .addOption(new Option("--trace <file>", "jobs as CSV").conflicts("generate"))
    .addOption(new Option("--generate <jobs>", "make a trace instead").argParser(parseCount))
    .addOption(
      new Option("--load <share>", "GPU time that it asks for, of what there is")
        .argParser(parseLoad).default(0.9),
    )
    .addOption(new Option("--seed <number>", "of its randomness").argParser(parseSeed).default(1))
    .option("--save <file>", "write the trace as CSV")
    .addOption(
      new Option("--policy <names>", "what to compare, such as fifo,backfill,default")
        .argParser(parsePolicies).default(policies, "fifo,default"),
    )
    .addOption(
      new Option("--estimates <how>", "what the scheduler knows of the length of a job")
        .choices([...ESTIMATES]).default("rounded"),
    )
    .addOption(
      new Option("--checkpoint-every <time>", "how often jobs save").argParser(parseEvery)
        .default(every, "30m"),
    )
    .addOption(
      new Option("-o, --output <format>", "how to print it").choices([...SIMULATE_OUTPUTS])
        .default("table"),
    )
    .option("--svg <file>", "draw utilisation over time")
    .action(async (options: SimulateOptions) =>
      done(await (await import("./simulate/mod.ts")).simulate(options))
    );
}

/** An error for people; a missing permission with the way to grant it. */
function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Deno.errors.NotCapable)) return `error: ${message}`;
  const [, kind, what] = /Requires (\w+) access to "([^"]+)"/.exec(message) ?? [];
  const flag = kind ? `--allow-${kind}=${what}` : "the permission that is named";
  return `error: ${message}\nfix: the task gives only what docs/security.md lists; its section ` +
    `"Another folder or another address" has the command that gives more (${flag})`;
}
