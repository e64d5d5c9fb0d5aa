/**
 * Placeholders in arguments: `{training.lr}`, `{job}`. A brace itself is written twice.
 *
 * @example
 * fillTemplate("--out={job}/{{x}}", (name) => name === "job" ? "demo" : undefined);
 * // { ok: true, text: "--out=demo/{x}" }
 *
 * @module
 */

/** The text with placeholders replaced, or the first thing that is wrong with it. */
export type Filled =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly unknown?: string };

const PIECE = /\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.-]*)\}|[{}]/g;

/** Replaces placeholders; `unknown` names one without a value, else a brace stands alone. */
export function fillTemplate(
  template: string,
  lookup: (name: string) => string | undefined,
): Filled {
  let text = "";
  let end = 0;
  for (const match of template.matchAll(PIECE)) {
    const [piece, name] = match;
    text += template.slice(end, match.index);
    end = match.index + piece.length;
    if (name !== undefined) {
      const value = lookup(name);
      if (value === undefined) return { ok: false, unknown: name };
      text += value;
    } else if (piece.length === 2) text += piece[0];
    else return { ok: false };
  }
  return { ok: true, text: text + template.slice(end) };
}

/** A number as a script should see it: as written where that is plain decimal, else in full. */
export function numberText(value: number, written: string | undefined): string {
  if (written !== undefined && /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(written)) return written;
  return String(value);
}
