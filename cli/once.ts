/**
 * `ugro once`: one pass over a state repository, for a timer or a try.
 *
 * @module
 */
import { type RawServiceOptions, serviceOptions } from "./options.ts";
import { runService } from "./service.ts";

/** Runs one pass without a page; gives the exit code. */
export function once(raw: RawServiceOptions): Promise<number> {
  return runService(serviceOptions(raw, true));
}
