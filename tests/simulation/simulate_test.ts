import assert from "node:assert/strict";
import type { Fleet, Outcome } from "../../reconciler/ports.ts";
import { generate, isLarge } from "./generate.ts";
import { type Sabotage, simulate } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { describeFailure } from "./tally.ts";

/** Two machines, one job; each machine is cut off for a while, then the job is cancelled. */
const PLAIN: Scenario = {
  seed: 1,
  nodes: [{ name: "n1", gpus: 2 }, { name: "n2", gpus: 2 }],
  policy: { pollS: 10, nodeLostAfterS: 30, maxStopsPerPass: 10, maxLaunchesPerPass: 100 },
  jobs: [{
    name: "a",
    atMs: 0,
    doc: { nodes: 1, gpus: 2, maxRetries: 3, graceS: 5 },
    behaviour: { durationMs: 3_600_000, sharedCheckpoints: true },
  }],
  controllers: [{ standby: false, startAtMs: 0, restartMs: 5000 }],
  faults: [
    { atMs: 60_000, kind: "cut", node: "n1", ways: ["request", "reply"], forMs: 120_000 },
    { atMs: 240_000, kind: "cut", node: "n2", ways: ["reply"], forMs: 120_000 },
    { atMs: 500_000, kind: "edit", job: "a", change: { state: "cancelled" } },
  ],
  calmAtMs: 1_200_000,
};

Deno.test("whatever goes wrong in some seeds, every invariant holds", async () => {
  const failures: string[] = [];
  let faults = 0;
  for (let seed = 1; seed <= 40; seed++) {
    if (isLarge(seed)) continue;
    const result = await simulate(generate(seed));
    for (const count of Object.values(result.stats.faults)) faults += count;
    if (result.violation) failures.push(describeFailure({ seed, result }));
  }
  assert.deepEqual(failures, []);
  assert.ok(faults > 200, `only ${faults} faults: this proves little`);
});

Deno.test("the same seed gives the same run, and another seed another one", async () => {
  const runs = [];
  for (const seed of [7, 7, 8]) runs.push((await simulate(generate(seed))).stats);
  assert.deepEqual(runs[0], runs[1]);
  assert.notEqual(runs[0]?.digest, runs[2]?.digest);
});

Deno.test("a seed's scenario is plain data", () => {
  for (const seed of [3, 63]) {
    const scenario = generate(seed);
    assert.deepEqual(JSON.parse(JSON.stringify(scenario)), scenario);
  }
});

/** A fleet with one of its operations replaced. */
function but<K extends keyof Fleet>(name: K, replace: (fleet: Fleet) => Fleet[K]): Sabotage {
  return {
    fleet: (fleet) =>
      new Proxy(fleet, {
        get(target, key) {
          const value: unknown = key === name ? replace(target) : Reflect.get(target, key);
          return typeof value === "function" ? value.bind(target) : value;
        },
      }),
  };
}

const OK: Outcome<void> = { kind: "ok", value: undefined };

const SABOTAGE: Readonly<Record<string, { sabotage: Sabotage; invariants: readonly string[] }>> = {
  "nodes that say they stop runs, and do not": {
    sabotage: but("stop", () => () => Promise.resolve(OK)),
    invariants: ["one-live-attempt", "leaves-nothing"],
  },
  "a session that takes silence for an idle node": {
    sabotage: but("observe", (fleet) => async (queries) => {
      const seen = await fleet.observe(queries);
      const known = [...seen.values()].find((node) => node.state === "reachable");
      return new Map([...seen].map(([name, node]) => [
        name,
        node.state === "unknown" && known ? { ...known, node: name, runs: [] } : node,
      ]));
    }),
    invariants: ["one-live-attempt", "stop-has-cause", "ends-are-true"],
  },
  "a push that is taken for done before it is": {
    sabotage: {
      repository: (repository) =>
        new Proxy(repository, {
          get(target, key) {
            if (key === "commitStatus") {
              return () => Promise.resolve({ kind: "ok", value: "0".repeat(40) });
            }
            const value: unknown = Reflect.get(target, key);
            return typeof value === "function" ? value.bind(target) : value;
          },
        }),
    },
    invariants: ["recorded-first"],
  },
};

for (const [name, { sabotage, invariants }] of Object.entries(SABOTAGE)) {
  Deno.test(`the oracle notices ${name}`, async () => {
    const { violation } = await simulate(PLAIN, sabotage);
    assert.ok(violation, "it noticed nothing");
    assert.ok(invariants.includes(violation.invariant), JSON.stringify(violation));
  });
}

Deno.test("without sabotage the same scenario is fine", async () => {
  const { violation, stats } = await simulate(PLAIN);
  assert.equal(violation, undefined);
  assert.ok(stats.launches >= 2);
});
