/**
 * What the demo says, with the time since it began.
 *
 * @module
 */
import type { JobStatus } from "../../jobs/status.ts";

const beganMs = Date.now();

/** Prints a line. */
export function say(text: string): void {
  console.log(text);
}

/** Prints a transition of the job. */
export function tellStatus(status: JobStatus): void {
  const seconds = ((Date.now() - beganMs) / 1000).toFixed(1).padStart(5);
  say(`${seconds} s  ${status.name}: ${status.phase.padEnd(10)} ${status.message.split("\n")[0]}`);
}
