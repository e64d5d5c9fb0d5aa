import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import type { RunRecord } from "../../jobs/run.ts";
import type { Fleet, LaunchSpec, NodeObservation, Outcome } from "../../reconciler/ports.ts";
import { redactingFleet } from "./fleet.ts";

const NODE = "n1" as NodeName;
const RUN = { job: "a", attempt: 1, rank: 0 };
const SECRET = "hf_abcdef";

const record = (message: string): RunRecord => ({
  ...RUN,
  state: "exited",
  epoch: 1,
  meta: { commit: "", specDigest: "", nodes: [], gpus: [] },
  gpus: [],
  masterPort: null,
  createdAtMs: 0,
  startedAtMs: 0,
  bootId: "b",
  processes: 0,
  stop: null,
  exit: { code: 1, signal: null, reason: "start-failed", endedAtMs: 1, message },
  error: { rank: 0, message, timestampMs: 1, source: "log" },
});

const says = `failed: ${SECRET}`;
const failed: Outcome<never> = { kind: "terminal", reason: says };
const calls: unknown[][] = [];
const node: NodeObservation = {
  state: "reachable",
  node: NODE,
  bootId: "b",
  gpus: undefined,
  gpuProblem: says,
  cpuCores: 1,
  memoryTotalMiB: 1,
  memoryAvailableMiB: 1,
  diskFreeMiB: 1,
  runs: [record(says)],
  checkpoints: new Map(),
};
const away: NodeObservation = {
  state: "unknown",
  node: "n2" as NodeName,
  sinceMs: 0,
  reason: says,
};
const inner: Fleet = {
  configure: () => {},
  observe: () =>
    Promise.resolve(new Map<NodeName, NodeObservation>([[NODE, node], ["n2" as NodeName, away]])),
  launch: (...args) => {
    calls.push(args);
    return Promise.resolve({ kind: "ok", value: { run: record(says), created: true } });
  },
  stop: () => Promise.resolve(failed),
  clean: () => Promise.resolve(failed),
  putCode: () => Promise.resolve(failed),
  hasCode: () => true,
  tail: () => Promise.resolve({ kind: "ok", value: says }),
  onChange: (callback) => callback(NODE, says),
  close: () => Promise.resolve(),
};
const fleet = redactingFleet(inner, (text) => text.replaceAll(SECRET, "[secret T]"));

Deno.test("nothing that a node says in words passes with a secret in it", async () => {
  const heard: string[] = [];
  fleet.onChange((_, what) => heard.push(what));
  const answers = [
    [...(await fleet.observe([])).values()],
    await fleet.launch(NODE, RUN, {} as LaunchSpec, { T: SECRET }),
    await fleet.stop(NODE, RUN, 0, "x"),
    await fleet.clean(NODE, "a", 1),
    await fleet.putCode(NODE, { digest: "d", tar: new Uint8Array() }),
    await fleet.tail(NODE, RUN, 0, "stderr", 100),
    heard,
  ];
  for (const answer of answers) {
    const text = JSON.stringify(answer);
    assert.match(text, /failed: \[secret T\]/);
    assert.doesNotMatch(text, new RegExp(SECRET));
  }
});

Deno.test("the values themselves pass on their way to the node", () => {
  assert.deepEqual(calls.at(-1)?.[3], { T: SECRET });
});
