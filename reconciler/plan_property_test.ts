import assert from "node:assert/strict";
import fc from "fast-check";
import type { NodeName } from "../cluster/node.ts";
import type { JobStatus, PlacedRank } from "../jobs/status.ts";
import { parseStatus } from "./history.ts";
import type { Plan, PlanInput } from "./model.ts";
import { plan } from "./plan.ts";
import type { ReachableNode } from "./ports.ts";
import { renderJob } from "./status_files.ts";
import { anyInput, deepFreeze } from "./testing/arbitrary.ts";
import { isAlive } from "./view.ts";

const RUNS = { numRuns: 1000 };

function reachableNode(input: PlanInput, name: string): ReachableNode {
  const seen = input.observed.nodes.get(name as NodeName);
  if (seen?.state !== "reachable") throw new Error(`something is launched on ${name}`);
  return seen;
}

function check(property: (input: PlanInput, result: Plan) => void): void {
  fc.assert(fc.property(anyInput, (input) => property(input, plan(input))), RUNS);
}

/** The next pass over the same machines, with what this one recorded. */
function after(input: PlanInput, result: Plan): PlanInput {
  const history = { ...input.history, head: "h2", jobs: result.statuses, lost: false };
  return { ...input, history };
}

Deno.test("no history, wish and observation together make the planner throw or change its input", () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      let now = deepFreeze(input);
      for (let pass = 0; pass < 4; pass++) now = deepFreeze(after(now, plan(now)));
    }),
    RUNS,
  );
});

Deno.test("no GPU is given to two jobs, to a job beside a run, or to one beside a foreign process", () => {
  check((input, result) => {
    const given = new Set<string>();
    for (const action of result.actions) {
      if (action.kind !== "launch") continue;
      for (const rank of action.ranks) {
        const { node, gpus } = action.attempt.placement[rank] as PlacedRank;
        const seen = reachableNode(input, node);
        for (const uuid of gpus) {
          assert.ok(!given.has(`${node} ${uuid}`), `${uuid} is given twice`);
          given.add(`${node} ${uuid}`);
          const gpu = seen.gpus?.find((g) => g.uuid === uuid);
          assert.deepEqual(gpu?.processes, [], `${uuid} is in use`);
          const run = seen.runs.find((r) => isAlive(r) && r.gpus.includes(uuid));
          assert.equal(run, undefined, `${uuid} holds ${run?.job}/${run?.attempt}`);
        }
      }
    }
    const booked = new Set<string>();
    for (const status of result.statuses.values()) {
      const last = status.attempts.at(-1);
      if (last?.end !== undefined || !last) continue;
      // Only what this pass records: a history made up at random may book a GPU twice.
      const before = input.history.jobs.get(status.name)?.attempts ?? [];
      if (before.some(({ attempt }) => attempt === last.attempt)) continue;
      if (last.because.startsWith("found")) continue;
      for (const { node, gpus } of last.placement) {
        for (const uuid of gpus) {
          assert.ok(!booked.has(`${node} ${uuid}`), `${uuid} is booked twice`);
          booked.add(`${node} ${uuid}`);
        }
      }
    }
  });
});

Deno.test("nothing is sent to a node that cannot be asked", () => {
  check((input, result) => {
    for (const action of result.actions) {
      if (action.kind === "launch") continue;
      assert.equal(input.observed.nodes.get(action.node)?.state, "reachable");
    }
  });
});

Deno.test("a job with a run in sight gets no new attempt", () => {
  check((input, result) => {
    for (const action of result.actions) {
      if (action.kind !== "launch") continue;
      const name = action.job.spec.name;
      for (const seen of input.observed.nodes.values()) {
        if (seen.state !== "reachable") continue;
        for (const run of seen.runs) {
          if (run.job !== name || !isAlive(run)) continue;
          const told = result.actions.some((a) => a.kind === "stop" && a.run.job === name);
          assert.ok(
            run.attempt === action.attempt.attempt || told || run.state === "stopping",
            `${name}/${run.attempt} lives beside ${action.attempt.attempt}`,
          );
          const recorded = input.history.jobs.get(name)?.attempt ?? 0;
          assert.ok(action.attempt.attempt <= Math.max(recorded, run.attempt), "no new attempt");
        }
      }
    }
  });
});

Deno.test("an invalid manifest stops only what cannot go on by itself", () => {
  check((input, result) => {
    for (const action of result.actions) {
      if (action.kind !== "stop" || !input.desired.invalid.has(action.run.job)) continue;
      assert.ok(
        !/manifest|maxDuration/.test(action.because),
        `${action.run.job} is stopped: ${action.because}`,
      );
    }
  });
});

Deno.test("only a gang that exited with 0 everywhere succeeds", () => {
  check((input, result) => {
    for (const [name, status] of result.statuses) {
      const before = input.history.jobs.get(name)?.attempts.at(-1);
      const last = status.attempts.find((a) => a.attempt === status.attempt);
      if (last?.end !== "succeeded" || before?.end) continue;
      assert.ok(last.exitCodes?.length === last.placement.length);
      assert.ok(last.exitCodes?.every((code) => code === 0), `${name}: ${last.exitCodes}`);
    }
  });
});

Deno.test("a wake-up is never in the past", () => {
  check((input, result) => {
    if (result.wakeAtMs !== undefined) assert.ok(result.wakeAtMs > input.now);
  });
});

Deno.test("over unchanged machines the statuses settle, and then stay the same objects", () => {
  check((input, first) => {
    let now = after(input, first);
    let result = first;
    for (let pass = 0; pass < 6; pass++) {
      result = plan(now);
      now = after(now, result);
    }
    const again = plan(now);
    for (const [name, status] of again.statuses) {
      assert.equal(status, now.history.jobs.get(name), `${name} changes with every pass`);
    }
    assert.deepEqual(again.waiting, result.waiting);
  });
});

/** A guess at a start moves with the time, which is why no file holds one. */
function withoutGuesses({ waiting }: Plan) {
  return waiting.map(({ expected, ...rest }) =>
    expected?.basis === "guess" ? rest : { ...rest, expected }
  );
}

Deno.test("until the wake-up that a plan names, time alone changes nothing", () => {
  check((input, first) => {
    let now = after(input, first);
    for (let pass = 0; pass < 6; pass++) now = after(now, plan(now));
    const settled = plan(now);
    const lastMs = (settled.wakeAtMs ?? now.now + 3_600_001) - 1;
    const late = plan({ ...now, now: lastMs });
    for (const [name, status] of late.statuses) {
      assert.equal(status, settled.statuses.get(name), `${name} changes unasked`);
    }
    assert.deepEqual(withoutGuesses(late), withoutGuesses(settled));
    const told = (p: Plan) => p.actions.map((a) => `${a.kind} ${a.because}`).toSorted();
    assert.deepEqual(told(late), told(settled));
  });
});

Deno.test("statuses and actions do not depend on the order of maps", () => {
  const reversed = <K, V>(map: ReadonlyMap<K, V>) => new Map([...map].reverse());
  check((input, result) => {
    const other = plan({
      ...input,
      desired: {
        ...input.desired,
        jobs: reversed(input.desired.jobs),
        invalid: reversed(input.desired.invalid),
      },
      observed: { ...input.observed, nodes: reversed(input.observed.nodes) },
      history: { ...input.history, jobs: reversed(input.history.jobs) },
    });
    const sorted = (map: ReadonlyMap<string, JobStatus>) =>
      [...map].toSorted(([a], [b]) => a < b ? -1 : 1);
    assert.deepEqual(sorted(other.statuses), sorted(result.statuses));
    const told = (p: Plan) => p.actions.map((a) => JSON.stringify(a)).toSorted();
    assert.deepEqual(told(other), told(result));
    assert.deepEqual(other.waiting, result.waiting);
  });
});

Deno.test("every status that the planner makes is read back as it was", () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      for (const status of plan(input).statuses.values()) {
        const text = renderJob(status);
        assert.deepEqual(parseStatus(text), status);
        assert.equal(renderJob(parseStatus(text)), text, "and written back as the same bytes");
      }
    }),
    { numRuns: 150 },
  );
});
