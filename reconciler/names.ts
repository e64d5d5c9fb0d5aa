/**
 * Who has which name. A manifest of many jobs has its own name as well: others wait for all of its
 * jobs by it.
 *
 * @example
 * const names = new Names();
 * names.take(spec, "jobs/a.yaml"); // undefined: it is free
 * names.take(spec, "jobs/b.yaml"); // { name: "a", file: "jobs/a.yaml" }
 *
 * @module
 */
import type { JobSpec } from "../jobs/job.ts";

/** A name and the file that has it. */
export interface Taken {
  readonly name: string;
  readonly file: string;
}

/** Names in the order in which they are asked for: the first file gets it. */
export class Names {
  readonly #files = new Map<string, Taken & { readonly isParent: boolean }>();

  /** Notes the names of a job; gives what another has already, and then notes nothing. */
  take({ name, parent }: Pick<JobSpec, "name" | "parent">, file: string): Taken | undefined {
    const own = this.#files.get(name);
    if (own) return own;
    const others = parent === undefined ? undefined : this.#files.get(parent);
    if (others && !(others.isParent && others.file === file)) return others;
    if (parent !== undefined) this.#files.set(parent, { name: parent, file, isParent: true });
    this.#files.set(name, { name, file, isParent: false });
    return undefined;
  }
}
