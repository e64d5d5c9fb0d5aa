/**
 * What a status file says, as far as rules are about it: read line by line, far quicker than a
 * parser of YAML, and with no code of UGRO.
 *
 * @module
 */

/** One job. */
export interface Told {
  readonly phase: string;
  readonly reason: string;
  readonly queue: string;
  readonly owner: string;
  readonly priority: number;
  readonly submittedAtMs: number;
  readonly attempt: number;
  readonly retries: number;
  readonly rerun: number;
  /** It goes on from before it came to rest. */
  readonly resumed: boolean;
  readonly attempts: readonly ToldAttempt[];
}

/** One of its attempts. */
export interface ToldAttempt {
  readonly attempt: number;
  readonly commit: string;
  readonly nodes: readonly string[];
  /** In rank order. */
  readonly placed: readonly ToldRank[];
  /** True: nobody launched it that we know of. */
  readonly found: boolean;
  readonly recordedAtMs: number;
  /** NaN: it has not been seen to start. */
  readonly startedAtMs: number;
  readonly evicted: ToldEviction | undefined;
  readonly end: string | undefined;
}

/** What one rank was given. */
export interface ToldRank {
  readonly node: string;
  readonly gpus: readonly string[];
  readonly share: number;
}

/** That an attempt has to go. */
export interface ToldEviction {
  readonly reason: string;
  readonly by: string | undefined;
  readonly atMs: number;
}

interface Rank {
  node: string;
  gpus: string[];
  share: number;
}

type Fields = Record<string, string>;

interface Draft {
  readonly fields: Fields;
  readonly placed: Rank[];
  evicted: Fields | undefined;
}

/** Reads a file. */
export function readStatus(text: string): Told {
  const top: Fields = {};
  const drafts: Draft[] = [];
  let inAttempts = false;
  for (const line of text.split("\n")) {
    if (!line.startsWith(" ")) {
      inAttempts = line.startsWith("attempts:");
      put(top, line);
    } else if (inAttempts) readAttemptLine(drafts, line);
  }
  return {
    phase: top.phase ?? "",
    reason: top.reason ?? "",
    queue: top.queue ?? "",
    owner: top.owner ?? "",
    priority: Number(top.priority),
    submittedAtMs: Date.parse(top.submittedAt ?? ""),
    attempt: Number(top.attempt),
    retries: Number(top.retries),
    rerun: Number(top.rerun),
    resumed: text.includes("  - type: Started\n"),
    attempts: drafts.map(finish),
  };
}

function readAttemptLine(drafts: Draft[], line: string): void {
  if (line.startsWith("  - ")) {
    drafts.push({ fields: {}, placed: [], evicted: undefined });
    line = `    ${line.slice(4)}`;
  }
  const draft = drafts.at(-1);
  if (!draft) return;
  const rank = draft.placed.at(-1);
  if (line.startsWith("      - node: ")) {
    draft.placed.push({ node: valueOf(line), gpus: [], share: 1 });
  } else if (line.startsWith("          - ")) rank?.gpus.push(line.slice(12));
  else if (line.startsWith("        share: ") && rank) rank.share = Number(valueOf(line));
  else if (line.startsWith("    evicted:")) draft.evicted = {};
  else if (line.startsWith("      ") && draft.evicted && !("at" in draft.evicted)) {
    put(draft.evicted, line.slice(6));
  } else if (line.startsWith("    ") && line[4] !== " ") put(draft.fields, line.slice(4));
}

function put(fields: Fields, line: string): void {
  const colon = line.indexOf(": ");
  if (colon > 0) fields[line.slice(0, colon)] = valueOf(line);
}

function valueOf(line: string): string {
  const value = line.slice(line.indexOf(": ") + 2);
  return value.startsWith("'") ? value.slice(1, -1) : value;
}

function finish({ fields, placed, evicted }: Draft): ToldAttempt {
  return {
    attempt: Number(fields.attempt),
    commit: fields.commit ?? "",
    nodes: placed.map(({ node }) => node),
    placed,
    found: fields.because === "found on the nodes",
    recordedAtMs: Date.parse(fields.recordedAt ?? ""),
    startedAtMs: Date.parse(fields.startedAt ?? ""),
    evicted: evicted && {
      reason: evicted.reason ?? "",
      by: evicted.by,
      atMs: Date.parse(evicted.at ?? ""),
    },
    end: fields.end,
  };
}

/** The attempt that has not ended; undefined: there is none. */
export function liveAttempt(told: Told | undefined): ToldAttempt | undefined {
  const last = told?.attempts.at(-1);
  return last && last.end === undefined ? last : undefined;
}

/** GPUs that an attempt has. */
export function heldBy({ placed }: ToldAttempt): number {
  return placed.reduce((sum, { gpus, share }) => sum + gpus.length * share, 0);
}
