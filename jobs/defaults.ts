/**
 * Reads `config/training_defaults.yaml`: what every job's configuration begins with.
 *
 * @example
 * const parsed = parseDefaults("config/training_defaults.yaml", bytes);
 * if (parsed.ok) parsed.value.training; // { epochs: 3, learning_rate: 0.0002 }
 *
 * @module
 */
import { Report, topMap } from "../cluster/report.ts";
import { parseYaml } from "../cluster/yaml.ts";
import type { Parsed } from "./problem.ts";
import { sectionsShape } from "./schema.ts";
import type { Sections } from "./sections.ts";

/** Sections as the defaults give them. */
export type Defaults = Sections;

/** No defaults at all. */
export const NO_DEFAULTS: Defaults = {};

/** The defaults of a file; an empty file has none. */
export function parseDefaults(file: string, bytes: Uint8Array): Parsed<Defaults> {
  const read = parseYaml(file, bytes);
  if (!read.ok) return read;
  if (read.value.value === null) return { ok: true, value: NO_DEFAULTS, warnings: [] };
  const report = new Report(read.value);
  const top = topMap(report);
  const sections = top === undefined ? {} : report.fields(sectionsShape, top, []);
  return report.finish<Defaults>(() => sections as Defaults);
}
