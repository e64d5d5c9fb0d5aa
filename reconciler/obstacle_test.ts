import assert from "node:assert/strict";
import type { GpuOwner } from "../cluster/gpu.ts";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import type { JobInput } from "./decision.ts";
import { claim, obstacle } from "./obstacle.ts";
import type { ReachableNode } from "./ports.ts";
import { attempt, gpu, reachable, run, status, uuid, world } from "./testing/build.ts";

/** An attempt on a card of n1 that has so much of it; undefined: all of it, unshared. */
function sharing(share: number | undefined, card = 0): Attempt {
  const placed = {
    node: "n1",
    gpus: [uuid("n1", card)],
    ...(share === undefined ? {} : { share }),
  };
  return attempt(1, ["n1"], { placement: [placed] });
}

const by = (job: string): GpuOwner => ({ kind: "run", job, attempt: 1, rank: 0 });

/** Why rank 0 of an attempt may not be launched, when others of these shares run there. */
function why(
  own: number | undefined,
  others: Readonly<Record<string, number | undefined>>,
  given: {
    readonly node?: ReachableNode;
    readonly claims?: Set<string>;
    readonly records?: readonly JobStatus[];
  } = {},
): string | undefined {
  const names = Object.keys(others);
  const node = given.node ?? reachable("n1", {
    gpus: [gpu("n1", 0, names.map(by))],
    runs: names.map((name) => run(name, 1, 0, ["n1"])),
  });
  const input: JobInput = {
    plan: world({
      nodes: [node],
      history: given.records ??
        names.map((name) => status(name, { attempts: [sharing(others[name])] })),
    }),
    name: "new",
    want: undefined,
    invalid: undefined,
    history: undefined,
    sightings: [],
    networkWorks: true,
    claims: given.claims ?? new Set(),
    hold: { prune: undefined, mayStop: () => true },
  };
  return obstacle(sharing(own), 0, input)?.message;
}

Deno.test("a rank that shares its GPU may be launched beside others as long as it fits", () => {
  assert.equal(why(0.5, { a: 0.5 }), undefined);
  assert.equal(why(0.25, { a: 0.5, b: 0.25 }), undefined);
  const third = 1 / 3;
  assert.equal(why(third, { a: third, b: third }), undefined, "three thirds are a whole");
  assert.match(why(0.6, { a: 0.5 }) ?? "", /^GPU-n1-0 .*others have too much of it/);
  assert.match(why(0.1, { a: 0.5, b: 0.5 }) ?? "", /GPU 0 holds a run/);
});

Deno.test("who has a GPU to itself shares it with nobody", () => {
  assert.match(why(undefined, { a: 0.5 }) ?? "", /others have too much of it/);
  assert.match(why(0.5, { a: undefined }) ?? "", /GPU 0 holds a run/);
});

Deno.test("a run has all of its GPU unless it is on record as sharing just there", () => {
  const history = { a: 0.5 };
  const seen = (changes: Parameters<typeof run>[4], attempt = 1) => ({
    node: reachable("n1", {
      gpus: [gpu("n1", 0, [by("a")]), gpu("n1", 1)],
      runs: [run("a", attempt, 0, ["n1"], changes)],
    }),
  });
  assert.equal(why(0.5, history, seen({})), undefined);
  assert.match(why(0.5, history, seen({}, 2)) ?? "", /holds a run/, "another attempt");
  assert.match(why(0.5, history, seen({ rank: 1 })) ?? "", /holds a run/, "another rank");
  const record = status("a", { attempts: [sharing(0.5, 1)] });
  assert.match(
    why(0.5, history, { ...seen({}), records: [record] }) ?? "",
    /holds a run/,
    "a card",
  );
});

Deno.test("a foreign process on a shared GPU is in the way of everybody", () => {
  const node = reachable("n1", {
    gpus: [gpu("n1", 0, [by("a"), { kind: "foreign" }])],
    runs: [run("a", 1, 0, ["n1"])],
  });
  assert.match(why(0.5, { a: 0.5 }, { node }) ?? "", /foreign process 101/);
});

Deno.test("launches that are completed in one pass share a GPU as far as it goes", () => {
  const claims = new Set<string>();
  for (const share of [0.25, 0.25]) {
    assert.equal(why(share, {}, { claims }), undefined);
    claim(sharing(share), [0], claims);
  }
  assert.equal(why(0.5, {}, { claims }), undefined, "two equal claims are a half, not a quarter");
  assert.match(why(0.6, {}, { claims }) ?? "", /others have too much of it/);
  assert.match(why(undefined, {}, { claims }) ?? "", /others have too much of it/);
  claim(sharing(undefined), [0], claims);
  assert.match(why(0.1, {}, { claims }) ?? "", /holds a run/);
});

Deno.test("a claim is for one GPU of one node", () => {
  const claims = new Set<string>();
  const there = { node: "n1", gpus: [uuid("n1", 1)] };
  claim(attempt(1, ["n1"], { placement: [there] }), [0], claims);
  claim(attempt(1, ["n10"], { placement: [{ ...there, node: "n10" }] }), [0], claims);
  assert.equal(why(undefined, {}, { claims }), undefined);
  const node = reachable("n1", { gpus: [gpu("n1"), gpu("n1", 1)] });
  assert.equal(why(undefined, {}, { claims, node }), undefined);
});
