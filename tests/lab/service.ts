/**
 * The UGRO service as a child process, as people run it.
 *
 * @example
 * const service = await Service.start({ repo, stateDir, lab });
 * await service.kill9();
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { fileURLToPath } from "node:url";
import type { Lab } from "./lab.ts";
import { eventually, killQuietly } from "./processes.ts";

/** What a service is started with. */
export interface ServiceOptions {
  readonly lab: Lab;
  /** The bare repository. */
  readonly repo: string;
  readonly stateDir: string;
  /**
   * `before:3`, `after:3`: SIGKILL around the third effect (see `crashing_main.ts`). A service
   * that crashes may do so before it listens, so then nothing is waited for.
   */
  readonly crashAt?: string;
  /** True: it waits until the one that leads has ended (`start --standby`). */
  readonly standby?: boolean;
}

/** One log line of the service; every line is a JSON object. */
export interface LogLine {
  readonly msg?: string;
  readonly [field: string]: unknown;
}

/** Most log lines that are kept. */
const KEPT_LINES = 2000;

const projectDir = fileURLToPath(new URL("../../", import.meta.url));

/** A running (or dead) service. */
export class Service {
  readonly lines: LogLine[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #ended: Deno.CommandStatus | undefined;

  private constructor(options: ServiceOptions) {
    const main = options.crashAt === undefined ? "main.ts" : "tests/lab/crashing_main.ts";
    const permissions = options.crashAt === undefined ? permissionsOfStart(options.stateDir) : [
      "--allow-read",
      "--allow-write",
      "--allow-run",
      "--allow-net",
      "--allow-env",
      "--allow-sys",
    ];
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", ...permissions, projectDir + main, "start"],
        ...["--repo", options.repo, "--state-dir", options.stateDir],
        ...["--ssh-config", options.lab.sshConfig, "--listen", "127.0.0.1:0"],
        ...(options.crashAt === undefined ? ["--log-level", "debug"] : []),
        ...(options.standby ? ["--standby"] : []),
      ],
      cwd: projectDir,
      env: {
        UGRO_LAB_ID: options.lab.id,
        ...(options.crashAt === undefined ? {} : { UGRO_TEST_CRASH_AT: options.crashAt }),
      },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#read();
    this.#child.status.then((status) => this.#ended = status);
  }

  /** Starts a service and waits until it listens. */
  static async start(options: ServiceOptions): Promise<Service> {
    const service = new Service(options);
    if (options.crashAt === undefined) {
      await eventually(
        "start the service",
        20_000,
        () => service.#listening() ?? (service.#ended ? "ended" : undefined),
        () => service.tail(),
      );
      if (service.#ended) throw new Error(`Cannot start the service:\n${service.tail()}`);
    }
    return service;
  }

  /** Address of its page. */
  get url(): string {
    const url = this.#listening();
    if (url === undefined) throw new Error("Cannot reach the service: it does not listen");
    return url;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  /** The last `count` log lines as text. */
  tail(count = 100): string {
    return this.lines.slice(-count).map((line) => JSON.stringify(line)).join("\n");
  }

  /** SIGKILL: no chance to tidy up. */
  async kill9(): Promise<void> {
    killQuietly(this.#child.pid);
    await this.ended();
  }

  /** SIGTERM, and SIGKILL after ten seconds; gives the exit code. */
  async stop(): Promise<number> {
    if (this.alive) killQuietly(this.#child.pid, "SIGTERM");
    const timer = setTimeout(() => killQuietly(this.#child.pid), 10_000);
    const { code } = await this.ended();
    clearTimeout(timer);
    return code;
  }

  /** Resolves once it has ended, by itself or not. */
  async ended(): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    this.#ended = status;
    await this.#reading;
    return status;
  }

  #listening(): string | undefined {
    const line = this.lines.find((line) => line.msg === "listening");
    return typeof line?.["url"] === "string" ? line["url"] : undefined;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) this.lines.push(parseLine(part));
      // `listening` is among the first lines and must stay findable.
      if (this.lines.length > KEPT_LINES) this.lines.splice(50, this.lines.length - KEPT_LINES);
    }
  }
}

/** Exactly what `deno task start` allows; only the state folder and the port are others here. */
function permissionsOfStart(stateDir: string): string[] {
  const flags = config.tasks.start.command.match(/(?<= )(-q|-P=\S+|--allow-\S+)/g) ?? [];
  const moved = [`--allow-read=${stateDir}`, `--allow-write=${stateDir}`];
  return [...flags.map((flag) => flag.replaceAll(":8420", ":0")), ...moved];
}

function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { text };
  }
}
