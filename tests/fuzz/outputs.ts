/**
 * Everything that is printed, logged, committed or rendered, with hostile words in it: no control
 * character, no markup, no forged line; and what programs read says the same as before.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { jsonLog } from "../../cli/log.ts";
import { OUTPUTS } from "../../cli/output.ts";
import { show } from "../../cli/status.ts";
import { table } from "../../cli/table.ts";
import { printed } from "../../cli/testing.ts";
import { safe, safeLines } from "../../cli/text.ts";
import { formatProblem } from "../../cluster/problem.ts";
import { cutText, plain, showPath, showValue } from "../../cluster/show.ts";
import { yamlText } from "../../cluster/yaml_text.ts";
import { diagnose } from "../../jobs/failure.ts";
import { type JobStatus, PHASES } from "../../jobs/status.ts";
import { toOutcome } from "../../providers/hosts/outcome.ts";
import { cleanLine, cleanText, isClean } from "../../providers/hosts/text.ts";
import { cell } from "../../reconciler/dashboard.ts";
import { HistoryReader, parseStatus } from "../../reconciler/history.ts";
import { commitMessage, renderJob, statusFiles } from "../../reconciler/status_files.ts";
import { plan } from "../../reconciler/plan.ts";
import {
  attempt,
  broken,
  cluster,
  job,
  nodeSpec,
  NOW,
  reachable,
  run,
  status,
  world,
} from "../../reconciler/testing/build.ts";
import { SimRemote, SimRepository } from "../../providers/sim/repository.ts";
import { BAD_FILES, bytesOf } from "./files.ts";
import { corpus, fuzz } from "./harness.ts";
import { assertClean, hostileJson, hostileNumber, hostileText, mutated } from "./hostile.ts";
import { assertDashboard } from "./pass.ts";

fuzz("texts made fit to be shown", 4000, hostileText, (text) => {
  const lines = [safe(text), plain(text), showValue(text), showPath([text, 3, text]), cell(text)];
  for (const line of [...lines, cleanLine(text)]) assertClean(line);
  assertClean(safeLines(text), true);
  assert.ok(cleanLine(text).length <= 500 && isClean(cleanLine(text), 500));
  assert.ok(cutText(text, 7).length <= 7);
  const clean = cleanText(text, 100);
  assert.ok(clean.length <= 100);
  assertClean(clean.replaceAll("\t", " "), true);
  assert.doesNotMatch(cell(text), /[<>|`[\]*_~$@]|www\./);
  const problem = { file: text, line: 1, column: 1, message: text, hint: text };
  assertClean(formatProblem(problem));
  const rows = table(["A", "B"], [[text, text]]);
  assert.equal(rows.split("\n").length, 2);
  const outcome = toOutcome("x", { kind: "refused", code: "conflict", message: cleanLine(text) });
  if (outcome.kind === "terminal") assertClean(outcome.reason);
});

fuzz("YAML of any value", 2000, hostileJson, (value) => {
  const text = yamlText(value);
  assertClean(text, true);
  assert.equal(JSON.stringify(parse(text)), JSON.stringify(value));
});

/** What cannot be JSON: cycles, big numbers, functions, things that throw. */
const unloggable = fc.constantFrom<() => unknown>(
  () => 10n ** 400n,
  () => Symbol("\x1b"),
  () => new Error("boom\n\x1b[31m"),
  () => Object.assign(new Error("x"), { stack: 5n }),
  () => ({ toJSON: () => assert.fail("boom") }),
  () => ({
    get x() {
      return assert.fail("boom");
    },
  }),
  () => new Proxy({}, { ownKeys: () => assert.fail("boom") }),
  () => {
    const a: unknown[] = [];
    return a.push(a, a, a), a;
  },
  () => new Map([[1, 2]]),
  () => new Date(NaN),
  () => () => {},
  () => "x".repeat(10_000_000),
  () => Array(1_000_000).fill("\u202e"),
  () => Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}\x9b`, i])),
  () => NaN,
  () => undefined,
  () => Object.create(null),
  () => new Uint8Array(1_000_000),
);

fuzz(
  "log lines",
  2500,
  fc.tuple(
    hostileText,
    fc.dictionary(fc.oneof(hostileText, fc.constantFrom("time", "level", "msg")), hostileJson),
    fc.option(unloggable, { freq: 1 }),
  ),
  ([msg, fields, odd]) => {
    let line = "";
    const log = jsonLog("info", (text) => line = text);
    log("info", msg, odd ? { ...fields, odd: odd() } : fields);
    assertClean(line);
    assert.ok(line.length < 500_000, `${line.length} characters`);
    const read = JSON.parse(line);
    assert.equal(read.level, "info");
    assert.equal(read.msg, cutText(msg, 4000));
    assert.ok(Math.abs(Date.parse(read.time) - Date.now()) < 60_000);
  },
);

/** A status whose words are somebody else's. */
const words = fc.record({
  owner: hostileText,
  queue: hostileText,
  reason: hostileText,
  message: hostileText,
  file: hostileText,
  phase: fc.constantFrom(...PHASES),
  notBefore: fc.constantFrom("2026-01-01T00:00:00Z", undefined),
  condition: hostileText,
  node: hostileText.filter((name) => name !== ""),
  gpu: hostileText,
  path: hostileText,
  step: hostileNumber,
});

function statusOf(given: typeof words extends fc.Arbitrary<infer T> ? T : never): JobStatus {
  const { condition, node, gpu, path, step, notBefore, ...rest } = given;
  const since = new Date(NOW).toISOString();
  return status("demo", {
    ...rest,
    ...(notBefore === undefined ? {} : { notBefore }),
    conditions: [{ type: condition, status: "True", reason: condition, message: condition, since }],
    problems: [{ file: path, line: 1, column: 1, message: path, hint: path }],
    attempts: [attempt(3, [node.slice(0, 253)], {
      because: condition,
      placement: [{ node: node.slice(0, 253), gpus: [gpu] }],
      resumedFrom: { path, step },
      failure: { class: condition, node, message: path },
      end: "failed",
      endedAt: since,
    })],
  });
}

fuzz("status on the terminal, in every format", 400, words, async (given) => {
  const one = statusOf(given);
  const warning = `jobs/x.yaml: ${given.message}`;
  const snapshot = { commit: "c", jobs: [one], unreadable: [warning], toMend: [warning] };
  for (const output of OUTPUTS) {
    for (const name of [undefined, "demo", given.owner]) {
      const { out, err } = await printed(() => show(snapshot, name, output, NOW));
      assertClean(out, true);
      assertClean(err, true);
      if (name === "demo" && output === "json") {
        assert.deepEqual(JSON.parse(out), JSON.parse(JSON.stringify(one)));
      }
      if (name === "demo" && output === "yaml") assert.deepEqual(parse(out), one);
    }
  }
});

fuzz("status files of any words", 600, words, (given) => {
  const one = statusOf(given);
  assert.deepEqual(parseStatus(renderJob(one)), one);
});

const nodeWords = fc.record({
  reason: hostileText.map((text) => cleanLine(text)),
  model: hostileText.map((text) => cleanLine(text, 200)),
  error: hostileText.map((text) => cleanText(text, 8192)),
  file: hostileText,
  clusterName: hostileText.map((text) => cleanLine(text, 100)),
});

fuzz("dashboard, status branch and commit message", 400, nodeWords, (given) => {
  const { reason, model, error, file, clusterName } = given;
  const failed = run("demo", 1, 0, ["n1"], {
    state: "exited",
    processes: 0,
    exit: { code: 1, signal: null, reason: "exited", endedAtMs: NOW },
    error: { rank: 0, message: error, timestampMs: NOW, source: "log" },
  });
  const failure = diagnose([{ node: "n1", run: failed }]);
  assertClean((failure?.message ?? "").replaceAll("\t", " "), true);
  const seen = reachable("n1", { runs: [failed] });
  const input = world({
    cluster: cluster([nodeSpec("n1", { cordoned: { reason } }), nodeSpec("n2"), nodeSpec("n3")], {
      name: clusterName,
    }),
    nodes: [
      { ...seen, gpus: seen.gpus?.map((gpu) => ({ ...gpu, model })) },
      { state: "unknown", node: nodeSpec("n2").name, sinceMs: NOW, reason },
      { ...reachable("n3"), gpus: undefined, gpuProblem: reason },
    ],
    jobs: [job("demo"), job("other")],
    invalid: { bad: broken(`jobs/${file}.yaml`, reason) },
    history: [status("demo", { phase: "Running", attempts: [attempt(1, ["n1"])] })],
  });
  const decided = plan(input);
  const files = statusFiles({ ...input, plan: decided });
  assertDashboard(files.get("README.md") ?? "");
  for (const [path, text] of files) {
    // Names of files are told as they are until `files.ts` refuses them.
    if (isClean(file, 4096)) assertClean(text.replaceAll("\t", " "), true);
    if (path.endsWith(".yaml")) assert.doesNotThrow(() => parse(text));
  }
  const message = commitMessage(input.history, decided);
  assertClean(message, true);
  const lines = message.trimEnd().split("\n").slice(2);
  assert.ok(lines.every((line) => /^(?:demo|other|bad): /.test(line)), message);
});

const STATUS = renderJob(status("demo", {
  owner: "ada",
  message: "attempt 1 failed: boom\nand more",
  attempts: [attempt(1, ["n1", "n2"], { end: "failed", exitCodes: [1, null] })],
}));

async function readBack(bytes: Uint8Array): Promise<void> {
  const remote = new SimRemote();
  remote.tamper({ "jobs/demo.yaml": new TextDecoder().decode(bytes) });
  const reader = new HistoryReader(new SimRepository(remote));
  const { jobs, unreadable } = await reader.read(remote.status, false);
  assert.equal(jobs.size + unreadable.size, 1, "a status file is read, or said to be unreadable");
  for (const why of unreadable.values()) {
    assertClean(why);
    assert.ok(why.length < 1000);
  }
  const found = jobs.get("demo");
  if (!found) return;
  // As it was read, it is written and read again.
  assert.deepEqual(parseStatus(renderJob(found)), found);
  const input = world({
    nodes: [reachable("n1"), reachable("n2")],
    jobs: [job("demo")],
    history: [found],
  });
  assert.doesNotThrow(() => plan(input));
}

fuzz("status files that somebody changed", 1200, mutated([STATUS]), readBack);
const LONG = {
  "200,000 keys": "k: 1\n".repeat(200_000),
  "4 MB of brackets": "[".repeat(4_000_000),
};
corpus("status files", { ...BAD_FILES, ...LONG }, (text) => readBack(bytesOf(text)));
