import assert from "node:assert/strict";
import type { Cordon } from "../cluster/node.ts";
import { drainOf } from "./drain.ts";
import type { NodeObservation } from "./ports.ts";
import {
  attempt,
  cluster,
  gpu,
  nodeSpec,
  NOW,
  reachable,
  unknown,
  world,
} from "./testing/build.ts";

const placed = attempt(1, ["n1", "n2"]);
const gpus = [gpu("n2", 7), gpu("n2", 0)];

/** Why attempt 1 on card 0 of n1 and of n2 must go when n2 has this cordon. */
function drain(cordoned: Cordon, n2: NodeObservation = reachable("n2", { gpus })) {
  const machines = cluster([nodeSpec("n1"), nodeSpec("n2", { cordoned })]);
  const { observed } = world({ nodes: [reachable("n1"), n2], cluster: machines });
  return drainOf(placed, machines, observed, NOW);
}

Deno.test("a cordon alone moves nobody; with `drain` it does, until it expires", () => {
  assert.equal(drain({ reason: "fan" }), undefined);
  assert.equal(drain({ reason: "fan", drain: true }), "n2 is drained (fan)");
  assert.equal(drain({ reason: "fan", drain: true, untilMs: NOW + 1 }), "n2 is drained (fan)");
  assert.equal(drain({ reason: "fan", drain: true, untilMs: NOW }), undefined);
});

Deno.test("a drain of some GPUs moves who is on them, by index or uuid, and nobody else", () => {
  const only = (...list: string[]): Cordon => ({ reason: "ecc", drain: true, gpus: list });
  assert.equal(drain(only("0")), "GPU 0 of n2 is drained (ecc)");
  assert.equal(drain(only("GPU-n2-0")), "GPU 0 of n2 is drained (ecc)");
  assert.equal(drain(only("7", "GPU-n2-7")), undefined);
});

Deno.test("whose index nobody can tell is not moved for an index, but for its uuid", () => {
  for (const n2 of [unknown("n2"), reachable("n2", { gpus: undefined, gpuProblem: "driver" })]) {
    assert.equal(drain({ reason: "ecc", drain: true, gpus: ["0"] }, n2), undefined);
    const byUuid = drain({ reason: "ecc", drain: true, gpus: ["GPU-n2-0"] }, n2);
    assert.equal(byUuid, "GPU GPU-n2-0 of n2 is drained (ecc)");
  }
});
