/**
 * "Did you mean …?"
 *
 * @example
 * didYouMean("gpus_per_node", ["nodes", "gpusPerNode"]); // "did you mean `gpusPerNode`?"
 *
 * @module
 */
import { plain } from "./show.ts";

const MAX_LENGTH = 64;
/** Most known words that are compared: a hint is worth no second of computing. */
const MAX_COMPARED = 1000;
const MAX_LISTED = 12;

/** Edits (insert, delete, change, swap neighbours) between two short words. */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [];
  for (let i = 0; i <= a.length; i++) {
    const row: number[] = [i];
    for (let j = 1; j <= b.length; j++) {
      if (i === 0) {
        row.push(j);
        continue;
      }
      const above = rows[i - 1]!;
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      }
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** The known word that `word` was most likely meant to be, spelling style and typos forgiven. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const wanted = folded(word);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of known.slice(0, MAX_COMPARED)) {
    if (candidate.length > MAX_LENGTH) continue;
    const distance = editDistance(wanted, folded(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  if (bestDistance <= Math.max(1, Math.floor(wanted.length / 3))) return best;
  // `ssh_port` for `port`, `hostname` for `host`.
  const inside = known.slice(0, MAX_COMPARED).filter((k) =>
    k.length >= 4 && wanted.includes(folded(k))
  );
  return inside.sort((a, b) => b.length - a.length)[0];
}

/** A hint for a word that is not among `known`: the likely one, or all of them when they are few. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  const found = nearest(word, known);
  if (found !== undefined) return `did you mean \`${plain(found)}\`?`;
  if (known.length === 0 || known.length > MAX_LISTED) return undefined;
  return `known here: ${known.map((k) => `\`${plain(k)}\``).join(", ")}`;
}

function folded(word: string): string {
  return word.replace(/[_\-\s]/g, "").toLowerCase();
}
