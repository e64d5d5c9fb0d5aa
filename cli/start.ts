/**
 * `ugro start`: follow a state repository until told to stop.
 *
 * @module
 */
import { type RawServiceOptions, serviceOptions } from "./options.ts";
import { runService } from "./service.ts";

/** Runs the reconciler and the page; gives the exit code. */
export function start(raw: RawServiceOptions): Promise<number> {
  return runService(serviceOptions(raw, false));
}
