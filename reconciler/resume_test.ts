import assert from "node:assert/strict";
import type { NodeName } from "../cluster/node.ts";
import { checkpointDir, chooseResume } from "./resume.ts";
import type { Seen } from "./testing/build.ts";
import { attempt, checkpoint, job, reachable, status, unknown, world } from "./testing/build.ts";

type Lists = Readonly<Record<string, Seen["checkpoints"]>>;

function choose(
  lists: Lists,
  chosen: readonly string[],
  changes: Parameters<typeof job>[1] = {},
  more: { readonly unlisted?: string[]; readonly away?: string[]; readonly resumed?: boolean } = {},
) {
  const wanted = job("a", changes);
  const away = (more.away ?? []).map((name) => unknown(name));
  const nodes = Object.entries(lists).map(([name, checkpoints]) =>
    reachable(name, checkpoints ? { checkpoints } : {})
  );
  const resumedFrom = more.resumed ? { resumedFrom: { path: "x/step-5", step: 5 } } : {};
  const before = status("a", {
    attempts: [attempt(1, [...chosen, ...more.away ?? []], { end: "failed", ...resumedFrom })],
  });
  const input = world({
    jobs: [wanted],
    history: [before],
    nodes: [...nodes, ...away],
    ...(more.unlisted ? { unlisted: more.unlisted } : {}),
  });
  return chooseResume(wanted, before, chosen as NodeName[], input.observed);
}

const rank0 = { checkpoint: { pattern: "step-*", resumeArgs: [], neededBy: "rank0" as const } };

Deno.test("a gang goes on from the newest checkpoint that all of its nodes have", () => {
  const found = choose({ n1: { a: [30, 20, 10] }, n2: { a: [20, 10] } }, ["n1", "n2"]);
  assert.deepEqual(found, {
    kind: "resume",
    path: "checkpoints/a/step-20",
    step: 20,
    order: [0, 1],
  });
});

Deno.test("an incomplete checkpoint is not one", () => {
  const found = choose({ n1: { a: [checkpoint(30, false), 20] } }, ["n1"]);
  assert.equal(found.kind === "resume" && found.step, 20);
});

Deno.test("when only rank 0 loads it, the node that has the newest becomes rank 0", () => {
  const found = choose({ n1: { a: [10] }, n2: { a: [40] } }, ["n1", "n2"], rank0);
  assert.deepEqual(found.kind === "resume" && [found.step, found.order], [40, [1, 0]]);
});

Deno.test("checkpoints that the gang does not share make it wait rather than start over", () => {
  const found = choose({ n1: { a: [30] }, n2: {} }, ["n1", "n2"]);
  assert.equal(found.kind, "refused");
  assert.match(found.kind === "refused" ? found.message : "", /step 30 is on n1 only/);
});

Deno.test("a job without any checkpoint starts fresh", () => {
  assert.equal(choose({ n1: {} }, ["n1"]).kind, "fresh");
});

Deno.test("a node that cannot list its checkpoints is unknown, not empty", () => {
  const found = choose({ n1: {} }, ["n1"], {}, { unlisted: ["n1"] });
  assert.match(found.kind === "refused" ? found.message : "", /on n1 cannot be listed/);
});

Deno.test("a checkpoint that may be on a node that is away is waited for, if there ever was one", () => {
  const away = { away: ["n2"], resumed: true };
  assert.equal(choose({ n1: {} }, ["n1"], {}, away).kind, "refused");
  assert.equal(choose({ n1: {} }, ["n1"], {}, { away: ["n2"] }).kind, "fresh");
});

Deno.test("each rerun has a folder of its own", () => {
  assert.equal(checkpointDir(job("a")), "checkpoints/a");
  assert.equal(checkpointDir(job("a", { rerun: 2 })), "checkpoints/a-rerun-2");
  const dir = { checkpoint: { ...rank0.checkpoint, dir: "/shared/{job}" } };
  assert.equal(checkpointDir(job("a", dir)), "/shared/a");
});
