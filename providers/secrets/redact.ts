/**
 * Takes the values of secrets out of text that came from elsewhere: error messages, logs. It knows
 * each value as it is, as JSON and Python write it in quotes, in URLs and in base64, and the lines
 * of one that has several. What is shorter than 6 characters is left: it would hit ordinary words.
 *
 * @example
 * const redact = redactor([{ name: "HF_TOKEN", value: "hf_abcdef" }]);
 * redact("401 for hf_abcdef"); // "401 for [secret HF_TOKEN]"
 *
 * @module
 */

/** A value under the name by which people know it. */
export interface Named {
  readonly name: string;
  readonly value: string;
}

const MIN_CHARS = 6;
/** Lines of one value that are looked for by themselves. */
const MAX_LINES = 200;

/** A function that replaces what it knows. */
export function redactor(secrets: readonly Named[]): (text: string) => string {
  const names = new Map<string, string>();
  for (const { name, value } of secrets) {
    for (const form of formsOf(value)) if (!names.has(form)) names.set(form, name);
  }
  // Longer ones first: a value may be a part of another.
  const forms = [...names].sort(([a], [b]) => b.length - a.length);
  return (text) =>
    forms.reduce((rest, [form, name]) => rest.replaceAll(form, () => `[secret ${name}]`), text);
}

/** How a value may look in text. */
function formsOf(value: string): Set<string> {
  const forms = new Set<string>();
  const lines = value.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
  for (const text of [value, value.trim(), ...lines.slice(0, MAX_LINES)]) {
    if (text.length < MIN_CHARS) continue;
    forms.add(text);
    forms.add(JSON.stringify(text).slice(1, -1));
    forms.add(text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("'", "\\'"));
    forms.add(encodeURIComponent(text.toWellFormed()));
    for (const encoded of base64Forms(new TextEncoder().encode(text))) forms.add(encoded);
  }
  return forms;
}

/**
 * What base64 makes of the bytes wherever they begin in what is encoded (`user:token`, say): the
 * characters that depend on nothing but them, for each of the three ways to be aligned.
 */
function base64Forms(bytes: Uint8Array): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const padded = new Uint8Array(shift + bytes.length);
    padded.set(bytes, shift);
    const first = Math.ceil(shift * 8 / 6);
    const last = Math.floor(padded.length * 8 / 6);
    const text = padded.toBase64().slice(first, last);
    return [text, text.replaceAll("+", "-").replaceAll("/", "_")];
  });
}
