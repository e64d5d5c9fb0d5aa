/**
 * A fleet whose answers hold no secret: what nodes say of errors, and what logs show, is cleaned
 * before anybody sees it. The supervisor on the node does so first; this is the second line, for a
 * node that does not, and it knows only what this controller has read itself.
 *
 * @module
 */
import type { RunRecord } from "../../jobs/run.ts";
import type { Fleet, NodeObservation, Outcome } from "../../reconciler/ports.ts";

type Redact = (text: string) => string;

/** `fleet`, with `redact` over everything that nodes say in words. */
export function redactingFleet(fleet: Fleet, redact: Redact): Fleet {
  const clean = <T>(outcome: Outcome<T>): Outcome<T> =>
    outcome.kind === "ok" ? outcome : { ...outcome, reason: redact(outcome.reason) };
  return {
    configure: (nodes, claim) => fleet.configure(nodes, claim),
    observe: async (queries) => {
      const seen = await fleet.observe(queries);
      return new Map([...seen].map(([name, node]) => [name, cleanNode(node, redact)]));
    },
    launch: async (node, run, spec, secrets) => {
      const outcome = clean(await fleet.launch(node, run, spec, secrets));
      if (outcome.kind !== "ok") return outcome;
      const { value } = outcome;
      return { kind: "ok", value: { ...value, run: cleanRun(value.run, redact) } };
    },
    stop: async (...args) => clean(await fleet.stop(...args)),
    clean: async (...args) => clean(await fleet.clean(...args)),
    putCode: async (...args) => clean(await fleet.putCode(...args)),
    hasCode: (node, digest) => fleet.hasCode(node, digest),
    tail: async (...args) => {
      const outcome = clean(await fleet.tail(...args));
      return outcome.kind === "ok" ? { ...outcome, value: redact(outcome.value) } : outcome;
    },
    onChange: (callback) => fleet.onChange((node, what) => callback(node, redact(what))),
    close: () => fleet.close(),
  };
}

function cleanNode(node: NodeObservation, redact: Redact): NodeObservation {
  if (node.state === "unknown") return { ...node, reason: redact(node.reason) };
  return {
    ...node,
    ...(node.gpuProblem === undefined ? {} : { gpuProblem: redact(node.gpuProblem) }),
    runs: node.runs.map((run) => cleanRun(run, redact)),
  };
}

/** Most runs have nothing to clean and stay the same object. */
function cleanRun(run: RunRecord, redact: Redact): RunRecord {
  const { error, exit } = run;
  if (!error && exit?.message === undefined) return run;
  return {
    ...run,
    error: error && { ...error, message: redact(error.message) },
    exit: exit?.message === undefined ? exit : { ...exit, message: redact(exit.message) },
  };
}
