/** What the tasks may do is what docs/security.md says, and it is enough. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import SECURITY from "../docs/security.md" with { type: "text" };

const TASKS = ["start", "once", "demo", "ugro"] as const;
type Task = typeof TASKS[number];

/** `read .ugro`, `env HOME`, `run git`; `read everything` where there is no list. */
type Rights = Set<string>;

const root = fileURLToPath(new URL("../", import.meta.url));

/** The words of a task after `deno run`. */
function words(task: Task): string[] {
  return config.tasks[task].command.replace(/^.* deno run /, "").split(" ");
}

/** What a set of deno.json grants; flags of the command line take the place of its lists. */
function granted(task: Task): Rights {
  const rights = new Map<string, readonly string[]>();
  for (const word of words(task)) {
    const [, set, kind, list] = /^(?:-P=(\w+)|--allow-(\w+)(?:=(.*))?)$/.exec(word) ?? [];
    if (set !== undefined) {
      const entries = Object.entries(config.permissions[set as keyof typeof config.permissions]);
      for (const [name, value] of entries) {
        const allowed: readonly string[] | boolean = typeof value === "object" && "allow" in value
          ? value.allow
          : value;
        rights.set(name, typeof allowed === "boolean" ? ["everything"] : allowed);
      }
    } else if (kind !== undefined) rights.set(kind, list?.split(",") ?? ["everything"]);
    else assert.match(word, /^(-q|--no-prompt|main\.ts|start|once|demo)$/, `in the task ${task}`);
  }
  return new Set(
    [...rights].flatMap(([kind, values]) => values.map((value) => `${kind} ${value}`)),
  );
}

/** What the table of docs/security.md says: `| right | to what | tasks | why |`. */
function documented(task: Task): Rights {
  const rights: Rights = new Set();
  for (const line of SECURITY.split("\n")) {
    const [, kind = "", values = "", tasks = ""] = line.split("|").map((cell) => cell.trim());
    if (!/^`(read|write|run|net|env|sys)`$/.test(kind) || !tasks.includes(`\`${task}\``)) continue;
    const listed = values.match(/(?<=`)[^`,]+(?=`)/g) ?? ["everything"];
    for (const value of listed) rights.add(`${kind.slice(1, -1)} ${value.trim()}`);
  }
  return rights;
}

for (const task of TASKS) {
  Deno.test(`the task ${task} has exactly the rights that docs/security.md lists`, () => {
    assert.deepEqual([...granted(task)].sort(), [...documented(task)].sort());
  });
}

Deno.test("no task reads variables past its list, asks, or has a right without a name", () => {
  for (const set of Object.values(config.permissions)) assert.equal(set.env.ignore, true);
  for (const task of TASKS) {
    assert.ok(words(task).includes("--no-prompt"));
    assert.doesNotMatch(config.tasks[task].command, /\s-A\b|--allow-(all|ffi|import|scripts)/);
  }
});

/** Runs a task's command with more words at its end; flags stand before `main.ts`. */
async function run(task: Task, flags: readonly string[], args: readonly string[]) {
  const at = words(task).indexOf("main.ts");
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...words(task).slice(0, at), ...flags, ...words(task).slice(at), ...args],
    cwd: root,
    env: { NO_COLOR: "1", LOG_TOKENS: "1", GIT_CONFIG_GLOBAL: "/dev/null" },
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** A state repository with one local node and one job, in a folder of its own. */
async function makeRepository(dir: string): Promise<string> {
  const repo = `${dir}/state.git`;
  const cluster = `nodes:\n  - {name: n1, local: true, cpuSlots: 1, workdir: ${dir}/n1}\n`;
  const job = "command: ['true']\nlauncher: processes\n";
  const script = [
    `git init -q --bare -b main ${repo}`,
    `git clone -q ${repo} ${dir}/work 2>&1`,
    `cd ${dir}/work && mkdir jobs`,
    `printf %s "$CLUSTER" >cluster.yaml && printf %s "$JOB" >jobs/a.yaml`,
    "git add . && git -c user.name=a -c user.email=a@example.org commit -qm first",
    "git push -q origin HEAD:main",
  ].join(" && ");
  const { success } = await new Deno.Command("sh", {
    args: ["-c", script],
    env: { CLUSTER: cluster, JOB: job },
  }).output();
  assert.ok(success);
  return repo;
}

Deno.test("one pass works with these rights, and they end at the state folder", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ugro-rights-" });
  try {
    const repo = await makeRepository(dir);
    const state = `${dir}/service`;
    const args = ["--repo", repo, "--state-dir", state];
    const refused = await run("once", [], args);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Requires (read|write) access to/);
    // As docs/security.md tells those who choose another folder.
    const moved = [`--allow-read=${state}`, `--allow-write=${state}`];
    const done = await run("once", moved, args);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr, /"msg":"launch","job":"a"/);
    assert.doesNotMatch(done.stderr, /Requires|NotCapable|Warning/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("the page listens at its own address only, and help needs no more rights", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ugro-rights-" });
  const moved = [`--allow-read=${dir}`, `--allow-write=${dir}`];
  const args = ["--repo", "/nowhere", "--state-dir", dir, "--listen", "127.0.0.1:8421"];
  try {
    const other = await run("start", moved, args);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /Requires net access to "127\.0\.0\.1:8421"/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  for (const task of ["start", "once", "ugro"] as const) {
    assert.deepEqual(await run(task, [], ["--help"]), { code: 0, stderr: "" });
  }
});
