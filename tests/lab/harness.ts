/**
 * Black-box tests of the service: a state repository, a working clone that pushes to it, the
 * service as a process, and the status branch as people read it.
 *
 * @example
 * const harness = await Harness.start(lab, { python });
 * await harness.push({ "jobs/demo.yaml": job({ script: "scripts/ddp.py" }) });
 * await harness.until("demo", (s) => s.phase === "Succeeded", 60_000);
 * await harness.close();
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import type { JobStatus } from "../../jobs/status.ts";
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { eventually, killQuietly, must, run } from "./processes.ts";
import { Service } from "./service.ts";
import { venvOf } from "./torch.ts";

/** What may differ from test to test. */
export interface HarnessOptions {
  /** Python with PyTorch; without it nodes activate nothing. */
  readonly python?: string;
  /** Over the policy of the lab (quick polls, short waits). */
  readonly policy?: Readonly<Record<string, string | number>>;
  /** Further entries of `nodes:`. */
  readonly nodes?: readonly Readonly<Record<string, unknown>>[];
  /** False: the test starts the service itself. */
  readonly service?: boolean;
  /** GPUs that `cluster.yaml` says each host has. Default: 1. */
  readonly gpusPerHost?: number;
  /** True: work directories are on the hosts' own disks (`LabOptions.diskMiB`). */
  readonly onDisk?: boolean;
}

/** What `ugro/lease` says, as far as tests look at it. */
export interface LeaseFile {
  readonly epoch: number;
  readonly repository: string;
  readonly owner: string;
  readonly watched: boolean;
  readonly standby?: { readonly owner: string };
}

/** Contents of files by path. */
export type Files = Readonly<Record<string, string>>;

/** What `GET /api/stats` tells. */
export interface Stats {
  readonly passes: number;
  readonly mutations: number;
  readonly commits: number;
}

const POLICY = { pollInterval: "2s", statusMinInterval: "1s", nodeLostAfter: "8s", grace: "10s" };
const STATUS = "ugro/status";
let counter = 0;

/** A manifest as text. */
export function job(fields: Readonly<Record<string, unknown>>): string {
  return stringify(fields);
}

/** One state repository and the service that follows it. */
export class Harness {
  readonly lab: Lab;
  /** The bare repository. */
  readonly repo: string;
  /** The people's clone. */
  readonly work: string;
  readonly stateDir: string;
  /** Where the traces of training scripts go (`--witness`); seen by all hosts. */
  readonly witnessDir: string;
  /** Name of the work directory in each host's home. */
  readonly #workdir: string;
  readonly #onDisk: boolean;
  readonly #dir: string;
  #service: Service | undefined;
  readonly #others: Service[] = [];
  #commits = 0;

  private constructor(lab: Lab, options: HarnessOptions) {
    const n = ++counter;
    this.#onDisk = options.onDisk ?? false;
    this.lab = lab;
    this.#dir = `${lab.dir}/state${n}`;
    this.repo = `${this.#dir}/state.git`;
    this.work = `${this.#dir}/work`;
    this.stateDir = `${this.#dir}/service`;
    this.witnessDir = `${lab.shared}/witness${n}`;
    this.#workdir = `ugro${n}`;
  }

  /** Makes the repository with `cluster.yaml` and the lab's scripts, and starts the service. */
  static async start(lab: Lab, options: HarnessOptions = {}): Promise<Harness> {
    const harness = new Harness(lab, options);
    await Deno.mkdir(harness.witnessDir, { recursive: true });
    await Deno.mkdir(harness.#dir, { recursive: true });
    await git(["init", "-q", "--bare", "-b", "main", harness.repo]);
    await git(["clone", "-q", harness.repo, harness.work]);
    const scripts = fileURLToPath(new URL("./scripts/", import.meta.url));
    const files: Record<string, string> = { "cluster.yaml": harness.clusterYaml(options) };
    for await (const { name, isFile } of Deno.readDir(scripts)) {
      if (isFile) files[`scripts/${name}`] = await Deno.readTextFile(scripts + name);
    }
    await harness.push(files, "the cluster");
    if (options.service !== false) await harness.startService();
    return harness;
  }

  /** `cluster.yaml` of the lab's hosts. */
  clusterYaml(options: HarnessOptions = {}): string {
    const { python } = options;
    const activate = python === undefined ? {} : { activate: "torch" };
    const nodes = this.lab.hosts.map((host) => ({
      name: host.name,
      host: host.address,
      ...(host.port === 22 ? {} : { port: host.port }),
      user: host.user,
      interface: host.interface,
      ...activate,
      workdir: this.workdir(host),
      hardware: { gpus: options.gpusPerHost ?? 1 },
    }));
    return stringify({
      cluster: { name: "lab" },
      nodes: [...nodes, ...options.nodes ?? []],
      ...(python === undefined ? {} : { environments: { torch: { venv: venvOf(python) } } }),
      policy: { ...POLICY, ...options.policy },
    });
  }

  /** UGRO's work directory on a host. */
  workdir(host: Host): string {
    return `${this.#onDisk ? host.disk : host.home}/${this.#workdir}`;
  }

  /** What a rank printed; undefined when it printed nothing yet. */
  async output(host: Host, job: string, attempt: number, rank: number, stream = "out") {
    const path = `${this.workdir(host)}/runs/${job}/${attempt}/${rank}/logs/0.${stream}`;
    return await Deno.readTextFile(path).catch(() => undefined);
  }

  // ── people ──

  /** Commits files to the desired branch and pushes them, with a hint to the service if it runs. */
  async push(files: Files, message = "change files"): Promise<void> {
    await this.commit(files, message);
    await this.#publishAndHint();
  }

  /** Deletes files from the desired branch. */
  async remove(...paths: string[]): Promise<void> {
    await this.commit(Object.fromEntries(paths.map((path) => [path, null])), `remove ${paths}`);
    await this.#publishAndHint();
  }

  /** Commits files in the people's clone, without a push; null deletes one. */
  async commit(files: Readonly<Record<string, string | null>>, message: string): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      const full = `${this.work}/${path}`;
      if (text === null) {
        await Deno.remove(full);
        continue;
      }
      await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(full, text);
    }
    await git(["add", "-A"], this.work);
    await git(["commit", "-q", "-m", message], this.work);
    this.#commits++;
  }

  /** Pushes what was committed. Throws while the repository cannot be reached. */
  async publish(): Promise<void> {
    await git(["push", "-q", "origin", "HEAD:main"], this.work);
  }

  async #publishAndHint(): Promise<void> {
    await this.publish();
    if (this.#service?.alive) await this.hint();
  }

  /** Throws unless the desired branch holds the people's commits and nothing else. */
  async assertDesiredUntouched(): Promise<void> {
    const mine = (await git(["rev-parse", "HEAD"], this.work)).trim();
    const theirs = (await git(["rev-parse", "main"], this.repo)).trim();
    const count = Number(await git(["rev-list", "--count", "main"], this.repo));
    if (mine !== theirs || count !== this.#commits) {
      throw new Error(
        `UGRO wrote to the desired branch: ${count} commits, ${this.#commits} pushed`,
      );
    }
  }

  // ── the service ──

  get service(): Service {
    if (this.#service === undefined) throw new Error("Cannot use the service: it was not started");
    return this.#service;
  }

  /** Starts the service; `crashAt` as in `ServiceOptions`. */
  async startService(crashAt?: string): Promise<Service> {
    const { lab, repo, stateDir } = this;
    this.#service = await Service.start({
      lab,
      repo,
      stateDir,
      ...(crashAt === undefined ? {} : { crashAt }),
    });
    return this.#service;
  }

  /** Starts one more service on the same repository; `name` is that of its state folder. */
  async startAnother(name: string, standby: boolean): Promise<Service> {
    const { lab, repo } = this;
    const stateDir = `${this.stateDir}-${name}`;
    const another = await Service.start({ lab, repo, stateDir, standby });
    this.#others.push(another);
    return another;
  }

  /** Tells the service that something was pushed. */
  async hint(): Promise<void> {
    const response = await fetch(`${this.service.url}/hooks/git`, { method: "POST" });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`Cannot hint: ${response.status}`);
  }

  async stats(service = this.service): Promise<Stats> {
    const response = await fetch(`${service.url}/api/stats`);
    return await response.json() as Stats;
  }

  // ── the status branch ──

  /** A job's file on the status branch; undefined: there is none. */
  async status(job: string): Promise<JobStatus | undefined> {
    const text = await this.statusFile(`jobs/${job}.yaml`);
    return text === undefined ? undefined : parse(text) as JobStatus;
  }

  /** A file of the status branch. */
  async statusFile(path: string): Promise<string | undefined> {
    const { code, stdout } = await run(["git", "show", `${STATUS}:${path}`], { cwd: this.repo });
    return code === 0 ? stdout : undefined;
  }

  /** The lease; undefined: there is none. */
  async lease(): Promise<LeaseFile | undefined> {
    const { code, stdout } = await run(["git", "show", "ugro/lease:lease.json"], {
      cwd: this.repo,
    });
    return code === 0 ? JSON.parse(stdout) as LeaseFile : undefined;
  }

  /** All jobs of the status branch. */
  async statuses(): Promise<JobStatus[]> {
    const { code, stdout } = await run(
      ["git", "ls-tree", "-r", "--name-only", "-z", STATUS, "jobs/"],
      { cwd: this.repo },
    );
    if (code !== 0) return [];
    const texts = await Promise.all(
      stdout.split("\0").filter((path) => path !== "").map((path) => this.statusFile(path)),
    );
    return texts.flatMap((text) => text === undefined ? [] : [parse(text) as JobStatus]);
  }

  /** Status of a job at every commit of the status branch that changed it, oldest first. */
  async statusHistory(job: string): Promise<JobStatus[]> {
    const path = `jobs/${job}.yaml`;
    const log = await git(["log", "--reverse", "--format=%H", STATUS, "--", path], this.repo);
    const history: JobStatus[] = [];
    for (const commit of log.split("\n").filter((line) => line !== "")) {
      const { code, stdout } = await run(["git", "show", `${commit}:${path}`], { cwd: this.repo });
      if (code === 0) history.push(parse(stdout) as JobStatus);
    }
    return history;
  }

  /** `git log` of the status branch, newest first. */
  async statusLog(): Promise<string[]> {
    const { code, stdout } = await run(["git", "log", "--format=%h %s", STATUS], {
      cwd: this.repo,
    });
    return code === 0 ? stdout.trimEnd().split("\n") : [];
  }

  /** Polls a job's status until it fits; on time-out throws with all that is known. */
  until(
    job: string,
    fits: (status: JobStatus) => boolean,
    timeoutMs: number,
    what = "reach the expected status",
  ): Promise<JobStatus> {
    return eventually(`${what} (job ${job})`, timeoutMs, async () => {
      await pause(60);
      const status = await this.status(job);
      return status !== undefined && fits(status) ? status : undefined;
    }, () => this.#story(job));
  }

  async #story(job: string): Promise<string> {
    return [
      `── jobs/${job}.yaml`,
      await this.statusFile(`jobs/${job}.yaml`) ?? "(none)",
      "── last log lines of the service",
      this.#service?.tail(100) ?? "(not started)",
      "── log of the status branch",
      ...(await this.statusLog()).slice(0, 50),
    ].join("\n");
  }

  // ── the hosts ──

  /** Pids (outside) of all live processes of a job on all hosts. */
  processesOf(job: string) {
    return this.lab.hosts.flatMap((host) => host.pids(`UGRO_JOB=${job}`))
      .filter((process) => process.environ.get("UGRO_JOB") === job);
  }

  /** Stops the service and kills what its jobs left, so that the lab is free for the next test. */
  async close(): Promise<void> {
    await Promise.all([this.#service, ...this.#others].map((service) => service?.stop()));
    await eventually("end all jobs", 20_000, () => {
      const left = this.lab.hosts.flatMap((host) => host.pids(`/${this.#workdir}/`))
        .filter((process) => !process.argv[0]?.startsWith("sshd"));
      for (const process of left) killQuietly(process.pid);
      return left.length === 0 ? true : undefined;
    });
  }
}

/** Runs git as nobody in particular, free of the machine's settings. */
function git(args: readonly string[], cwd?: string): Promise<string> {
  return must(["git", ...args], {
    env: {
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: "Ada",
      GIT_AUTHOR_EMAIL: "ada@example.org",
      GIT_COMMITTER_NAME: "Ada",
      GIT_COMMITTER_EMAIL: "ada@example.org",
    },
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Waits; lab tests run against real time. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
