/**
 * The people: they push manifests and `cluster.yaml`, break and repair them, rewrite and delete the
 * branch. What each commit says is remembered here, so that the oracle need not ask the parser.
 *
 * @module
 */
import type { SimRemote } from "../../providers/sim/repository.ts";
import { clusterText, manifestText, numbersTo, type WrittenCordon } from "./manifest_text.ts";
import type { Breakable, JobDoc, Scenario, ScenarioNode } from "./scenario.ts";

/** What one commit of the desired branch says. */
export interface Wanted {
  /** `broken`: its manifest does not parse. Those of a matrix one by one, schedules as such. */
  readonly jobs: ReadonlyMap<string, JobDoc | "broken">;
  readonly nodes: ReadonlyMap<string, ScenarioNode>;
  readonly cordoned: ReadonlyMap<string, WrittenCordon>;
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
  readonly #cordoned = new Map<string, WrittenCordon>();
  readonly #broken = new Set<string>();
  readonly #wanted = new Map<string, Wanted>();
  readonly #commits: string[] = [];
  readonly #mostRetries = new Map<string, number>();
  /** Set while the branch does not say what people last wrote. */
  #astray = 0;
  #isCalm = false;

  constructor(
    private readonly remote: SimRemote,
    private readonly scenario: Scenario,
    private readonly startMs: number,
  ) {}

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
    this.#jobs.set(job, { doc: this.#isCalm ? retired(doc) : doc, path: `jobs/${job}.yaml` });
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
    return this.#mostRetries.get(job) ?? this.#mostRetries.get(templateOf(job) ?? "") ?? 0;
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

  /** Cordons a node; undefined: takes the cordon away. */
  setCordoned(node: string, cordon: WrittenCordon | undefined): void {
    if (cordon) this.#cordoned.set(node, cordon);
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

  /** Everything is whole again; what people decided about jobs stays. No new run comes due. */
  mendAll(): void {
    this.#isCalm = true;
    for (const file of this.#jobs.values()) file.doc = retired(file.doc);
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
    const nodes = this.scenario.nodes.filter(({ name }) => !this.#nodesOut.has(name));
    const files: Record<string, string> = {
      "cluster.yaml": this.#broken.has("cluster")
        ? GARBAGE
        : clusterText(this.scenario, nodes, this.#cordoned),
      "scripts/train.py": "print()\n",
    };
    if (this.#broken.has("defaults")) files["config/training_defaults.yaml"] = GARBAGE;
    const docs = new Map<string, JobDoc | "broken">();
    for (const [name, { doc, path }] of jobs) {
      const broken = this.#broken.has(`job ${name}`);
      files[path] = broken ? GARBAGE : manifestText(name, doc, this.startMs);
      for (const child of namesOf(name, doc)) {
        docs.set(child, broken ? "broken" : doc);
        this.#mostRetries.set(child, Math.max(this.mostRetries(child), doc.maxRetries));
      }
    }
    const commit = this.remote.push(files);
    this.#commits.push(commit);
    this.#wanted.set(commit, {
      jobs: docs,
      nodes: new Map(nodes.map((node) => [node.name, node])),
      cordoned: new Map(this.#cordoned),
      clusterBroken: this.#broken.has("cluster"),
      defaultsBroken: this.#broken.has("defaults"),
    });
  }
}

/** No run of it comes due any more. */
function retired(doc: JobDoc): JobDoc {
  return doc.schedule ? { ...doc, schedule: { ...doc.schedule, retired: true } } : doc;
}

/** The jobs of one manifest. */
export function namesOf(name: string, { matrix }: JobDoc): string[] {
  return matrix === undefined ? [name] : numbersTo(matrix).map((seed) => `${name}-${seed}`);
}

/** The job whose schedule a run is of, by its name; undefined: it is no such run. */
export function templateOf(job: string): string | undefined {
  return /^(.+)-\d{8}-\d{4}$/.exec(job)?.[1];
}

/** When a run of a schedule was due. */
export function dueOf(job: string): number | undefined {
  const match = /-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)$/.exec(job);
  if (!match) return undefined;
  const [, year, month, day, hour, minute] = match.map(Number);
  return Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute);
}

/**
 * What a commit says of a job. A run of a schedule is as its template says; whether it is to be at
 * all is another question.
 */
export function docIn(wanted: Wanted | undefined, job: string): JobDoc | "broken" | undefined {
  const doc = wanted?.jobs.get(job);
  const template = doc === undefined ? templateOf(job) : undefined;
  const made = template === undefined ? doc : wanted?.jobs.get(template);
  if (made === undefined || made === "broken" || template === undefined) return made;
  if (!made.schedule) return undefined;
  const { schedule: _, ...rest } = made;
  return rest;
}
