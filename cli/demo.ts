/**
 * `ugro demo`: the example state repository, run on this machine.
 *
 * @module
 */

/** Runs the demo; gives the exit code. */
export function demo(): Promise<number> {
  return Promise.reject(new Error("Cannot run the demo: it is not wired yet"));
}
