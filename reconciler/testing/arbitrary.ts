/**
 * Random small worlds for property tests: three machines, four jobs, and everything that can be
 * wrong with them, contradictions between the three sources included.
 *
 * @module
 */
import fc from "fast-check";
import type { GpuOwner } from "../../cluster/gpu.ts";
import type { RunRecord } from "../../jobs/run.ts";
import { type Attempt, type JobStatus, PHASES } from "../../jobs/status.ts";
import type { PlanInput } from "../model.ts";
import type { NodeObservation } from "../ports.ts";
import {
  ago,
  attempt,
  broken,
  ended,
  gpu,
  job,
  NOW,
  reachable,
  run,
  status,
  STOPPED,
  unknown,
  world,
} from "./build.ts";

const NODES = ["n1", "n2", "n3"];
const JOBS = ["a", "b", "c", "d"];

const gang = fc.shuffledSubarray(NODES, { minLength: 1, maxLength: 2 });
const age = fc.constantFrom(0, 1000, 10_000, 59_000, 61_000, 900_000);

const changes: fc.Arbitrary<Partial<RunRecord>> = fc.oneof(
  fc.constant({}),
  fc.constant({ state: "starting" as const, startedAtMs: null, processes: 0 }),
  fc.constant({ state: "stopping" as const, stop: STOPPED }),
  fc.constantFrom(0, 1, null).map((code) => ended(code)),
  fc.constant({ ...ended(1, { reason: "stopped" as const }), stop: STOPPED }),
  fc.constant(ended(null, { reason: "start-failed" })),
  fc.constant({ state: "lost" as const, processes: 0 }),
  fc.constant({ state: "lost" as const, processes: 3 }),
  fc.constant({ state: "lost" as const, processes: 0, bootId: "boot-0" }),
  fc.constant({ meta: { commit: "", specDigest: "", nodes: [], gpus: [] } }),
);

const someRun = fc.record({
  name: fc.constantFrom(...JOBS, "ghost"),
  number: fc.integer({ min: 1, max: 4 }),
  nodes: gang,
  changes,
});

type SomeRun = typeof someRun extends fc.Arbitrary<infer T> ? T : never;

const owner: fc.Arbitrary<readonly GpuOwner[]> = fc.constantFrom<readonly GpuOwner[]>(
  [],
  [],
  [],
  [{ kind: "foreign" }],
  [{ kind: "unseen" }],
);

/** Runs stand on the machines that their gang names; one machine holds one run of a name. */
function nodeWith(
  name: string,
  runs: readonly SomeRun[],
  owners: readonly (readonly GpuOwner[])[],
) {
  const here = new Map<string, RunRecord>();
  for (const { name: jobName, number, nodes, changes } of runs) {
    const rank = nodes.indexOf(name);
    if (rank >= 0) here.set(`${jobName}/${number}`, run(jobName, number, rank, nodes, changes));
  }
  return reachable(name, {
    gpus: owners.map((users, index) => gpu(name, index, users)),
    runs: [...here.values()],
  });
}

const observation = (runs: readonly SomeRun[]) => (name: string): fc.Arbitrary<NodeObservation> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.array(owner, { maxLength: 3 }).map((o) => nodeWith(name, runs, o)) },
    { weight: 1, arbitrary: age.map((ms) => unknown(name, ms)) },
    {
      weight: 1,
      arbitrary: fc.constant(
        { ...nodeWith(name, runs, []), gpus: undefined, gpuProblem: "nvidia-smi failed" },
      ),
    },
  );

const someAttempt: fc.Arbitrary<Partial<Attempt>> = fc.record({
  end: fc.constantFrom(undefined, undefined, "succeeded", "failed", "stopped", "node-lost"),
  startedAt: fc.constantFrom(undefined, ago(9000)),
  recordedAt: age.map(ago),
  specDigest: fc.constantFrom("d1", "d2"),
}).map((given) =>
  Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)) as Partial<Attempt>
);

const someStatus = (name: string): fc.Arbitrary<JobStatus> =>
  fc.record({
    phase: fc.constantFrom(...PHASES),
    reason: fc.constantFrom("New", "Stopping", "ManifestDeleted", "StatusLost", "Resources"),
    retries: fc.integer({ min: 0, max: 5 }),
    rerun: fc.integer({ min: 0, max: 1 }),
    later: fc.boolean(),
    attempts: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }).chain((numbers) =>
      fc.tuple(
        ...numbers.sort().map((number) =>
          fc.tuple(gang, someAttempt).map(([nodes, given]) => attempt(number, nodes, given))
        ),
      )
    ),
  }).map(({ later, ...given }) =>
    status(name, { ...given, ...(later ? { notBefore: new Date(NOW + 5000).toISOString() } : {}) })
  );

const someJob = (name: string) =>
  fc.record({
    state: fc.constantFrom("running", "running", "suspended", "cancelled"),
    specDigest: fc.constantFrom("d1", "d2"),
    rerun: fc.integer({ min: 0, max: 1 }),
    priority: fc.integer({ min: 0, max: 1 }),
    resources: fc.record({
      nodes: fc.integer({ min: 1, max: 2 }),
      gpusPerNode: fc.integer({ min: 1, max: 2 }),
    }),
    maxDurationMs: fc.constantFrom(5000, 900_000),
  }).map((given) => job(name, given));

/** Any state of the planner's input, probable or not. */
export const anyInput: fc.Arbitrary<PlanInput> = fc.record({
  runs: fc.array(someRun, { maxLength: 5 }),
  jobs: fc.tuple(...JOBS.map((name) => fc.option(someJob(name)))),
  history: fc.tuple(...JOBS.map((name) => fc.option(someStatus(name)))),
  invalid: fc.subarray(JOBS, { maxLength: 1 }),
  unreadable: fc.subarray(JOBS, { maxLength: 1 }),
  lost: fc.boolean(),
  checkpointsOf: fc.subarray(JOBS),
  maxStopsPerPass: fc.integer({ min: 0, max: 3 }),
}).chain((given) =>
  fc.tuple(...NODES.map(observation(given.runs))).map((nodes) => {
    const jobs = given.jobs.flatMap((j) => j && !given.invalid.includes(j.spec.name) ? [j] : []);
    return world({
      nodes,
      jobs,
      history: given.lost
        ? []
        : given.history.flatMap((s) => s && !given.unreadable.includes(s.name) ? [s] : []),
      invalid: Object.fromEntries(given.invalid.map((name) => [name, broken(`jobs/${name}.yaml`)])),
      unreadable: given.lost
        ? {}
        : Object.fromEntries(given.unreadable.map((name) => [name, "torn"])),
      lost: given.lost,
      checkpointsOf: given.checkpointsOf,
      policy: { maxStopsPerPass: given.maxStopsPerPass },
    });
  })
);

/** Freezes everything that can be reached; maps and sets are made to throw when changed. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  const forbid = () => {
    throw new Error("the input was changed");
  };
  if (value instanceof Map || value instanceof Set) {
    for (const inner of value.values()) deepFreeze(inner);
    Object.assign(value, { set: forbid, add: forbid, delete: forbid, clear: forbid });
  }
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
