/**
 * The jobs of a manifest with `matrix` or `array`: one for each combination of values.
 *
 * @example
 * // name: sweep
 * // matrix: {lr: [0.1, 0.2], seed: [1, 2]}
 * expand("sweep", fields, report)?.map((variant) => variant.name); // four names
 *
 * @module
 */
import type { Fields } from "../cluster/nodes.ts";
import type { Report } from "../cluster/report.ts";
import { type Path, plain, showValue } from "../cluster/show.ts";
import { didYouMean } from "../cluster/suggest.ts";
import { ENV_NAME, ENV_NAME_WORDS } from "../cluster/patterns.ts";
import { scalarText } from "./flags.ts";
import { childName, type Values } from "./names.ts";
import type { manifestShape } from "./schema.ts";
import { type Content, isContent, SECTIONS } from "./sections.ts";
import { MAX_CHILDREN } from "./shape_schema.ts";

type Manifest = Fields<typeof manifestShape>;
type Scalar = string | number | boolean;

/** One job of a manifest: what is its own. */
export interface Variant {
  readonly name: string;
  /** The manifest's name, when it makes several jobs. */
  readonly parent?: string;
  /** Values that go into the manifest's own sections and variables. */
  readonly settings: readonly Setting[];
  /** Texts for placeholders such as `matrix.lr`. */
  readonly placeholders: ReadonlyMap<string, string>;
}

/** A value, where it goes, and where it stands in the file. */
interface Setting {
  readonly to: readonly string[];
  readonly value: Scalar;
  readonly from: Path;
}

/** The jobs in the order of the lists; undefined when the manifest does not say which. */
export function expand(
  name: string,
  top: Readonly<Record<string, unknown>>,
  fields: Partial<Manifest>,
  report: Report,
): readonly Variant[] | undefined {
  const given = ["matrix", "array", "schedule"].filter((key) => Object.hasOwn(top, key));
  const [first, second] = given;
  if (second !== undefined) {
    const message = `\`${second}\` and \`${first}\` exclude each other`;
    report.problem([second], message, "keep one", "key");
    return undefined;
  }
  const { matrix, array } = fields;
  if (first === "matrix") return matrix && fromMatrix(name, matrix, report);
  if (first === "array") return array === undefined ? undefined : fromArray(name, array, report);
  return [{ name, settings: [], placeholders: new Map() }];
}

function fromArray(
  parent: string,
  array: number | string,
  report: Report,
): readonly Variant[] | undefined {
  const [from = 0, to = 0] = typeof array === "number"
    ? [0, array - 1]
    : array.split("-").map(Number);
  if (to < from) {
    report.problem(["array"], "`array` runs backwards", `\`${to}-${from}\``);
    return undefined;
  }
  if (!hasRoom(to - from + 1, "array", report)) return undefined;
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const index = String(from + i);
    const to = ["env", "UGRO_ARRAY_INDEX"];
    return {
      name: childName(parent, { index }),
      parent,
      settings: [{ to, value: index, from: ["array"] }],
      placeholders: new Map([["array.index", index]]),
    };
  });
}

/** One parameter of a matrix. */
interface Axis {
  readonly key: string;
  readonly to: readonly string[];
  readonly values: readonly Scalar[];
}

function fromMatrix(
  parent: string,
  matrix: NonNullable<Manifest["matrix"]>,
  report: Report,
): readonly Variant[] | undefined {
  const axes = Object.entries(matrix).flatMap(([key, values]): Axis[] => {
    const to = targetOf(key, report);
    checkTwice(key, values, report);
    return to ? [{ key, to, values }] : [];
  });
  checkOverlap(axes, report);
  const count = axes.reduce((product, { values }) => product * values.length, 1);
  if (!hasRoom(count, "matrix", report) || !report.clean) return undefined;
  const { written } = report.source;
  const variants = Array.from({ length: count }, (_, i): Variant => {
    const chosen = choose(axes, i);
    const values: Record<string, Scalar> = {};
    const placeholders = new Map<string, string>();
    for (const { axis, value, from } of chosen) {
      values[axis.to.join(".")] = value;
      placeholders.set(`matrix.${axis.key}`, scalarText(value, written(from)));
    }
    const settings = chosen.map(({ axis, value, from }) => ({ to: axis.to, value, from }));
    return { name: childName(parent, values satisfies Values), parent, settings, placeholders };
  });
  return checkNames(variants, report);
}

/** The values of combination `i`: the last parameter changes fastest. */
function choose(axes: readonly Axis[], i: number) {
  let rest = i;
  return axes.toReversed().map((axis) => {
    const at = rest % axis.values.length;
    rest = Math.floor(rest / axis.values.length);
    return { axis, value: axis.values[at] ?? "", from: ["matrix", axis.key, at] as Path };
  }).reverse();
}

/** Where a value goes: `lr` into `training`, `optimizer.name` and `env.NAME` where they say. */
function targetOf(key: string, report: Report): readonly string[] | undefined {
  const parts = key.split(".");
  const [section = "", ...rest] = parts;
  if (rest.length === 0) return ["training", key];
  if (section === "env") {
    const name = rest.join(".");
    if (ENV_NAME.test(name)) return parts;
    const message = `\`env.\` must be followed by ${ENV_NAME_WORDS}, not ${showValue(name)}`;
    report.problem(["matrix", key], message, undefined, "key");
    return undefined;
  }
  const known: readonly string[] = SECTIONS;
  if (known.includes(section)) return parts;
  const hint = () => didYouMean(section, [...known, "env"]);
  const message = `no section is named \`${plain(section)}\``;
  report.problem(["matrix", key], message, hint, "key");
  return undefined;
}

/** Equal values, and those that read alike (1 and "1"), would be one job twice. */
function checkTwice(key: string, values: readonly Scalar[], report: Report): void {
  const seen = new Set<string>();
  values.forEach((value, i) => {
    const text = String(value);
    if (seen.has(text)) {
      report.problem(["matrix", key, i], `${showValue(value)} is listed twice`, "keep one");
    }
    seen.add(text);
  });
}

/** One parameter must not overwrite another. */
function checkOverlap(axes: readonly Axis[], report: Report): void {
  axes.forEach((axis, i) => {
    const inside = (a: Axis, b: Axis) => b.to.every((part, at) => a.to[at] === part);
    const other = axes.slice(0, i).find((other) => inside(axis, other) || inside(other, axis));
    if (other === undefined) return;
    const message = `\`${plain(axis.key)}\` and \`${plain(other.key)}\` set the same parameter`;
    report.problem(["matrix", axis.key], message, "keep one", "key");
  });
}

function hasRoom(count: number, key: string, report: Report): boolean {
  if (count <= MAX_CHILDREN) return true;
  report.problem([key], `\`${key}\` makes ${count} jobs; at most ${MAX_CHILDREN} are possible`);
  return false;
}

function checkNames(variants: readonly Variant[], report: Report): readonly Variant[] | undefined {
  const byName = new Map<string, Variant>();
  for (const variant of variants) {
    const other = byName.get(variant.name);
    if (other !== undefined) {
      // The values that differ; the digits of a digest are few.
      const { from = [] } = variant.settings.find((one, i) =>
        one.value !== other.settings[i]?.value
      ) ?? {};
      const message = `two of its jobs would be named \`${variant.name}\``;
      report.problem(from, message, "change the value, or give the manifest a shorter `name:`");
      return undefined;
    }
    byName.set(variant.name, variant);
  }
  return variants;
}

/** The fields of a manifest with the values of one of its jobs in them. */
export function applySettings<T extends Partial<Manifest>>(fields: T, { settings }: Variant): T {
  return settings.reduce((changed, { to, value }) => setAt(changed, to, value) as T, fields);
}

function setAt(content: Content, [key = "", ...rest]: readonly string[], value: Scalar): Content {
  if (rest.length === 0) return { ...content, [key]: value };
  const below = Object.hasOwn(content, key) ? content[key] : undefined;
  return { ...content, [key]: setAt(isContent(below) ? below : {}, rest, value) };
}

/** How a number was written, by its place in the manifest, once the values of a job are in it. */
export function writtenIn({ settings }: Variant, report: Report) {
  const { written } = report.source;
  const own = new Map(settings.map(({ to, from }) => [JSON.stringify(to), from]));
  return (path: Path): string | undefined => {
    const from = own.size === 0 ? undefined : own.get(JSON.stringify(path));
    // The index of an array is text already, and stands nowhere by itself.
    return from === undefined ? written(path) : from.length > 1 ? written(from) : undefined;
  };
}
