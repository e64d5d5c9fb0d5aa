import assert from "node:assert/strict";
import { checkDependencies } from "./dependencies.ts";
import { job } from "./testing/build.ts";

/** Jobs by name with what they wait for; `sweep-1@sweep` is a job of the manifest `sweep`. */
function check(graph: Readonly<Record<string, readonly string[]>>, broken: readonly string[] = []) {
  const jobs = Object.entries(graph).map(([key, after]) => {
    const [name = "", parent] = key.split("@");
    return job(name, {
      file: `jobs/${parent ?? name}.yaml`,
      after: after.map((other) => ({ job: other, when: "success" as const })),
      ...(parent === undefined ? {} : { parent }),
    });
  });
  const found = checkDependencies(jobs, (name) => broken.includes(name));
  return {
    texts: [...found.problems, ...found.warnings].map((p) => `${p.file}: ${p.message} (${p.hint})`),
    cycles: Object.fromEntries(found.cycles),
  };
}

const HINT = "(take one of these out of its `after:`)";

Deno.test("jobs that wait for each other in order are fine", () => {
  assert.deepEqual(check({ a: [], b: ["a"], c: ["a", "b"], d: ["c", "a"] }), {
    texts: [],
    cycles: {},
  });
});

Deno.test("a circle is a problem of its first file; its members are blocked, others only wait", () => {
  const message = "it waits for itself: a → b → c → a";
  assert.deepEqual(check({ x: [], a: ["b", "x"], b: ["c"], c: ["a"], d: ["a"] }), {
    texts: [`jobs/a.yaml: it waits for itself: \`after: a → b → c → a\` ${HINT}`],
    cycles: { a: message, b: message, c: message },
  });
});

Deno.test("two circles that touch are one, and each of its members is blocked", () => {
  const { texts, cycles } = check({ a: ["b"], b: ["a", "c"], c: ["b"] });
  assert.equal(texts.length, 1);
  assert.deepEqual(Object.keys(cycles).sort(), ["a", "b", "c"]);
});

Deno.test("what lies between two circles is in none", () => {
  const { texts, cycles } = check({ a: ["a2"], a2: ["a", "m"], m: ["z"], z: ["z2"], z2: ["z"] });
  assert.deepEqual(texts, [
    `jobs/a.yaml: it waits for itself: \`after: a → a2 → a\` ${HINT}`,
    `jobs/z.yaml: it waits for itself: \`after: z → z2 → z\` ${HINT}`,
  ]);
  assert.deepEqual(Object.keys(cycles).sort(), ["a", "a2", "z", "z2"]);
});

Deno.test("a manifest of many jobs is waited for as a whole or job by job", () => {
  const sweep = { "sweep-1@sweep": ["prep"], "sweep-2@sweep": ["prep"] };
  const fine = { ...sweep, prep: [], all: ["sweep"], one: ["sweep-2"] };
  assert.deepEqual(check(fine), { texts: [], cycles: {} });
  for (const name of ["sweep", "sweep-2"]) {
    const { texts, cycles } = check({ ...sweep, prep: [name] });
    assert.deepEqual(texts, [
      `jobs/sweep.yaml: it waits for itself: \`after: sweep → prep → sweep\` ${HINT}`,
    ]);
    assert.deepEqual(Object.keys(cycles).sort(), ["prep", "sweep-1", "sweep-2"]);
  }
});

Deno.test("a name that nobody has is told with a likely one; the job is not blocked", () => {
  assert.deepEqual(check({ prep: [], train: ["prpe"], late: ["soon", "broken"] }, ["broken"]), {
    texts: [
      "jobs/train.yaml: `after`: no job is named `prpe` (did you mean `prep`?)",
      "jobs/late.yaml: `after`: no job is named `soon` (known here: `prep`, `train`, `late`)",
    ],
    cycles: {},
  });
});

Deno.test("a run of a schedule may be waited for by its name", () => {
  const { schedule: _, ...spec } = job("x").spec;
  const cron = {
    cron: "0 3 * * *",
    timezone: "UTC",
    concurrency: "forbid" as const,
    keep: 3,
    startWithinMs: 1,
  };
  const jobs = [
    job("nightly", { schedule: cron }),
    { file: "jobs/x.yaml", spec: { ...spec, after: [after("nightly-20261201-0300")] } },
    { file: "jobs/y.yaml", spec: { ...job("y").spec, after: [after("other-20261201-0300")] } },
  ];
  const { warnings } = checkDependencies(jobs, () => false);
  assert.deepEqual(warnings.map((p) => p.file), ["jobs/y.yaml"]);
});

function after(name: string) {
  return { job: name, when: "any" as const };
}

Deno.test("a circle of 20,000 jobs, and a chain of them, are checked without recursion", () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `j${i}`);
  const chain = Object.fromEntries(names.map((name, i) => [name, i === 0 ? [] : [names[i - 1]!]]));
  assert.deepEqual(check(chain), { texts: [], cycles: {} });
  const { texts, cycles } = check({ ...chain, j0: ["j19999"] });
  assert.deepEqual(texts, [
    `jobs/j0.yaml: it waits for itself: \`after: j0 → j19999 → j19998 → j19997 → … → j0\` ${HINT}`,
  ]);
  assert.equal(Object.keys(cycles).length, 20_000);
});
