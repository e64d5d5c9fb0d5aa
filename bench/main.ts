/**
 * `deno task bench [plan|drain|growth|launch]`: the figures that README.md and docs/ quote. Nothing here passes
 * or fails; what matters are the ratios within one run.
 *
 * @module
 */
import { printTable, type Row } from "./table.ts";

const PARTS: Readonly<Record<string, () => Promise<Row[]>>> = {
  plan: async () => (await import("./plan.ts")).benchPlan(),
  drain: async () => (await import("./drain.ts")).benchDrain(),
  growth: async () => (await import("./growth.ts")).benchGrowth(),
  launch: async () => (await import("./launch.ts")).benchLaunch(),
};

const wanted = Deno.args.length > 0 ? Deno.args : Object.keys(PARTS);
for (const name of wanted) {
  const part = PARTS[name];
  if (!part) throw new Error(`Cannot measure ${name}: there are ${Object.keys(PARTS).join(", ")}`);
  console.log(`\n${name}\n`);
  printTable(await part());
}
