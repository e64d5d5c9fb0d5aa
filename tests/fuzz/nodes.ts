/**
 * What a compromised node may say: bytes instead of frames, frames instead of answers, answers that
 * lie. Nothing throws; nothing that is written because of it is unfit to be read.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { toReachable } from "../../providers/hosts/convert.ts";
import { type Frame, LineReader, readFrame } from "../../providers/hosts/frames.ts";
import * as replies from "../../providers/hosts/replies.ts";
import type { ReachableNode } from "../../reconciler/ports.ts";
import { gpu, reachable, run } from "../../reconciler/testing/build.ts";
import { corpus, fuzz } from "./harness.ts";
import { assertClean, hostileJson, hostileNumber, hostileText } from "./hostile.ts";
import { assertPass } from "./pass.ts";

const encoder = new TextEncoder();
const NODE = "n1";

const GPU_CSV = "GPU-n1-0, 0, NVIDIA H100, 81559, 4, 0, 40, 100.5, 0\n" +
  "GPU-n1-1, 1, NVIDIA H100, 81559, 700, 3, 41, [N/A], [N/A]\n";

/** An observation as an honest runner sends it. */
const HONEST = {
  bootId: "boot-1",
  cpuCores: 8,
  memoryTotalMiB: 64_000,
  memoryAvailableMiB: 60_000,
  diskFreeMiB: 100_000,
  gpus: { csv: GPU_CSV },
  apps: { csv: "GPU-n1-1, 4711, /usr/bin/python3 -c x,y, 600\n" },
  pids: { "4711": { alive: true, run: ["a", 1, 0] } },
  runs: [
    run("a", 1, 0, [NODE]),
    run("b", 2, 0, [NODE], {
      state: "exited",
      processes: 0,
      exit: { code: 1, signal: null, reason: "exited", endedAtMs: 1_767_268_000_000 },
      error: { rank: 0, message: "boom", timestampMs: 1_767_268_000_000, source: "error-file" },
      stop: { reason: "suspended", requestedAtMs: 1_767_268_000_000, graceMs: 1000 },
    }),
    run("ghost", 7, 1, ["n2", NODE]),
  ],
  checkpoints: {
    a: [{ path: "/w/step-5", step: 5, complete: true, bytes: 9, modifiedAtMs: 1_767_268_000_000 }],
  },
  checkpointErrors: {},
};

type Path = readonly (string | number)[];

/** All places inside a JSON value. */
function placesIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, child]) =>
    placesIn(child, [...path, Array.isArray(value) ? Number(key) : key])
  );
  return path.length === 0 ? inner : [path, ...inner];
}

const PLACES = placesIn(HONEST);

/** Mostly of the type that belongs there: such lies get further. */
const lie = fc.constantFrom(...PLACES).chain((place) => {
  const honest = place.reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], HONEST);
  const likely = typeof honest === "string"
    ? hostileText
    : typeof honest === "number"
    ? fc.oneof(hostileNumber, fc.nat())
    : hostileJson;
  const value = fc.oneof({ weight: 4, arbitrary: likely }, { weight: 1, arbitrary: hostileJson });
  return value.map((value) => ({ place, value }));
});

/** The honest observation with a few lies in it. */
const observation = fc.array(lie, { minLength: 1, maxLength: 3 }).map((lies) => {
  const told = structuredClone(HONEST) as unknown as Record<string, unknown>;
  for (const { place, value } of lies) {
    let at: Record<string | number, unknown> = told;
    for (const part of place.slice(0, -1)) {
      const next = at[part];
      if (typeof next !== "object" || next === null) break;
      at = next as Record<string | number, unknown>;
    }
    at[place.at(-1)!] = structuredClone(value);
  }
  return told;
});

/** What a line comes to on the controller's side; undefined when it is refused. */
function observed(result: unknown): ReachableNode | undefined {
  const line = JSON.stringify({ id: 1, ok: true, result });
  const [text = ""] = [...new LineReader().push(encoder.encode(`${line}\n`))];
  const frame = readFrame(text);
  if (frame.kind !== "answer") return void assertFrame(frame);
  const parsed = replies.observeReply.safeParse(frame.result);
  if (!parsed.success) {
    return void assertClean(replies.describeMismatch(parsed.error));
  }
  const node = toReachable(reachable(NODE).node, parsed.data);
  assertClean(node.gpuProblem ?? "");
  for (const { model, processes } of node.gpus ?? []) {
    assertClean(model);
    for (const process of processes) assertClean(process.name);
  }
  return node;
}

function assertFrame(frame: Frame): void {
  if (frame.kind === "bad") assertClean(frame.reason);
  if (frame.kind === "changed") assertClean(frame.what);
  if (frame.kind === "error") assertClean(frame.code + frame.message);
  if ("id" in frame && frame.id !== null) assert.ok(Number.isSafeInteger(frame.id));
  assert.ok(JSON.stringify(frame).length <= 9_000_000);
}

const SCHEMAS = Object.entries(replies).filter(([name]) => name.endsWith("Reply"));

fuzz(
  "bytes cut anywhere are the same lines",
  1500,
  fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(200), { maxLength: 8 })),
  ([bytes, cuts]) => {
    const whole = [...new LineReader().push(bytes)];
    const reader = new LineReader();
    const ends = [...cuts.toSorted((a, b) => a - b), bytes.length];
    let start = 0;
    const parts = ends.flatMap((end) => [...reader.push(bytes.subarray(start, start = end))]);
    assert.deepEqual(parts, whole);
    for (const line of whole) assertFrame(readFrame(line));
  },
);

fuzz(
  "lines that are almost frames",
  3000,
  fc.record({
    id: fc.oneof(fc.nat(9), hostileJson),
    ok: fc.oneof(fc.boolean(), hostileJson),
    event: fc.oneof(fc.constant("changed"), hostileJson),
    what: hostileJson,
    result: hostileJson,
    error: fc.oneof(fc.record({ code: hostileText, message: hostileText }), hostileJson),
  }, { requiredKeys: [] }),
  (value) => assertFrame(readFrame(JSON.stringify(value))),
);

fuzz("answers of any shape", 2000, hostileJson, (value) => {
  for (const [name, schema] of SCHEMAS) {
    const parsed = schema instanceof Function ? undefined : (schema as typeof replies.helloReply)
      .safeParse(value);
    if (parsed && !parsed.success) assertClean(`${name} ${replies.describeMismatch(parsed.error)}`);
  }
});

fuzz("observations with lies in them", 2500, observation, (result) => {
  const node = observed(result);
  if (node) assertPass(node);
});

const manyRuns = (count: number) =>
  Array.from({ length: count }, (_, i) => run(`j${i}`, 1, 0, [NODE]));
const manyGpus = (count: number) =>
  Array.from({ length: count }, (_, i) => `GPU-${i}, ${i}, X, 1, 1, 1, 1, 1, 1`).join("\n");
const manyApps = (count: number) =>
  Array.from({ length: count }, (_, i) => `GPU-n1-${i % 2}, ${i}, ${"x".repeat(9)}, 1`).join("\n");

corpus<Record<string, unknown>>("observations", {
  "times without a date": {
    runs: [run("a", 1, 0, [NODE], { createdAtMs: 1e300, startedAtMs: 1e300 })],
  },
  "times in the year 10000": { runs: [run("ghost", 1, 0, [NODE], { createdAtMs: 2.6e14 })] },
  "times before there was time": { runs: [run("ghost", 1, 0, [NODE], { createdAtMs: -1 })] },
  "a run with a name that leads elsewhere": { runs: [run("../../x", 1, 0, [NODE])] },
  "a run with a name of escapes": { runs: [run("a\x1b[2J", 1, 0, [NODE])] },
  "a gang of itself, many times": { runs: [run("a", 2, 0, Array(4000).fill(NODE))] },
  "a rank that cannot be": { runs: [run("a", 1, 4_000_000, [NODE])] },
  "4,000 runs that nobody wants": { runs: manyRuns(4000) },
  "20,000 runs": { runs: manyRuns(20_000) },
  "one run 4,000 times": { runs: Array(4000).fill(run("a", 1, 0, [NODE])) },
  "20,000 GPUs": { gpus: { csv: manyGpus(20_000) } },
  "9,000 processes": { apps: { csv: manyApps(9000) } },
  "60,000 processes": { apps: { csv: manyApps(60_000) } },
  "a GPU with escapes": { gpus: { csv: "GPU-\x1b[2J, 0, \x9b, 1, 1, 1, 1, 1, 1" } },
  "memory below zero": { gpus: { csv: "GPU-1, 0, X, 1, -99999, 1, 1, 1, 1" } },
  "memory without end": { gpus: { csv: `GPU-1, 0, X, ${"9".repeat(400)}, 1, 1, 1, 1, 1` } },
  "no csv at all": { gpus: { csv: "" }, apps: { csv: "" } },
  "an error of 1 MB": { gpus: { error: "<b>".repeat(300_000) } },
}, (changes, name) => {
  const node = observed({ ...HONEST, ...changes });
  if (node) assertPass(node);
  if (name === "20,000 GPUs") assert.equal(node?.gpus, undefined);
  if (name.startsWith("memory")) assert.equal(node?.gpus, undefined);
  if (name === "20,000 runs") assert.equal(node, undefined);
});

corpus<() => void>("frames", {
  "a line of 50 MB": () => {
    const reader = new LineReader();
    const chunk = new Uint8Array(1_000_000).fill(120);
    assert.throws(() => {
      for (let i = 0; i < 50; i++) [...reader.push(chunk)];
    }, RangeError);
  },
  "a line in chunks of one byte": () => {
    const reader = new LineReader();
    const byte = new Uint8Array([120]);
    const before = Deno.memoryUsage().rss;
    for (let i = 0; i < 2_000_000; i++) for (const _ of reader.push(byte)) assert.fail();
    const grown = (Deno.memoryUsage().rss - before) / 1024 / 1024;
    assert.ok(grown < 256, `${grown.toFixed(0)} MiB for a line of 2 MB`);
    assert.equal([...reader.push(new Uint8Array([10]))][0]?.length, 2_000_000);
  },
  "four million brackets": () => assertFrame(readFrame("[".repeat(4_000_000))),
  "a million levels": () => {
    const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
    const frame = readFrame(`{"id":1,"ok":true,"result":{"checkpoints":{"a":${deep}}}}`);
    assert.equal(frame.kind, "answer");
    for (const [, schema] of SCHEMAS) {
      if (frame.kind === "answer" && !(schema instanceof Function)) {
        (schema as typeof replies.helloReply).safeParse(frame.result);
      }
    }
  },
  "100,000 events": () => {
    const event = `{"event":"changed","what":"${"x".repeat(20)}"}\n`;
    const lines = [...new LineReader().push(encoder.encode(event.repeat(100_000)))];
    for (const line of lines) assert.equal(readFrame(line).kind, "changed");
  },
}, (check) => check());

fuzz(
  "GPUs of any values",
  1000,
  fc.array(fc.tuple(hostileText, hostileNumber, hostileText, hostileNumber), { maxLength: 4 }),
  (rows) => {
    const csv = rows.map(([uuid, index, model, memory]) =>
      `GPU-${uuid}, ${index}, ${model}, ${memory}, ${memory}, 0, [N/A], ${index}, [Not Found]`
    ).join("\n");
    const node = observed({ ...HONEST, gpus: { csv }, apps: { csv: "" } });
    for (const one of node?.gpus ?? []) {
      const { memoryUsedMiB, memoryTotalMiB } = { ...gpu(NODE), ...one };
      for (const amount of [memoryUsedMiB, memoryTotalMiB]) {
        assert.ok(amount === null || (Number.isFinite(amount) && amount >= 0));
      }
    }
  },
);
