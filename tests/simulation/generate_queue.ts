/**
 * Draws what makes a queue interesting: people with limits, queues with quotas, preemption, and
 * jobs of all shapes. A scenario has some of it, or nothing.
 *
 * @module
 */
import type { Random } from "./random.ts";
import type {
  Dependency,
  Fault,
  JobDoc,
  Scenario,
  ScenarioJob,
  ScenarioPolicy,
  ScenarioScheduling,
} from "./scenario.ts";

/** How often a scenario has each. */
const THEMES = {
  queues: 0.3,
  users: 0.3,
  preemption: 0.4,
  policy: 0.25,
  unlike: 0.2,
  elastic: 0.3,
  share: 0.3,
  matrix: 0.2,
  schedule: 0.2,
  after: 0.3,
  times: 0.25,
  lengths: 0.25,
} as const;

type Theme = keyof typeof THEMES;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The scenario with more in it. */
export function enrich(scenario: Scenario, random: Random): Scenario {
  if (random.chance(0.3)) return scenario;
  const themes = new Set(
    (Object.keys(THEMES) as Theme[]).filter((theme) => random.chance(THEMES[theme])),
  );
  const nodes = themes.has("unlike")
    ? scenario.nodes.map((node) => random.chance(0.4) ? { ...node, old: true as const } : node)
    : scenario.nodes;
  const policy = policyFor(random, themes, scenario.policy);
  const jobs: ScenarioJob[] = [];
  for (const job of scenario.jobs) {
    jobs.push({ ...job, doc: docFor(random, themes, scenario, policy, job, jobs) });
  }
  const runs = jobs.filter(({ doc }) => doc.schedule);
  const faults = scenario.faults.map((fault) => faultFor(random, fault, runs));
  return { ...scenario, nodes, policy, jobs, faults };
}

function policyFor(
  random: Random,
  themes: ReadonlySet<Theme>,
  plain: ScenarioPolicy,
): ScenarioPolicy {
  const policy: Mutable<ScenarioPolicy> = { ...plain };
  if (themes.has("queues")) {
    const isShared = random.chance(0.7);
    policy.queues = ["default", "fast", "free"].map((name) => {
      const quota = isShared && random.chance(0.7) ? random.int(1, 6) : undefined;
      return {
        name,
        ...(random.chance(0.5) ? { priority: random.int(-10, 10) } : {}),
        ...(quota === undefined ? {} : { quota }),
        ...(random.chance(0.25) ? { maxGpus: (quota ?? 0) + random.int(1, 6) } : {}),
        ...(quota !== undefined && random.chance(0.15) ? { borrow: false as const } : {}),
        ...(random.chance(0.2) ? { preemptible: false as const } : {}),
      };
    });
  }
  if (themes.has("users")) {
    policy.groups = [{ name: "lab", ...(random.chance(0.5) ? { maxGpus: random.int(2, 8) } : {}) }];
    policy.users = ["ada", "bob", "cyn"].map((name) => ({
      name,
      ...(random.chance(0.6) ? { maxGpus: random.int(1, 8) } : {}),
      ...(random.chance(0.5) ? { groups: ["lab"] } : {}),
    }));
  }
  if (themes.has("preemption") || themes.has("policy") || themes.has("queues")) {
    policy.scheduling = schedulingFor(random, themes);
  }
  return policy;
}

function schedulingFor(random: Random, themes: ReadonlySet<Theme>): ScenarioScheduling {
  const policies = ["default", "fifo", "priority", "fairshare", "backfill"] as const;
  const protectS = random.pick([0, 30, 30, undefined]);
  return {
    ...(themes.has("policy") ? { policy: random.pick(policies) } : {}),
    ...(themes.has("preemption") ? { preempt: true } : {}),
    ...(random.chance(0.15) ? { reclaim: false } : {}),
    ...(protectS === undefined ? {} : { protectS }),
    ...(random.chance(0.25) ? { protectPriority: random.int(0, 50) } : {}),
  };
}

function docFor(
  random: Random,
  themes: ReadonlySet<Theme>,
  { calmAtMs }: Scenario,
  policy: ScenarioPolicy,
  { doc: plain, atMs }: ScenarioJob,
  earlier: readonly ScenarioJob[],
): JobDoc {
  const doc: Mutable<JobDoc> = { ...plain };
  const some = (theme: Theme, chance: number) => themes.has(theme) && random.chance(chance);
  if (policy.queues && random.chance(0.8)) doc.queue = random.pick(policy.queues).name;
  if (policy.users && random.chance(0.8)) doc.owner = random.pick(policy.users).name;
  if (themes.has("preemption")) doc.priority = random.pick([-10, 0, 0, 0, 20, 60]);
  if (some("unlike", 0.3)) doc.mixed = true;
  if (some("share", 0.5)) doc.share = random.pick([0.5, 0.5, 0.25, 0.3, 0.7]);
  else if (some("elastic", 0.4)) doc.maxNodes = doc.nodes + random.int(1, 2);
  if (some("lengths", 0.5)) doc.maxDurationS = random.pick([60, 300, 1800, 7200]);
  if (some("matrix", 0.3)) {
    doc.matrix = random.int(2, 4);
    if (random.chance(0.4)) doc.maxParallel = random.int(1, 2);
  } else if (some("schedule", 0.3)) {
    doc.schedule = {
      everyMin: calmAtMs > 5 * 3_600_000 ? 240 : random.pick([5, 10, 15, 30]),
      concurrency: random.pick(["forbid", "forbid", "replace", "allow"] as const),
      keep: random.int(0, 3),
      startWithinS: random.pick([60, 3600]),
    };
  }
  if (some("times", 0.3)) doc.startAfterS = timeAfter(random, atMs, calmAtMs);
  if (some("times", 0.2)) {
    doc.deadlineS = (doc.startAfterS ?? 0) + timeAfter(random, atMs, calmAtMs);
  }
  if (some("after", 0.4)) {
    const after = dependenciesOn(random, earlier);
    if (after.length > 0) doc.after = after;
  }
  return doc;
}

/** Some time from when a job is first pushed to a while after the calm. */
function timeAfter(random: Random, atMs: number, calmAtMs: number): number {
  return random.int(Math.floor(atMs / 1000) + 1, Math.ceil(1.1 * calmAtMs / 1000) + 60);
}

/** Upon jobs that are there before it, so that nobody waits for himself. */
function dependenciesOn(random: Random, earlier: readonly ScenarioJob[]): Dependency[] {
  const others = earlier.filter(({ doc }) => doc.schedule === undefined);
  const names = new Set<string>();
  for (let i = random.int(1, 2); i > 0 && others.length > 0; i--) {
    names.add(random.chance(0.03) ? "nobody" : random.pick(others).name);
  }
  return [...names].map((job) => ({
    job,
    when: random.pick(["success", "success", "failure", "any", "any"] as const),
  }));
}

/** Cordons of all kinds; and schedules are edited more often than others. */
function faultFor(random: Random, fault: Fault, scheduled: readonly ScenarioJob[]): Fault {
  if (fault.kind === "edit" && scheduled.length > 0 && random.chance(0.5)) {
    const change = random.pick([{ rerun: 5 }, { version: 7 }, fault.change]);
    return { ...fault, job: random.pick(scheduled).name, change };
  }
  if (fault.kind !== "cordon") return fault;
  return {
    ...fault,
    ...(random.chance(0.6) ? { drain: true as const } : {}),
    ...(random.chance(0.3) ? { expires: true as const } : {}),
    ...(random.chance(0.25) ? { index: random.int(0, 1) } : {}),
  };
}
