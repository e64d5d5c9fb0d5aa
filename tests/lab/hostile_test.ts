/** Broken files, an absent host and hostile words: each is a problem of its own and nobody else's. */
import assert from "node:assert/strict";
import { type Harness, job } from "./harness.ts";
import { eventually } from "./processes.ts";
import { labSuite } from "./suite.ts";
import { witnesses } from "./witness.ts";

const suite = await labSuite();

const sleeper = (harness: Harness, ...args: string[]) => ({
  script: "scripts/sleeper.py",
  launcher: "processes",
  args: ["0.2", "--witness", harness.witnessDir, ...args],
});

/** Waits until the status branch has a file about `file` in phase Invalid; gives it. */
function invalid(harness: Harness, file: string) {
  return eventually(`find ${file} invalid`, 20_000, async () => {
    return (await harness.statuses()).find((s) => s.file === file && s.phase === "Invalid");
  }, async () => `${await harness.statusFile("queue.yaml")}\n${harness.service.tail()}`);
}

suite.test("a broken file and an absent host stop nothing else", {}, async (t) => {
  const absent = t.lab.kind === "namespaces"
    ? { host: t.lab.hosts[0]?.address.replace(/\d+$/, "200") }
    : { host: "127.0.0.1", port: 9 };
  const harness = await t.harness({ nodes: [{ name: "h4", user: "root", ...absent }] });
  await harness.push({
    "jobs/broken.yaml": "script: train.py\nargs: [1, 2\nresources: {nodes: 1}\n",
    "jobs/typo.yaml": "script: scripts/sleeper.py\nresources:\n  nodse: 3\n",
    "jobs/good.yaml": job(sleeper(harness)),
  });
  await harness.until("good", (s) => s.phase === "Succeeded", 30_000);
  const broken = await invalid(harness, "jobs/broken.yaml");
  assert.equal(broken.problems?.[0]?.file, "jobs/broken.yaml");
  assert((broken.problems?.[0]?.line ?? 0) >= 2);
  assert((broken.problems?.[0]?.column ?? 0) >= 1);
  const typo = await invalid(harness, "jobs/typo.yaml");
  assert.equal(typo.problems?.[0]?.line, 3);
  assert.equal(typo.problems?.[0]?.column, 3);
  await eventually("read that h4 is unknown", 20_000, async () => {
    const cluster = await harness.statusFile("cluster.yaml") ?? "";
    return /h4/.test(cluster) && /unknown/i.test(cluster) ? true : undefined;
  });
  await harness.push({ "jobs/broken.yaml": job(sleeper(harness)) }, "repair");
  await harness.until("broken", (s) => s.phase === "Succeeded", 20_000);
});

suite.test("hostile words are refused or passed on as they are, never run", {}, async (t) => {
  const harness = await t.harness();
  const canary = `${t.lab.shared}/canary`;
  const run = `$(touch ${canary})`;
  const words = [run, `'; touch ${canary}; '`, `a"b\nc`, `\`touch ${canary}\``];
  const files: Record<string, string> = {};
  for (const [k, word] of words.entries()) {
    files[`jobs/name-${k}.yaml`] = job({ ...sleeper(harness), name: word });
    files[`jobs/owner-${k}.yaml`] = job({ ...sleeper(harness), owner: word });
    files[`jobs/queue-${k}.yaml`] = job({ ...sleeper(harness), queue: word });
    files[`jobs/env-${k}.yaml`] = job({ ...sleeper(harness), env: { [word]: "1" } });
    files[`jobs/flag-${k}.yaml`] = job({ ...sleeper(harness), training: { [word]: 1 } });
    files[`jobs/activate-${k}.yaml`] = job({ ...sleeper(harness), activate: word });
  }
  const refused = Object.keys(files);
  for (const [k, word] of words.entries()) {
    files[`jobs/args-${k}.yaml`] = job({
      ...sleeper(harness, "--note", word),
      env: { NOTE: word },
      training: {},
    });
  }
  files["jobs/file-'q' $(x).yaml"] = job(sleeper(harness));
  refused.push("jobs/file-'q' $(x).yaml");
  await harness.push(files);

  for (const [k, word] of words.entries()) {
    const name = `args-${k}`;
    await harness.until(name, (s) => s.phase === "Succeeded", 40_000);
    assert.deepEqual(witnesses(harness.witnessDir, name).map((w) => w.note), [word]);
  }
  const problems = await harness.statusFile("queue.yaml") ?? "";
  const statuses = await harness.statuses();
  for (const file of refused) {
    const status = statuses.find((s) => s.file === file);
    const [found] = status?.problems ?? [];
    if (status === undefined) assert(problems.includes(file.slice(0, 15)), `nothing about ${file}`);
    else assert(found !== undefined && found.line >= 1 && found.column >= 1, `no problem: ${file}`);
  }
  const started = new Set(witnesses(harness.witnessDir).map((w) => w.job));
  assert.deepEqual(started, new Set(words.map((_, k) => `args-${k}`)));
  await assert.rejects(Deno.stat(canary), Deno.errors.NotFound);
});
