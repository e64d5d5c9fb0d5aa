/**
 * Dependencies across manifests: names that nobody has, and jobs that wait for themselves.
 *
 * All jobs of one manifest wait for the same, so a manifest is one point of the graph, whether
 * somebody waits for one of its jobs or for all. Time and memory grow with jobs and dependencies.
 *
 * @example
 * // jobs/a.yaml: `after: b`; jobs/b.yaml: `after: a`
 * checkDependencies(jobs, () => false).cycles.get("a"); // "it waits for itself: a → b → a"
 *
 * @module
 */
import { plain } from "../cluster/show.ts";
import { didYouMean } from "../cluster/suggest.ts";
import type { JobSpec } from "../jobs/job.ts";
import type { Problem } from "../jobs/problem.ts";
import { problem } from "./files.ts";

/** A job and the file that it is from. */
interface Declared {
  readonly spec: Pick<JobSpec, "name" | "parent" | "after" | "schedule">;
  readonly file: string;
}

/** What is wrong with dependencies. */
export interface Dependencies {
  readonly problems: readonly Problem[];
  /** Names that nobody has: their jobs may come, or be known from before. */
  readonly warnings: readonly Problem[];
  /** Why a job can never start, for those that wait for themselves. */
  readonly cycles: ReadonlyMap<string, string>;
}

/** One manifest. */
interface Point {
  readonly name: string;
  readonly file: string;
  readonly jobs: string[];
  /** Names as written. */
  readonly after: readonly string[];
  readonly scheduled: boolean;
}

/** Most names for which a likely one is looked for: that takes time. */
const MAX_HINTS = 20;
/** Most names of a cycle that are shown. */
const MAX_SHOWN = 6;

/** Checks all jobs together. `isBroken` tells names that a manifest which does not parse may have. */
export function checkDependencies(
  jobs: Iterable<Declared>,
  isBroken: (name: string) => boolean,
): Dependencies {
  const points = new Map<string, Point>();
  const byJob = new Map<string, Point>();
  for (const { spec, file } of jobs) {
    const name = spec.parent ?? spec.name;
    const point = points.get(name) ?? {
      name,
      file,
      jobs: [],
      after: (spec.after ?? []).map(({ job }) => job),
      scheduled: spec.schedule !== undefined,
    };
    points.set(name, point);
    point.jobs.push(spec.name);
    byJob.set(spec.name, point);
  }
  const find = (name: string) => points.get(name) ?? byJob.get(name) ?? runOf(name, points);
  const isKnown = (name: string) => find(name) !== undefined || isBroken(name);
  const warnings = strangers(points, byJob, isKnown);
  const problems: Problem[] = [];
  const cycles = new Map<string, string>();
  const edges = (point: Point) => point.after.flatMap((name) => find(name) ?? []);
  for (const members of circles([...points.values()], edges)) {
    const path = shownPath(shortestCircle(members, edges));
    const [first] = members;
    const hint = "take one of these out of its `after:`";
    problems.push(problem(first!.file, `it waits for itself: \`after: ${path}\``, hint));
    for (const point of members) {
      for (const job of point.jobs) cycles.set(job, `it waits for itself: ${path}`);
    }
  }
  return { problems, warnings, cycles };
}

/** The manifest that `name` would be a run of: `nightly` for `nightly-20261201-0300`. */
function runOf(name: string, points: ReadonlyMap<string, Point>): Point | undefined {
  const point = points.get(/^(.+)-\d{8}-\d{4}$/.exec(name)?.[1] ?? "");
  return point?.scheduled ? point : undefined;
}

function strangers(
  points: ReadonlyMap<string, Point>,
  byJob: ReadonlyMap<string, Point>,
  isKnown: (name: string) => boolean,
): Problem[] {
  const problems: Problem[] = [];
  const names = () => [...new Set([...points.keys(), ...byJob.keys()])];
  for (const { file, after } of points.values()) {
    for (const name of after) {
      if (isKnown(name)) continue;
      const known = problems.length < MAX_HINTS ? names() : [];
      const hint = didYouMean(name, known) ?? "it waits until there is one";
      problems.push(problem(file, `\`after\`: no job is named \`${plain(name)}\``, hint));
    }
  }
  return problems;
}

/**
 * Points that wait for each other or for themselves, in the order of the points: Tarjan's strongly
 * connected components, without recursion, since a chain may be as long as there are jobs.
 */
function circles(points: readonly Point[], edges: (point: Point) => readonly Point[]): Point[][] {
  const seen = new Map<Point, { index: number; low: number; open: boolean }>();
  const order = new Map(points.map((point, i) => [point, i]));
  const stack: Point[] = [];
  const found: Point[][] = [];
  const enter = (point: Point) => {
    const mark = { index: seen.size, low: seen.size, open: true };
    seen.set(point, mark);
    stack.push(point);
    return { point, mark, next: edges(point), at: 0 };
  };
  for (const root of points) {
    const path = seen.has(root) ? [] : [enter(root)];
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const to = top.next[top.at++];
      if (to) {
        const known = seen.get(to);
        if (!known) path.push(enter(to));
        else if (known.open) top.mark.low = Math.min(top.mark.low, known.index);
        continue;
      }
      path.pop();
      const below = path.at(-1);
      if (below) below.mark.low = Math.min(below.mark.low, top.mark.low);
      if (top.mark.low < top.mark.index) continue;
      const group = stack.splice(stack.lastIndexOf(top.point));
      for (const point of group) seen.get(point)!.open = false;
      if (group.length > 1 || top.next.includes(top.point)) found.push(group);
    }
  }
  const place = (point: Point) => order.get(point) ?? 0;
  for (const group of found) group.sort((a, b) => place(a) - place(b));
  return found.sort(([a], [b]) => place(a!) - place(b!));
}

/** The shortest way from the first member back to itself. */
function shortestCircle(
  members: readonly Point[],
  edges: (point: Point) => readonly Point[],
): Point[] {
  const inside = new Set(members);
  const first = members[0]!;
  const cameFrom = new Map<Point, Point>();
  const queue = [first];
  for (const point of queue) {
    for (const to of edges(point)) {
      if (to === first) {
        const way = [point];
        for (let at = point; at !== first;) way.push(at = cameFrom.get(at) ?? first);
        return [...way.reverse(), first];
      }
      if (!inside.has(to) || cameFrom.has(to)) continue;
      cameFrom.set(to, point);
      queue.push(to);
    }
  }
  return [first];
}

function shownPath(path: readonly Point[]): string {
  const names = path.map(({ name }) => name);
  const shown = names.length <= MAX_SHOWN
    ? names
    : [...names.slice(0, MAX_SHOWN - 2), "…", ...names.slice(-1)];
  return shown.join(" → ");
}
