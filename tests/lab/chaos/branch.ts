/**
 * The status branch of a run of chaos: watched while it grows, and read as a whole in the end.
 *
 * @module
 */
import { parse } from "yaml";
import type { JobStatus } from "../../../jobs/status.ts";
import { must, run } from "../processes.ts";

const STATUS = "refs/heads/ugro/status";

/** One commit that changed a job's status. */
export interface Entry {
  readonly commit: string;
  readonly status: JobStatus;
}

/** The whole branch. */
export interface Branch {
  readonly commits: number;
  /** What is wrong with its shape. */
  readonly problems: readonly string[];
  /** Each job's statuses, oldest first. */
  readonly histories: ReadonlyMap<string, readonly Entry[]>;
}

/** Looks where the branch stands, again and again; `stop` gives all heads that it saw. */
export function watchBranch(repo: string, everyMs = 250): { stop(): Promise<string[]> } {
  const heads: string[] = [];
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      // Nothing to see while the repository is away.
      const head = await run(["git", "rev-parse", "--verify", "-q", STATUS], { cwd: repo })
        .then(({ code, stdout }) => code === 0 ? stdout.trim() : "", () => "");
      if (head !== "" && head !== heads.at(-1)) heads.push(head);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  })();
  return {
    async stop() {
      stopped = true;
      await watching;
      return heads;
    },
  };
}

/** Reads the branch. `heads` are those that it had before, oldest first. */
export async function readBranch(repo: string, heads: readonly string[]): Promise<Branch> {
  const log = await must(["git", "log", "--format=%H %P", STATUS], { cwd: repo });
  const trailer = "%(trailers:key=Epoch,valueonly,separator=%x2C)";
  const writers = await must(["git", "log", `--format=%H ${trailer}`, STATUS], { cwd: repo });
  const lines = log.trimEnd().split("\n").map((line) => line.split(" "));
  const problems = lines.filter((words) => words.length > 2)
    .map(([commit]) => `status branch: ${commit} is a merge`);
  problems.push(...epochProblems(writers));
  const places = new Map(lines.map(([commit = ""], index) => [commit, index]));
  let last = Infinity;
  for (const head of heads) {
    const place = places.get(head);
    if (place === undefined) problems.push(`status branch: ${head} was its head and is gone`);
    else if (place > last) problems.push(`status branch: it went back to ${head}`);
    last = Math.min(last, place ?? last);
  }
  return { commits: lines.length, problems, histories: await readHistories(repo) };
}

/** A leader of the past must not write after one that followed it. `writers`: newest first. */
function epochProblems(writers: string): string[] {
  const problems: string[] = [];
  let newer = Infinity;
  for (const line of writers.trimEnd().split("\n")) {
    const [commit = "", epoch = ""] = line.split(" ");
    if (epoch === "") problems.push(`status branch: ${commit} does not name its epoch`);
    else if (Number(epoch) > newer) {
      problems.push(`status branch: epoch ${newer} wrote after ${epoch}, above ${commit}`);
    }
    newer = Math.min(newer, Number(epoch || newer));
  }
  return problems;
}

async function readHistories(repo: string): Promise<Map<string, Entry[]>> {
  const log = await must(
    [
      "git",
      "log",
      "--reverse",
      "--format=@%H",
      "--name-only",
      "--no-renames",
      STATUS,
      "--",
      "jobs/",
    ],
    { cwd: repo },
  );
  const wanted: { commit: string; path: string }[] = [];
  let commit = "";
  for (const line of log.split("\n")) {
    if (line.startsWith("@")) commit = line.slice(1);
    else if (line !== "") wanted.push({ commit, path: line });
  }
  const names = wanted.map((one) => `${one.commit}:${one.path}\n`).join("");
  const batch = await must(["git", "cat-file", "--batch"], { cwd: repo, stdin: names });
  const histories = new Map<string, Entry[]>();
  for (const [index, text] of blobs(batch).entries()) {
    if (text === undefined) continue;
    const status = parse(text) as JobStatus;
    const history = histories.get(status.name) ?? [];
    history.push({ commit: wanted[index]?.commit ?? "", status });
    histories.set(status.name, history);
  }
  return histories;
}

/** The objects in the output of `git cat-file --batch`, in order; undefined: missing. */
function blobs(batch: string): (string | undefined)[] {
  const bytes = new TextEncoder().encode(batch);
  const decoder = new TextDecoder();
  const found: (string | undefined)[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at);
    const header = decoder.decode(bytes.subarray(at, end)).split(" ");
    at = end + 1;
    if (header[1] === "missing") {
      found.push(undefined);
      continue;
    }
    const size = Number(header[2]);
    found.push(decoder.decode(bytes.subarray(at, at + size)));
    at += size + 1;
  }
  return found;
}
