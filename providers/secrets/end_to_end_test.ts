/** From a manifest to the environment of a real process, with the real runner and `age`. */
import assert from "node:assert/strict";
import type { NodeName } from "../../cluster/node.ts";
import type { DesiredJob } from "../../jobs/job.ts";
import type { RunRecord } from "../../jobs/run.ts";
import { DesiredReader } from "../../reconciler/desired.ts";
import { execute } from "../../reconciler/execute.ts";
import type { Fleet, StateRepository, TreeEntry } from "../../reconciler/ports.ts";
import { attempt } from "../../reconciler/testing/build.ts";
import { claim, WatchedFleet } from "../hosts/fixtures/fleet.ts";
import { redactingFleet } from "./fleet.ts";
import { ControllerSecrets } from "./store.ts";
import { encrypt, FIXTURES, privateFolder, withoutAge, write } from "./testing.ts";

const SCRIPT = `import os, sys
names = ["TRACKER", "HUB", "DATABASE", "BUCKET"]
open(os.environ["OUT"], "w").write(",".join(os.environ[name] for name in names))
sys.exit("refused: " + os.environ["DATABASE"] + " and " + os.environ["BUCKET"])
`;
const VALUES = ["tracker-value", "hub-value", "postgres://ada:pw@db", "hf_abcdef0123456789"];

/** As much of a state repository as reading a commit takes. */
function repositoryOf(files: Readonly<Record<string, string>>): StateRepository {
  const bytes = new Map(
    Object.entries(files).map(([path, text]) => [
      path,
      new TextEncoder().encode(text),
    ]),
  );
  const entries = [...bytes].map(([path, content]): TreeEntry => ({
    mode: "100644",
    oid: `oid of ${path}`,
    size: content.length,
    path,
  }));
  const known: Partial<StateRepository> = {
    listTree: () => Promise.resolve(entries),
    readBlobs: (oids) =>
      Promise.resolve(
        new Map(oids.flatMap((oid) => {
          const found = bytes.get(oid.replace("oid of ", ""));
          return found ? [[oid, found] as const] : [];
        })),
      ),
  };
  return known as StateRepository;
}

const manifest = (out: string) => `
command: [python3, -c, ${JSON.stringify(SCRIPT)}]
env: {OUT: ${JSON.stringify(out)}}
secrets:
  TRACKER: {env: TRACKER_KEY}
  HUB: {file: hub}
  DATABASE: {age: secrets/db.age}
  BUCKET: {sops: secrets/lab.yaml, key: hf.token}
`;

async function ended(fleet: Fleet): Promise<RunRecord> {
  for (let tries = 0; tries < 300; tries++) {
    const [node] = (await fleet.observe([])).values();
    const run = node?.state === "reachable" ? node.runs[0] : undefined;
    if (run?.state === "exited") return run;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the run did not end");
}

async function launched(
  job: DesiredJob,
  doors: Parameters<typeof execute>[2],
  reader: DesiredReader,
) {
  const cluster = (await reader.read("c1")).value?.cluster;
  assert(cluster);
  doors.fleet.configure(cluster.nodes, claim(1));
  await doors.fleet.observe([]);
  return await execute(
    [{
      kind: "launch",
      job,
      attempt: attempt(1, ["n1"], { codeDigest: null }),
      ranks: [0],
      masterPort: null,
      because: "test",
    }],
    cluster,
    doors,
  );
}

/** What stands in the files that are ours: all but what the rank itself printed. */
async function written(folder: string): Promise<string> {
  const texts: string[] = [];
  for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "logs") texts.push(await written(path));
    if (isFile) texts.push(await Deno.readTextFile(path));
  }
  return texts.join("\n");
}

Deno.test({
  name: "secrets of all four kinds reach the rank, and nothing that anybody reads",
  ignore: await withoutAge(),
  async fn() {
    const { folder, identity } = await privateFolder();
    const work = await Deno.makeTempDir({ prefix: "ugro-work-" });
    const logged: unknown[] = [];
    const hosts = new WatchedFleet();
    try {
      await write(`${folder}/hub`, "hub-value\n");
      const database = await encrypt("postgres://ada:pw@db\n", identity, "--armor");
      const repository = repositoryOf({
        "cluster.yaml": `nodes: [{name: n1, local: true, cpuSlots: 1, workdir: ${work}/node}]\n`,
        "jobs/a.yaml": manifest(`${work}/out`),
        "secrets/db.age": new TextDecoder().decode(database),
        "secrets/lab.yaml": await Deno.readTextFile(new URL("lab.yaml", FIXTURES)),
      });
      const secrets = new ControllerSecrets({
        folder,
        identity,
        readBlobs: (oids, maxBytes) => repository.readBlobs(oids, maxBytes),
        env: (name) => name === "UGRO_SECRET_TRACKER_KEY" ? "tracker-value" : undefined,
      });
      const reader = new DesiredReader(repository, {}, secrets);
      const job = (await reader.read("c1")).value?.jobs.get("a");
      assert(job);
      assert.equal(job.blocked, undefined, job.blocked?.message);
      const fleet = redactingFleet(hosts, (text) => secrets.redact(text));
      const log = (...line: unknown[]) => void logged.push(line);
      const done = await launched(job, { repository, fleet, secrets, log }, reader);
      assert.deepEqual([...done.failures.values()], []);
      const run = await ended(fleet);
      assert.equal(await Deno.readTextFile(`${work}/out`), VALUES.join(","));
      const said = "refused: [secret DATABASE] and [secret BUCKET]";
      assert.equal(run.error?.message, said);
      const tail = await fleet.tail(
        "n1" as NodeName,
        { job: "a", attempt: 1, rank: 0 },
        0,
        "stderr",
        999,
      );
      assert.deepEqual(tail, { kind: "ok", value: `${said}\n` });
      const seen = [
        await written(`${work}/node`),
        JSON.stringify([job, run, logged, hosts.logged]),
      ];
      for (const value of VALUES) {
        for (const text of seen) assert(!text.includes(value), `${value} stands in what is ours`);
      }
    } finally {
      await hosts.close();
      for (const path of [folder, work]) await Deno.remove(path, { recursive: true });
    }
  },
});
