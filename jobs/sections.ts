/**
 * The sections of free content that training defaults and manifests share, and how one layer
 * goes over another.
 *
 * @module
 */

/** Sections whose content is up to the training script. */
export const SECTIONS = [
  "model",
  "dataset",
  "training",
  "optimizer",
  "lora",
  "quantization",
  "logging",
] as const;

/** The name of a section. */
export type Section = typeof SECTIONS[number];

/** A map with free content. */
export type Content = Readonly<Record<string, unknown>>;

/** Some of the sections. */
export type Sections = Readonly<Partial<Record<Section, Content>>>;

/** `over` on top of `under`: maps merge, lists and values replace, null removes. */
export function mergeContent(under: Content, over: Content): Content {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = Object.hasOwn(merged, key) ? merged[key] : undefined;
    if (value === null) delete merged[key];
    else if (isContent(value)) merged[key] = mergeContent(isContent(below) ? below : {}, value);
    else merged[key] = value;
  }
  return merged;
}

/** Layers from the lowest to the highest; sections that stay empty are left out. */
export function mergeSections(...layers: readonly Sections[]): Sections {
  const merged: Partial<Record<Section, Content>> = {};
  for (const section of SECTIONS) {
    let content: Content = {};
    for (const layer of layers) content = mergeContent(content, layer[section] ?? {});
    if (Object.keys(content).length > 0) merged[section] = content;
  }
  return merged;
}

/** Whether a value is a map. */
export function isContent(value: unknown): value is Content {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
