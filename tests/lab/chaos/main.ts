/**
 * `deno task chaos [--minutes M] [--seed N] [--keep FOLDER]`: a long run of chaos on three real
 * hosts, with its time line. Exit code 1 when anything that must hold did not. Needs what the lab needs (root).
 *
 * @module
 */
import { parseArgs } from "node:util";
import { startLab } from "../lab.ts";
import { labSupport } from "../support.ts";
import { INSTALL_TORCH, torchPython, venvOf } from "../torch.ts";
import { CHAOS_LAB, runChaos } from "./run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: "1" },
    keep: { type: "string" },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  throw new Error("Cannot run: --minutes must be above 0 and --seed a whole number");
}
const { kind, missing } = await labSupport();
if (kind !== "namespaces") throw new Error(`Cannot make chaos: missing ${missing.join(", ")}`);
const python = await torchPython();
if (python === undefined) throw new Error(`Cannot make chaos: no PyTorch: ${INSTALL_TORCH}`);

const dir = await Deno.makeTempDir({ prefix: "ugro-chaos-" });
const lab = await startLab({ ...CHAOS_LAB, dir, visible: [venvOf(python)] });
try {
  const say = (line: string) => console.log(line);
  const { problems, summary } = await runChaos(lab, {
    ...{ seed, minutes, python, say },
    ...values.keep === undefined ? {} : { keep: values.keep },
  });
  console.log(["", ...problems.map((problem) => `PROBLEM ${problem}`), ...summary].join("\n"));
  Deno.exitCode = problems.length > 0 ? 1 : 0;
} finally {
  await lab.stop();
  await Deno.remove(dir, { recursive: true });
}
