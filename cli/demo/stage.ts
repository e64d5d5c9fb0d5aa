/**
 * The demo's stage: a temporary folder with a bare repository, three local nodes, and the example
 * training script; set up before, and cleared after.
 *
 * @module
 */
import $ from "@david/dax";
import { join, resolve } from "node:path";
import type { ServiceOptions } from "../options.ts";
import HELLO from "../../examples/state-repo/scripts/hello.py" with { type: "text" };
import TRAIN_DDP from "../../examples/state-repo/scripts/train_ddp.py" with { type: "text" };
import PROCESSES from "./processes.py" with { type: "text" };

/** What trains: PyTorch where it is installed, else the standard library. */
export type Trainer = "torch" | "standard library";

/** Where `deno task` may write. */
const ROOT = ".ugro";

const NODES = ["n1", "n2", "n3"];

/** See the module. */
export class Stage {
  readonly files: ReadonlyMap<string, string>;

  private constructor(
    readonly dir: string,
    readonly trainer: Trainer,
    venv: string | undefined,
    private readonly madeRoot: boolean,
  ) {
    this.files = stateFiles(dir, trainer, venv);
  }

  /** Makes the folder and the repository; nothing runs yet. */
  static async build(): Promise<Stage> {
    const madeRoot = !await exists(ROOT);
    const venv = await findVenv();
    const trainer = venv || await hasTorch() ? "torch" : "standard library";
    await Deno.mkdir(ROOT, { recursive: true });
    const dir = resolve(await Deno.makeTempDir({ dir: ROOT, prefix: "demo-" }));
    const stage = new Stage(dir, trainer, venv, madeRoot);
    await $`git init --quiet --bare --initial-branch=main ${stage.remote}`;
    return stage;
  }

  /** The bare repository. */
  get remote(): string {
    return join(this.dir, "state.git");
  }

  /** Step after which a rank is killed. */
  get killAfterStep(): number {
    return 50;
  }

  serviceOptions(): ServiceOptions {
    const stateDir = join(this.dir, "service");
    return {
      repo: this.remote,
      branch: "main",
      stateDir,
      logLevel: "info",
      once: false,
      standby: false,
    };
  }

  /** Commits the files and pushes them, as a person would. */
  async push(): Promise<void> {
    const work = join(this.dir, "work");
    await $`git clone --quiet ${this.remote} ${work}`.quiet();
    for (const [path, text] of this.files) {
      await Deno.mkdir(join(work, path, ".."), { recursive: true });
      await Deno.writeTextFile(join(work, path), text);
    }
    const who = ["-c", "user.name=you", "-c", "user.email=you@localhost"];
    await $`git ${who} -C ${work} add --all`;
    await $`git ${who} -C ${work} commit --quiet --no-verify --no-gpg-sign --message ${"demo: train on three nodes"}`;
    await $`git ${who} -C ${work} push --quiet origin HEAD:main`.quiet();
  }

  /** Kills one rank's process with SIGKILL and gives its pid. */
  async killRank(attempt: number, rank: number): Promise<string> {
    const marker = join(this.dir, "nodes", NODES[rank] ?? "", "runs", "demo", `${attempt}`);
    return (await $`python3 -c ${PROCESSES} kill-rank ${marker}`.text()).trim();
  }

  /** Waits until the status branch tells this phase: the commit is the end of the story. */
  async untilRecorded(phase: string): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const text = await $`git -C ${this.remote} show ugro/status:jobs/demo.yaml`.noThrow().text();
      if (text.includes(`phase: ${phase}`)) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the status branch does not say ${phase}`);
  }

  async statusLog(): Promise<string> {
    const format = "--format=    %h %s";
    return await $`git -C ${this.remote} log --reverse ${format} ugro/status`.text();
  }

  /** Ends what is left of the job and removes the folder. */
  async clear(): Promise<void> {
    await $`python3 -c ${PROCESSES} end-all ${this.dir}`;
    await Deno.remove(this.dir, { recursive: true });
    if (this.madeRoot) await Deno.remove(ROOT).catch(() => {}); // others may use it by now
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** The project's own environment with PyTorch, if somebody made one. */
async function findVenv(): Promise<string | undefined> {
  const venv = resolve(ROOT, "venv");
  const probe =
    "import glob, sys; print(len(glob.glob(sys.argv[1] + '/lib/python*/site-packages/torch/__init__.py')))";
  return (await $`python3 -c ${probe} ${venv}`.text()).trim() === "0" ? undefined : venv;
}

async function hasTorch(): Promise<boolean> {
  const probe = "import importlib.util; print(importlib.util.find_spec('torch') is not None)";
  return (await $`python3 -c ${probe}`.noThrow().text()).trim() === "True";
}

function stateFiles(
  dir: string,
  trainer: Trainer,
  venv: string | undefined,
): ReadonlyMap<string, string> {
  const nodes = NODES.map((name) =>
    `  - {name: ${name}, local: true, address: 127.0.0.1, cpuSlots: 1, workdir: ${
      JSON.stringify(join(dir, "nodes", name))
    }}\n`
  ).join("");
  const environments = venv ? `environments: {torch: {venv: ${JSON.stringify(venv)}}}\n` : "";
  const cluster = `cluster: {name: demo}\nnodes:\n${nodes}${environments}` +
    "policy: {pollInterval: 2s, statusMinInterval: 200ms}\n";
  const torch = trainer === "torch";
  const job = [
    `script: scripts/${torch ? "train_ddp.py" : "hello.py"}`,
    "resources: {nodes: 3}",
    ...(torch
      ? [
        "training: {epochs: 4, save-every: 10, step-seconds: 0.05}",
        'checkpoint: {pattern: "step-*", resume: "--resume-from {path}"}',
      ]
      : [
        "launcher: processes",
        'env: {HELLO_STEPS: "100", HELLO_STEP_SECONDS: "0.08"}',
        'checkpoint: {pattern: "step-*.json"}',
      ]),
    ...(venv ? ["activate: torch"] : []),
    "",
  ].join("\n");
  return new Map([
    ["cluster.yaml", cluster],
    ["jobs/demo.yaml", job],
    torch ? ["scripts/train_ddp.py", TRAIN_DDP] : ["scripts/hello.py", HELLO],
  ]);
}
