import assert from "node:assert/strict";
import { join } from "node:path";
import { CatFile } from "./cat_file.ts";
import { gitEnvironment, sshCommandFor } from "./environment.ts";
import { GitError } from "./error.ts";
import { Git } from "./git.ts";
import { Lab } from "./testing.ts";

/** A PATH on which `git` is this shell script. */
async function fakeGit(dir: string, script: string): Promise<Record<string, string>> {
  await Deno.writeTextFile(join(dir, "git"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { ...Deno.env.toObject(), PATH: `${dir}:${Deno.env.get("PATH")}` };
}

async function inTemp(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("the caller's GIT_ variables do not reach git, credentials and proxies do", () => {
  const env = gitEnvironment({
    GIT_DIR: "/x",
    GIT_INDEX_FILE: "/x",
    GIT_OBJECT_DIRECTORY: "/x",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_PARAMETERS: "'a.b=c'",
    GIT_ALLOW_PROTOCOL: "ext",
    GIT_TERMINAL_PROMPT: "1",
    GIT_TRACE: "1",
    LD_PRELOAD: "/x",
    LC_MESSAGES: "de_DE",
    GIT_ASKPASS: "/ask",
    SSH_AUTH_SOCK: "/agent",
    https_proxy: "http://proxy",
    HOME: "/home/ada",
  }, "ssh -o BatchMode=yes");
  assert.deepEqual(env, {
    GIT_ASKPASS: "/ask",
    SSH_AUTH_SOCK: "/agent",
    https_proxy: "http://proxy",
    HOME: "/home/ada",
    LC_ALL: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_LFS_SKIP_SMUDGE: "1",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_ALLOW_PROTOCOL: "",
    GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
  });
});

Deno.test("ssh never asks unless the caller has chosen an ssh of their own", () => {
  assert.equal(sshCommandFor({}, undefined), "ssh -o BatchMode=yes");
  assert.equal(sshCommandFor({ GIT_SSH_COMMAND: "my-ssh" }, undefined), undefined);
  assert.equal(sshCommandFor({}, "/a'b"), `ssh -o BatchMode=yes -F '/a'\\''b'`);
});

Deno.test("a deadline ends git even when a grandchild holds its pipes", () =>
  inTemp(async (dir) => {
    const git = new Git({ env: await fakeGit(dir, "trap '' TERM; sleep 30 & wait; sleep 30") });
    const start = performance.now();
    await assert.rejects(
      git.mustRun({ args: ["fetch"], deadlineMs: 100 }),
      (error: GitError) => error.uncertain && /no answer within 0.1 s/.test(error.message),
    );
    assert.ok(performance.now() - start < 5000);
    await git.close();
  }));

Deno.test("git's answer does not wait for a background process that keeps the pipe", () =>
  inTemp(async (dir) => {
    const git = new Git({ env: await fakeGit(dir, "echo out; sleep 3 & exit 0") });
    const start = performance.now();
    const result = await git.mustRun({ args: ["fetch"] });
    assert.equal(new TextDecoder().decode(result.stdout), "out\n");
    assert.ok(performance.now() - start < 2500);
    await git.close();
  }));

Deno.test("more output than allowed ends git", () =>
  inTemp(async (dir) => {
    const git = new Git({ env: await fakeGit(dir, "exec yes") });
    const result = await git.run({ args: ["x"], maxOutput: 100_000 });
    assert.equal(result.ending, "too-large");
    assert.equal(result.stdout.length, 0);
    await git.close();
  }));

Deno.test("much talk on stderr is kept to its end", () =>
  inTemp(async (dir) => {
    const script =
      "i=0; while [ $i -lt 5000 ]; do echo 'noise noise noise noise noise noise' >&2;" +
      " i=$((i+1)); done; echo 'fatal: the end' >&2; exit 1";
    const git = new Git({ env: await fakeGit(dir, script) });
    const result = await git.run({ args: ["x"] });
    assert.ok(result.stderr.length <= 128 * 1024);
    assert.match(result.stderr, /fatal: the end\n$/);
    await git.close();
  }));

Deno.test("a machine without git is told so", async () => {
  const git = new Git({ env: { PATH: "/nonexistent" } });
  await assert.rejects(git.mustRun({ args: ["version"] }), /install git/);
  await git.close();
});

Deno.test("close ends what runs, and later calls say so", () =>
  inTemp(async (dir) => {
    const git = new Git({ env: await fakeGit(dir, "exec sleep 30") });
    const running = git.run({ args: ["x"] });
    await git.close();
    assert.equal((await running).ending, "closed");
    assert.equal((await git.run({ args: ["x"] })).ending, "closed");
  }));

Deno.test("transports that are not allowed do not run, whatever the user's configuration says", () =>
  inTemp(async (dir) => {
    const config = join(dir, "gitconfig");
    const alias = '[url "ext::sh -c touch% ' + join(dir, "ran") + '"]\n\tinsteadOf = /evil\n';
    await Deno.writeTextFile(config, `[protocol "ext"]\n\tallow = always\n${alias}`);
    const git = new Git({ env: { ...Deno.env.toObject(), GIT_CONFIG_GLOBAL: config } });
    await assert.rejects(
      git.mustRun({ args: ["ls-remote", "/evil"], protocols: "file" }),
      /transport 'ext' not allowed/,
    );
    await assert.rejects(Deno.stat(join(dir, "ran")), Deno.errors.NotFound);
    await git.close();
  }));

Deno.test("cat-file answers, leaves out large blobs, and is started again when it dies", () =>
  Lab.with(async (lab) => {
    const put = (text: string) =>
      lab.git(["--git-dir", lab.remote, "hash-object", "-w", "--stdin"], text);
    const small = await put("small\n");
    const empty = await put("");
    const large = await put("x".repeat(100_000));
    const git = new Git();
    const cat = new CatFile(git, lab.remote, 10_000);
    const blobs = await cat.read([small, large, empty, small], 1000);
    assert.deepEqual([...blobs.keys()], [small, empty]);
    assert.equal(new TextDecoder().decode(blobs.get(small)), "small\n");
    assert.equal(blobs.get(empty)?.length, 0);
    assert.equal((await cat.read([large], 100_000)).get(large)?.length, 100_000);

    // Objects that came after it was started are seen.
    const later = await put("later\n");
    assert.equal((await cat.read([later], 100)).size, 1);

    for (const pid of await childrenNamed("cat-file")) Deno.kill(pid, "SIGKILL");
    const both = await Promise.all([cat.read([small], 100), cat.read([later], 100)]);
    assert.equal(both[0].size + both[1].size, 2);

    await assert.rejects(cat.read(["0".repeat(40)], 10), /not in the mirror/);
    await assert.rejects(cat.check(["a\nb"]), /line break/);
    assert.deepEqual(await cat.check(["main:none", "0".repeat(40)]), [undefined, undefined]);
    await cat.close();
    await assert.rejects(cat.read([small], 10), /closed/);
    await git.close();
  }));

/** Ids of child processes of this one whose command line holds a word. */
async function childrenNamed(word: string): Promise<number[]> {
  // By a shell: Deno reads /proc only when it may do everything.
  const script = `for d in /proc/[0-9]*; do
    [ "$d" = "/proc/$$" ] && continue
    grep -q "^PPid:[[:space:]]*$1\$" $d/status 2>/dev/null || continue
    tr '\\0' ' ' <$d/cmdline 2>/dev/null | grep -qF -- "$2" && echo "\${d#/proc/}"
  done; true`;
  const args = ["-c", script, "sh", String(Deno.pid), word];
  const { stdout } = await new Deno.Command("sh", { args }).output();
  return new TextDecoder().decode(stdout).split("\n").filter(Boolean).map(Number);
}
