/**
 * Draws the faults of a scenario.
 *
 * @module
 */
import type { Random } from "./random.ts";
import type {
  Fault,
  FaultKind,
  JobDoc,
  ScenarioController,
  ScenarioJob,
  ScenarioNode,
} from "./scenario.ts";

/** What faults can be about. */
export interface Setting {
  readonly nodes: readonly ScenarioNode[];
  readonly jobs: readonly ScenarioJob[];
  readonly controllers: readonly ScenarioController[];
  readonly calmAtMs: number;
}

/** How often each kind is drawn; what a product fault hides is 0 until that is mended. */
const WEIGHTS: Readonly<Record<FaultKind["kind"], number>> = {
  "node-off": 4,
  reboot: 4,
  cut: 10,
  "cut-all": 1,
  slow: 3,
  drop: 8,
  "disk-full": 2,
  "gpu-lost": 2,
  foreign: 4,
  snatch: 2,
  "gpu-tool": 2,
  "kill-supervisor": 4,
  "kill-rank": 4,
  "node-skew": 1,
  push: 6,
  "remote-away": 3,
  "mirror-lost": 1,
  "desired-rewound": 2,
  "desired-deleted": 1,
  "desired-emptied": 1,
  "status-deleted": 1,
  "status-rewound": 1,
  "lease-deleted": 1,
  "lease-rewound": 1,
  broken: 4,
  edit: 8,
  delete: 4,
  move: 2,
  "node-leaves": 2,
  cordon: 2,
  crash: 10,
  kill: 4,
  "stop-controller": 1,
  pause: 4,
  "controller-skew": 1,
};

const KINDS = Object.keys(WEIGHTS) as FaultKind["kind"][];

/** Draws `count` faults, in the order of their times. */
export function faultsFor(random: Random, setting: Setting, count: number): Fault[] {
  const weights = random.chance(0.5) ? themed(random) : WEIGHTS;
  const faults: Fault[] = [];
  for (let i = 0; i < count; i++) {
    const atMs = random.int(0, setting.calmAtMs - 1);
    faults.push({ atMs, ...draw(random, setting, random.weighted(weights)) });
    // Faults come in heaps: the second hits what the first has left half done.
    while (random.chance(0.3)) {
      const soonMs = Math.min(atMs + random.int(0, 5000), setting.calmAtMs - 1);
      faults.push({ atMs: soonMs, ...draw(random, setting, random.weighted(weights)) });
    }
  }
  if (random.chance(0.1)) faults.push(...forgotten(random, setting));
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** The status branch goes while a node is away: what runs there is known to nobody. */
function forgotten(random: Random, setting: Setting): Fault[] {
  const atMs = random.int(0, setting.calmAtMs - 10_000);
  const away = { ways: ["request", "reply"] as const, forMs: random.int(30_000, 600_000) };
  return [
    { atMs, kind: "cut", ...node(random, setting), ...away },
    { atMs: atMs + random.int(0, 5000), kind: "status-deleted" },
  ];
}

/** A few kinds, often: so that rare combinations do occur. */
function themed(random: Random): Record<FaultKind["kind"], number> {
  const some = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
  for (let i = 0; i < 4; i++) {
    const kind = random.pick(KINDS);
    if (WEIGHTS[kind] > 0) some[kind] = 1;
  }
  some.crash = 1;
  return some as Record<FaultKind["kind"], number>;
}

type Drawn<K extends FaultKind["kind"]> = Extract<FaultKind, { kind: K }>;
type Draw<K extends FaultKind["kind"]> = (random: Random, setting: Setting) => Omit<
  Drawn<K>,
  "kind"
>;

function draw(random: Random, setting: Setting, kind: FaultKind["kind"]): FaultKind {
  return { kind, ...(DRAWS[kind] as Draw<typeof kind>)(random, setting) } as FaultKind;
}

/** From seconds to many minutes, short ones more often. */
function span(random: Random, { calmAtMs }: Setting): number {
  return Math.round(1000 * Math.min(calmAtMs / 2000, 1800) ** random.next());
}

function node(random: Random, { nodes }: Setting): { readonly node: string } {
  return { node: random.pick(nodes).name };
}

function card(random: Random, { nodes }: Setting) {
  const withCards = nodes.filter(({ gpus }) => gpus > 0);
  const { name, gpus } = random.pick(withCards.length > 0 ? withCards : nodes);
  return { node: name, index: random.int(0, Math.max(gpus - 1, 0)) };
}

function job(random: Random, { jobs }: Setting): { readonly job: string } {
  return { job: random.pick(jobs).name };
}

function controller(random: Random, { controllers }: Setting): { readonly controller: number } {
  return { controller: random.int(0, controllers.length - 1) };
}

function change(random: Random): Partial<JobDoc> {
  switch (random.weighted({ state: 5, version: 3, priority: 1, retries: 1, rerun: 2, gpus: 1 })) {
    case "state":
      return { state: random.pick(["running", "running", "suspended", "cancelled"] as const) };
    case "version":
      return { version: random.int(2, 5) };
    case "priority":
      return { priority: random.int(-50, 50) };
    case "retries":
      return { maxRetries: random.int(0, 5) };
    case "rerun":
      return { rerun: random.int(1, 3) };
    case "gpus":
      return { gpus: random.int(1, 2) };
  }
}

const NOBODY = (): Record<never, never> => ({});

const DRAWS: { readonly [K in FaultKind["kind"]]: Draw<K> } = {
  "node-off": (r, s) => ({ ...node(r, s), forMs: span(r, s) }),
  reboot: (r, s) => node(r, s),
  cut: (r, s) => ({
    ...node(r, s),
    ways: r.pick([["request", "reply"], ["request"], ["reply"]] as const),
    forMs: span(r, s),
  }),
  "cut-all": (r, s) => ({ forMs: span(r, s) }),
  slow: (r, s) => ({
    ...node(r, s),
    latencyMs: r.pick([500, 2000, 4000, 60_000]),
    forMs: span(r, s),
  }),
  drop: (r, s) => ({
    op: r.weighted({ launch: 4, stop: 3, clean: 1, putCode: 1 }),
    loss: r.pick(["request", "reply"] as const),
    ...(r.chance(0.5) ? node(r, s) : {}),
  }),
  "disk-full": (r, s) => ({ ...node(r, s), forMs: span(r, s) }),
  "gpu-lost": (r, s) => card(r, s),
  foreign: (r, s) => ({
    ...card(r, s),
    forMs: span(r, s),
    ...(r.chance(0.3) ? { reusesPid: true } : {}),
  }),
  snatch: (r, s) => ({ ...controller(r, s), forMs: span(r, s) }),
  "gpu-tool": (r, s) => ({ ...node(r, s), forMs: span(r, s) }),
  "kill-supervisor": (r, s) => ({ ...node(r, s), leftover: r.pick([0, 1, 8]) }),
  "kill-rank": (r, s) => node(r, s),
  "node-skew": (r, s) => ({ ...node(r, s), skewMs: r.int(-300_000, 300_000) }),
  push: (r) => ({
    fault: r.pick(
      [
        ...["lost-race", "timeout-undone", "timeout-done", "unanswered-undone"] as const,
        ...["unanswered-done", "timeout-late"] as const,
      ],
    ),
    branch: r.pick(["status", "status", "status", "lease"] as const),
  }),
  "remote-away": (r, s) => ({ ...(r.chance(0.5) ? controller(r, s) : {}), forMs: span(r, s) }),
  "mirror-lost": (r, s) => controller(r, s),
  "desired-rewound": (r, s) => ({ back: r.int(1, 6), forMs: span(r, s) }),
  "desired-deleted": (r, s) => ({ forMs: span(r, s) }),
  "desired-emptied": (r, s) => ({ forMs: span(r, s) }),
  "status-deleted": NOBODY,
  "status-rewound": (r) => ({ back: r.int(1, 10) }),
  "lease-deleted": NOBODY,
  "lease-rewound": (r) => ({ back: r.int(1, 5) }),
  broken: (r, s) => ({
    what: r.pick(["cluster", "defaults", job(r, s), job(r, s), job(r, s)] as const),
    forMs: span(r, s),
  }),
  edit: (r, s) => ({ ...job(r, s), change: change(r) }),
  delete: (r, s) => ({ ...job(r, s), ...(r.chance(0.5) ? { forMs: span(r, s) } : {}) }),
  move: (r, s) => job(r, s),
  "node-leaves": (r, s) => ({ ...node(r, s), forMs: span(r, s) }),
  cordon: (r, s) => ({ ...node(r, s), forMs: span(r, s) }),
  crash: (r, s) => ({
    ...controller(r, s),
    effect: r.pick([0, 0, 1, 2, 3, 5, 8]),
    when: r.pick(["before", "after"] as const),
  }),
  kill: (r, s) => controller(r, s),
  "stop-controller": (r, s) => controller(r, s),
  pause: (r, s) => ({ ...controller(r, s), forMs: span(r, s) }),
  "controller-skew": (r, s) => ({ ...controller(r, s), skewMs: r.int(-600_000, 600_000) }),
};
