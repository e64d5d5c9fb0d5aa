/**
 * Secrets of jobs: whether they can be had, for the planner, and their values, for a launch. The
 * values go from the store to the fleet and are kept nowhere in between.
 *
 * @module
 */
import type { DesiredJob, NeededSecret } from "../jobs/job.ts";
import { describeSource } from "../jobs/secrets.ts";
import type { Desired } from "./model.ts";
import type { SecretRead, SecretStore } from "./ports.ts";

/** The values of a job's secrets by name, or what is missing, in a sentence without a value. */
export type SecretsRead =
  | { readonly values: Readonly<Record<string, string>> }
  | { readonly missing: string };

type Read = (secret: NeededSecret) => Promise<SecretRead>;

const NO_STORE: SecretRead = { why: "this controller was started without secrets" };

/** Reads all secrets of a job. */
export function readSecrets(job: DesiredJob, store: SecretStore | undefined): Promise<SecretsRead> {
  return readAll(job.secrets ?? [], readFrom(store));
}

function readFrom(store: SecretStore | undefined): Read {
  return (secret) => store ? store.read(secret) : Promise.resolve(NO_STORE);
}

async function readAll(secrets: readonly NeededSecret[], read: Read): Promise<SecretsRead> {
  const found = await Promise.all(secrets.map(read));
  const missing = secrets.flatMap(({ name, source }, i) => {
    const one = found[i];
    return one && "why" in one ? [`${name} (${describeSource(source)}): ${one.why}`] : [];
  });
  if (missing.length > 0) {
    const more = missing.length > 1 ? `; and ${missing.length - 1} more` : "";
    return { missing: `the secret ${missing[0]}${more}` };
  }
  const values = found.map((one) => "value" in one ? one.value : "");
  return { values: Object.fromEntries(secrets.map(({ name }, i) => [name, values[i] ?? ""])) };
}

/** Marks jobs whose secrets cannot be had now; one that runs goes on all the same. */
export class SecretCheck {
  #of: Desired | undefined;
  #found = "";
  #marked: Desired | undefined;

  constructor(private readonly store: SecretStore | undefined) {}

  /** `desired` with the jobs marked; the same object as last time when nothing has changed. */
  async mark(desired: Desired): Promise<Desired> {
    const jobs = [...desired.jobs].filter(([, job]) => job.secrets);
    if (jobs.length === 0) return desired;
    const read = onceEach(readFrom(this.store));
    const found = await Promise.all(jobs.map(async ([name, job]) => {
      const secrets = await readAll(job.secrets ?? [], read);
      return { name, job, missing: "missing" in secrets ? secrets.missing : undefined };
    }));
    const missing = found.flatMap(({ name, job, missing }) =>
      missing === undefined ? [] : [{ name, job, message: `waits for ${missing}` }]
    );
    const text = JSON.stringify(missing.map(({ name, message }) => [name, message]));
    if (this.#marked && this.#of === desired && this.#found === text) return this.#marked;
    const marked = new Map(desired.jobs);
    for (const { name, job, message } of missing) {
      marked.set(name, { ...job, blocked: job.blocked ?? { reason: "SecretMissing", message } });
    }
    this.#of = desired;
    this.#found = text;
    return this.#marked = missing.length === 0 ? desired : { ...desired, jobs: marked };
  }
}

/** Many jobs name the same source: each is read once a pass. */
function onceEach(read: Read): Read {
  const known = new Map<string, Promise<SecretRead>>();
  return (secret) => {
    const key = JSON.stringify([secret.source, secret.blob]);
    const reading = known.get(key) ?? read(secret);
    known.set(key, reading);
    return reading;
  };
}
