/**
 * The Python with PyTorch that trains in the lab.
 *
 * @example
 * const python = await torchPython(); // "/home/ada/ugro/.ugro/venv/bin/python"
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { run } from "./processes.ts";
import { labRequired } from "./support.ts";

/** How people get what is missing. */
export const INSTALL_TORCH =
  "python3 -m venv .ugro/venv && .ugro/venv/bin/pip install torch==2.13.0 numpy";

const project = fileURLToPath(new URL("../../", import.meta.url));
let known: Promise<string | undefined> | undefined;

/**
 * Path of a Python that imports torch: `UGRO_TORCH_PYTHON`, else `.ugro/venv`, else `python3`.
 * Throws when there is none and `UGRO_LAB=required`.
 */
export async function torchPython(): Promise<string | undefined> {
  const found = await (known ??= findTorch());
  if (found === undefined && labRequired()) {
    throw new Error(`Cannot run the lab's trainings: no PyTorch; install it: ${INSTALL_TORCH}`);
  }
  return found;
}

/** Folder of the virtual environment of `torchPython()`. */
export function venvOf(python: string): string {
  return python.replace(/\/bin\/[^/]+$/, "");
}

async function findTorch(): Promise<string | undefined> {
  const candidates = [
    Deno.env.get("UGRO_TORCH_PYTHON"),
    `${project}.ugro/venv/bin/python`,
    "python3",
  ];
  const code = "import sys, importlib.util as u\n" +
    "sys.exit(1) if u.find_spec('torch') is None else print(sys.executable)";
  for (const python of candidates) {
    if (python === undefined) continue;
    try {
      const { code: exit, stdout } = await run([python, "-c", code]);
      if (exit === 0) return stdout.trim();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}
