/**
 * Runs the reconciler.
 *
 * @module
 */
import type { ServiceOptions } from "./options.ts";

/** Runs until told to stop, or one pass; gives the exit code. */
export function runService(options: ServiceOptions): Promise<number> {
  return Promise.reject(new Error(`Cannot follow ${options.repo}: the service is not wired yet`));
}
