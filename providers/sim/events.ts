/**
 * What happens on simulated machines, as it is, whatever a controller can see of it.
 *
 * @module
 */
import type { SimRun } from "./run.ts";

/** One event on one machine. */
export type MachineEvent =
  /** A run has a folder and a supervisor. */
  | { readonly kind: "created"; readonly run: SimRun }
  /** Its agent has been started. */
  | { readonly kind: "started"; readonly run: SimRun }
  /** It was told to stop, by a controller of that epoch. */
  | { readonly kind: "stopping"; readonly run: SimRun; readonly epoch: number }
  /** It has an exit, and no process is left. */
  | { readonly kind: "ended"; readonly run: SimRun }
  /** Its supervisor was killed, and processes of it live on. */
  | { readonly kind: "orphaned"; readonly run: SimRun }
  /** Its supervisor is gone without a word, and so are its processes. */
  | { readonly kind: "died"; readonly run: SimRun }
  /** Its record was removed. */
  | { readonly kind: "removed"; readonly run: SimRun }
  /** A controller said hello with a higher epoch than any before. */
  | { readonly kind: "epoch"; readonly epoch: number }
  /** A mutation arrived. */
  | { readonly kind: "asked"; readonly epoch: number; readonly refused: boolean };
