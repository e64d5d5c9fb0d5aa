/**
 * Reads the traces that training scripts leave (`scripts/witness.py`).
 *
 * @module
 */
import assert from "node:assert/strict";

/** One start of one rank and what became of it. */
export interface Witness {
  readonly job: string;
  readonly attempt: number;
  readonly rank: number;
  readonly host: string;
  readonly resumeFrom: string;
  readonly note: string | undefined;
  /** Further events, such as `train`, `idle`, `stopped`, `end`. */
  readonly events: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

/** All starts, optionally of one job. */
export function witnesses(folder: string, job?: string): Witness[] {
  const found: Witness[] = [];
  for (const { name } of Deno.readDirSync(folder)) {
    const lines = Deno.readTextFileSync(`${folder}/${name}`).trimEnd().split("\n")
      .filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
    const start = lines.find((line) => line["event"] === "start");
    if (start === undefined || (job !== undefined && start["job"] !== job)) continue;
    found.push({
      job: String(start["job"]),
      attempt: Number(start["attempt"]),
      rank: Number(start["rank"]),
      host: String(start["host"]),
      resumeFrom: String(start["resume_from"] ?? ""),
      note: start["note"] === undefined ? undefined : String(start["note"]),
      events: new Map(lines.map((line) => [String(line["event"]), line])),
    });
  }
  return found.toSorted((a, b) => a.attempt - b.attempt || a.rank - b.rank);
}

/** Throws when any rank of any attempt was started twice. */
export function assertNoRankTwice(folder: string): void {
  const counts = new Map<string, number>();
  for (const { job, attempt, rank } of witnesses(folder)) {
    const key = `${job}/${attempt}/${rank}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const twice = [...counts].filter(([, count]) => count > 1).map(([key]) => key);
  assert.deepEqual(twice, [], "these ranks (job/attempt/rank) were started more than once");
}
