/**
 * A fleet that changes nothing while its controller may not: each operation asks just before it is
 * sent. What slips through nevertheless (a process that was paused right there) the nodes refuse by
 * its epoch.
 *
 * @module
 */
import type { Fleet, Outcome } from "./ports.ts";
import type { Right } from "./leadership.ts";

const REFUSED: Outcome<never> = {
  kind: "retryable",
  reason: "this controller's lease has run out; nothing is changed until it is renewed",
};

/** `fleet`, as far as `right` allows. */
export function fencedFleet(fleet: Fleet, right: Right): Fleet {
  const guard =
    <A extends unknown[], T>(act: (...args: A) => Promise<Outcome<T>>) =>
    (...args: A): Promise<Outcome<T>> => right.mayAct() ? act(...args) : Promise.resolve(REFUSED);
  return {
    configure: (nodes, claim) => fleet.configure(nodes, claim),
    observe: (queries) => fleet.observe(queries),
    launch: guard(fleet.launch.bind(fleet)),
    stop: guard(fleet.stop.bind(fleet)),
    clean: guard(fleet.clean.bind(fleet)),
    putCode: guard(fleet.putCode.bind(fleet)),
    hasCode: (node, digest) => fleet.hasCode(node, digest),
    tail: (node, run, local, stream, bytes) => fleet.tail(node, run, local, stream, bytes),
    onChange: (callback) => fleet.onChange(callback),
    close: () => fleet.close(),
  };
}
