/**
 * Folders of simulated checkpoints. A step is a second of training.
 *
 * @module
 */
import type { Checkpoint } from "../../jobs/run.ts";

/** Checkpoints that a query answers with. */
const LISTED = 20;

/** The checkpoint folders of one machine, or those that all machines share. */
export class CheckpointStore {
  readonly #folders = new Map<string, Checkpoint[]>();

  /** Saves a step; an incomplete one is what a crash in the middle leaves. */
  save(dir: string, step: number, atMs: number, complete = true): void {
    const list = this.#folders.get(dir) ?? [];
    const path = `${dir}/step-${step}`;
    const others = list.filter((c) => c.path !== path);
    const saved = { path, step, complete, bytes: 1_000_000, modifiedAtMs: atMs };
    const next = [saved, ...others].toSorted((a, b) => b.step - a.step).slice(0, LISTED);
    this.#folders.set(dir, next);
  }

  /** Newest first. */
  list(dir: string): readonly Checkpoint[] {
    return this.#folders.get(dir) ?? [];
  }

  /** Loses a folder, or everything. */
  remove(dir?: string): void {
    if (dir === undefined) this.#folders.clear();
    else this.#folders.delete(dir);
  }
}
