/**
 * Values as YAML for people, terminals and forges. Characters that could move a cursor, or reorder
 * what is read, are escaped; read back, the text is the same value.
 *
 * @example
 * yamlText({ name: "a\u202eb" }); // name: "a\\u202eb"
 *
 * @module
 */
import { Document, stringify, type ToStringOptions, visit } from "yaml";
import { UNSAFE } from "./show.ts";

/** The YAML of a value, without aliases. */
export function yamlText(value: unknown, options: ToStringOptions = {}): string {
  const text = stringify(value, { aliasDuplicateObjects: false, ...options });
  if (escaped(text) === text) return text;
  // In quotes the library breaks long lines anywhere, in the middle of an emoji too.
  if (!text.isWellFormed()) return yamlText(value, { ...options, lineWidth: 0 });
  const doc = new Document(value, { aliasDuplicateObjects: false });
  visit(doc, {
    Scalar: (_, node) => {
      const unsafe = typeof node.value === "string" && escaped(node.value) !== node.value;
      // Only these quotes have escapes.
      if (unsafe) node.type = "QUOTE_DOUBLE";
    },
  });
  return escaped(doc.toString(options));
}

/**
 * Whether YAML that another library wrote reads back as it was meant, and holds nothing unsafe:
 * js-yaml leaves `1e999` without quotes, which is a number to others, and escapes no direction marks.
 */
export function isSafeYaml(text: string): boolean {
  return escaped(text) === text && !/(?:: |- )[-+]?[\d.]+e[-+]?\d+$/im.test(text);
}

function escaped(text: string): string {
  return text.replace(UNSAFE, (c) => {
    const code = c.codePointAt(0)!.toString(16);
    if (c === "\n") return c;
    return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  });
}
