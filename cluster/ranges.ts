/**
 * Names with ranges, as Slurm writes them.
 *
 * @example
 * expandRange("gpu[08-10,12]", 100); // { ok: true, names: ["gpu08", "gpu09", "gpu10", "gpu12"] }
 *
 * @module
 */

/** The names, or why there are none. */
export type Expanded =
  | { readonly ok: true; readonly names: readonly string[] }
  | { readonly ok: false; readonly reason: string };

const PART = /^(\d{1,9})(?:-(\d{1,9}))?$/;

/** All names of one expression, at most `max`. Numbers keep the width of the range's start. */
export function expandRange(expression: string, max: number): Expanded {
  let names = [""];
  const pieces = expression.split(/(\[[^\[\]]*\])/);
  for (const piece of pieces) {
    let endings = [piece];
    if (piece.startsWith("[") && piece.endsWith("]")) {
      const numbers = expandNumbers(piece.slice(1, -1), max);
      if (typeof numbers === "string") return { ok: false, reason: numbers };
      endings = numbers;
    } else if (/[\[\]]/.test(piece)) return { ok: false, reason: "a bracket has no partner" };
    if (names.length * endings.length > max) {
      return { ok: false, reason: `more than ${max} names` };
    }
    names = names.flatMap((name) => endings.map((ending) => name + ending));
  }
  return { ok: true, names };
}

function expandNumbers(list: string, max: number): string[] | string {
  const numbers: string[] = [];
  for (const part of list.split(",")) {
    const match = PART.exec(part.trim());
    if (match === null) return "a range is written `[1-8]` or `[01-08,12]`";
    const [, first = "", last = first] = match;
    const [from, to] = [Number(first), Number(last)];
    if (to < from) return `the range ${first}-${last} runs backwards`;
    if (numbers.length + to - from + 1 > max) return `more than ${max} names`;
    for (let n = from; n <= to; n++) numbers.push(String(n).padStart(first.length, "0"));
  }
  return numbers;
}
