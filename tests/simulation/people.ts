/**
 * The people: they push manifests and `cluster.yaml`, break and repair them, rewrite and delete the
 * branch. What each commit says is remembered here, so that the oracle need not ask the parser.
 *
 * @module
 */
import type { SimRemote } from "../../providers/sim/repository.ts";
import {
  type Breakable,
  type JobDoc,
  manifestText,
  type Scenario,
  type ScenarioNode,
} from "./scenario.ts";

/** What one commit of the desired branch says. */
export interface Wanted {
  /** `broken`: its manifest does not parse. */
  readonly jobs: ReadonlyMap<string, JobDoc | "broken">;
  readonly nodes: ReadonlyMap<string, ScenarioNode>;
  readonly cordoned: ReadonlySet<string>;
  readonly clusterBroken: boolean;
  readonly defaultsBroken: boolean;
}

interface JobFile {
  doc: JobDoc;
  path: string;
}

const GARBAGE = "resources: [never: closed";

/** The desired branch and those who write it. */
export class People {
  readonly #jobs = new Map<string, JobFile>();
  readonly #nodesOut = new Set<string>();
  readonly #cordoned = new Set<string>();
  readonly #broken = new Set<string>();
  readonly #wanted = new Map<string, Wanted>();
  readonly #commits: string[] = [];
  readonly #mostRetries = new Map<string, number>();
  /** Set while the branch does not say what people last wrote. */
  #astray = 0;

  constructor(private readonly remote: SimRemote, private readonly scenario: Scenario) {}

  /** What a commit says. Throws when it is not one of the desired branch. */
  at(commit: string): Wanted {
    const wanted = this.#wanted.get(commit);
    if (!wanted) throw new Error(`Cannot tell what ${commit} says: nobody pushed it`);
    return wanted;
  }

  /** What the branch says now; undefined: there is no branch. */
  get head(): Wanted | undefined {
    return this.remote.desired === undefined ? undefined : this.at(this.remote.desired);
  }

  add(job: string, doc: JobDoc): void {
    this.#jobs.set(job, { doc, path: `jobs/${job}.yaml` });
    this.publish();
  }

  edit(job: string, change: Partial<JobDoc>): void {
    const file = this.#jobs.get(job);
    if (!file) return;
    file.doc = { ...file.doc, ...change };
    this.publish();
  }

  remove(job: string): void {
    this.#jobs.delete(job);
    this.publish();
  }

  move(job: string): void {
    const file = this.#jobs.get(job);
    if (!file) return;
    const folder = /^jobs\/moved-(\d+)\//.exec(file.path)?.[1];
    file.path = `jobs/moved-${Number(folder ?? 0) + 1}/${job}.yaml`;
    this.publish();
  }

  /** The most retries that any commit ever allowed a job. */
  mostRetries(job: string): number {
    return this.#mostRetries.get(job) ?? 0;
  }

  docOf(job: string): JobDoc | undefined {
    return this.#jobs.get(job)?.doc;
  }

  breakFile(what: Breakable, broken: boolean): void {
    const key = typeof what === "string" ? what : `job ${what.job}`;
    if (broken) this.#broken.add(key);
    else this.#broken.delete(key);
    this.publish();
  }

  /** Takes a node out of `cluster.yaml`, or puts it back. */
  setOut(node: string, out: boolean): void {
    if (out) this.#nodesOut.add(node);
    else this.#nodesOut.delete(node);
    this.publish();
  }

  setCordoned(node: string, cordoned: boolean): void {
    if (cordoned) this.#cordoned.add(node);
    else this.#cordoned.delete(node);
    this.publish();
  }

  /** The branch says something else, or is gone, until `mend`. */
  lead(astray: { readonly back: number } | "deleted" | "emptied"): void {
    this.#astray++;
    if (astray === "deleted") this.remote.deleteDesired();
    else if (astray === "emptied") this.#push(new Map());
    else {
      const commit = this.#commits.at(-1 - astray.back) ?? this.#commits[0];
      if (commit !== undefined) this.remote.rewrite(commit);
    }
  }

  mend(): void {
    this.#astray = Math.max(0, this.#astray - 1);
    this.publish();
  }

  /** Everything is whole again; what people decided about jobs stays. */
  mendAll(): void {
    this.#astray = 0;
    this.#broken.clear();
    this.#nodesOut.clear();
    this.#cordoned.clear();
    this.publish();
  }

  /** Pushes what people want, unless somebody has led the branch astray. */
  publish(): void {
    if (this.#astray > 0) return;
    this.#push(this.#jobs);
  }

  #push(jobs: ReadonlyMap<string, JobFile>): void {
    const files: Record<string, string> = {
      "cluster.yaml": this.#broken.has("cluster") ? GARBAGE : this.#clusterText(),
      "scripts/train.py": "print()\n",
    };
    if (this.#broken.has("defaults")) files["config/training_defaults.yaml"] = GARBAGE;
    const docs = new Map<string, JobDoc | "broken">();
    for (const [name, { doc, path }] of jobs) {
      const broken = this.#broken.has(`job ${name}`);
      files[path] = broken ? GARBAGE : manifestText(name, doc);
      docs.set(name, broken ? "broken" : doc);
      this.#mostRetries.set(name, Math.max(this.mostRetries(name), doc.maxRetries));
    }
    const commit = this.remote.push(files);
    const nodes = this.#nodes();
    this.#commits.push(commit);
    this.#wanted.set(commit, {
      jobs: docs,
      nodes: new Map(nodes.map((node) => [node.name, node])),
      cordoned: new Set(this.#cordoned),
      clusterBroken: this.#broken.has("cluster"),
      defaultsBroken: this.#broken.has("defaults"),
    });
  }

  #nodes(): ScenarioNode[] {
    return this.scenario.nodes.filter(({ name }) => !this.#nodesOut.has(name));
  }

  #clusterText(): string {
    const { pollS, nodeLostAfterS, maxStopsPerPass, maxLaunchesPerPass } = this.scenario.policy;
    return JSON.stringify({
      nodes: this.#nodes().map(({ name, cpuSlots }) => ({
        name,
        host: `${name}.example`,
        ...(cpuSlots ? { cpuSlots } : {}),
        ...(this.#cordoned.has(name) ? { cordoned: "maintenance" } : {}),
      })),
      policy: {
        pollInterval: `${pollS}s`,
        nodeLostAfter: `${nodeLostAfterS}s`,
        maxStopsPerPass,
        maxLaunchesPerPass,
      },
    });
  }
}
