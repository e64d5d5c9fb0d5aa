import assert from "node:assert/strict";
import { type Answer, PYTHON, read, Runner, scenario } from "./fixtures/runner.ts";

const DIGEST = "d".repeat(40);

/** A tar made by Python's own tarfile from `add(name, type, content or link)` lines. */
async function tar(members: [name: string, type: string, content: string][]): Promise<Uint8Array> {
  const script = `import io, json, sys, tarfile
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT,
                  pax_headers={"comment": "c0ffee"}) as t:
    for name, kind, content in json.loads(sys.argv[1]):
        m = tarfile.TarInfo(name)
        m.type = kind.encode()
        m.mode = 0o755 if name.endswith(".sh") else 0o644
        data = content.encode() if kind == "0" else b""
        m.size, m.linkname = len(data), "" if kind == "0" else content
        t.addfile(m, io.BytesIO(data))
sys.stdout.buffer.write(out.getvalue())`;
  const args = ["-c", script, JSON.stringify(members)];
  return (await new Deno.Command(PYTHON, { args }).output()).stdout;
}

async function put(runner: Runner, digest: string, data: Uint8Array, parts = 1): Promise<Answer> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data.slice())).toHex();
  const size = Math.ceil(data.length / parts);
  let answer: Answer = {};
  for (let offset = 0; offset < data.length; offset += size) {
    const chunk = data.slice(offset, offset + size);
    const fields = { digest, sha256: hash, offset, data: chunk.toBase64() };
    const last = offset + size >= data.length;
    answer = await runner.ask("code-put", { ...fields, last });
    if (!last) await runner.ask("code-put", { ...fields, last }); // a repeated piece does no harm
  }
  return answer;
}

scenario(
  "code is shipped in pieces, unpacked once, and its files cannot be changed",
  async (workdir) => {
    await using first = await Runner.open(workdir);
    await using second = await Runner.open(workdir);
    const data = await tar([
      ["train.py", "0", "import lib, sys, os; print(lib.x, sys.argv[1:], os.getcwd())"],
      ["lib.py", "0", "x = 7"],
      ["bin/run.sh", "0", "#!/bin/sh\n"],
      ["bin/link", "2", "../lib.py"],
    ]);
    assert.equal((await first.launch("demo", { code: DIGEST })).error?.code, "not-found");
    const both = await Promise.all([put(first, DIGEST, data, 3), put(second, DIGEST, data, 2)]);
    assert.deepEqual(both.map((answer) => answer.result?.received), [data.length, data.length]);
    assert.equal((await first.ask("code-has", { digest: DIGEST })).result.has, true);
    const root = `${await Deno.realPath(workdir)}/code`;
    assert.deepEqual([...Deno.readDirSync(root)].map((entry) => entry.name), [DIGEST]);
    assert.equal((await Deno.stat(`${root}/${DIGEST}/bin/run.sh`)).mode! & 0o777, 0o555);
    assert.equal((await Deno.stat(`${root}/${DIGEST}`)).mode! & 0o777, 0o700);

    const program = { kind: "script", path: "train.py" };
    await first.launch("demo", { code: DIGEST, program, args: ["--x"] });
    const run = await first.until("demo", "exited");
    assert.equal(run.exit?.code, 0, await first.tail("demo", "stderr"));
    assert.equal(await first.tail("demo"), `7 ['--x'] ${root}/${DIGEST}\n`);
    assert.equal(await read(`${root}/${DIGEST}/__pycache__`), undefined);
  },
);

scenario(
  "an archive that is damaged or leads outside is refused and leaves nothing",
  async (workdir) => {
    await using runner = await Runner.open(workdir);
    const evil: Record<string, [string, string, string][]> = {
      "an absolute path": [["/tmp/x", "0", "x"]],
      "a path with ..": [["a/../../x", "0", "x"]],
      "an absolute link": [["a", "2", "/etc"]],
      "a link outside": [["d/a", "2", "../../x"]],
      "a link outside by way of another": [["a/b/l", "2", "../.."], ["m", "2", "a/b/l/.."]],
      "a file through a link": [["a", "2", "."], ["a/x", "0", "x"]],
      "a hard link": [["a", "1", "/etc/passwd"]],
      "a device": [["a", "3", ""]],
      "a pipe": [["a", "6", ""]],
      "a file twice": [["a", "0", "1"], ["a", "0", "2"]],
    };
    for (const [what, members] of Object.entries(evil)) {
      const answer = await put(runner, DIGEST, await tar(members));
      assert.equal(answer.error?.code, "invalid", what);
    }
    assert.equal(
      (await put(runner, DIGEST, new TextEncoder().encode("no tar"))).error?.code,
      "invalid",
    );
    const fields = { digest: DIGEST, sha256: "0".repeat(64), offset: 0, data: "AAAA", last: true };
    assert.match((await runner.ask("code-put", fields)).error!.message, /arrived damaged/);
    const gap = await runner.ask("code-put", { ...fields, offset: 5 });
    assert.equal(gap.error?.code, "invalid");
    assert.deepEqual([...Deno.readDirSync(`${workdir}/code`)], []);
  },
);

scenario(
  "code that nobody used for a month is removed, unless a run stands on it",
  async (workdir) => {
    const program = { kind: "script", path: "wait.py" };
    const data = await tar([["wait.py", "0", "import time; time.sleep(60)"]]);
    const other = "e".repeat(40);
    {
      await using runner = await Runner.open(workdir);
      for (const digest of [DIGEST, other]) {
        assert.equal(
          (await put(runner, digest, data)).ok,
          true,
        );
      }
      await runner.launch("demo", { code: DIGEST, program });
      await runner.until("demo", "running");
    }
    for (const digest of [DIGEST, other]) await Deno.utime(`${workdir}/code/${digest}`, 1e9, 1e9);
    await using again = await Runner.open(workdir);
    const has = async (digest: string) => (await again.ask("code-has", { digest })).result.has;
    assert.deepEqual([await has(DIGEST), await has(other)], [true, false]);
    await again.stop("demo", 0);
    await again.until("demo", "exited");
  },
);

scenario("a transfer that another session has overtaken leaves nothing", async (workdir) => {
  await using slow = await Runner.open(workdir);
  await using fast = await Runner.open(workdir);
  const data = await tar([["a.py", "0", "x = 1"]]);
  const piece = { digest: DIGEST, sha256: "0".repeat(64), data: data.slice(0, 512).toBase64() };
  assert.equal((await slow.ask("code-put", { ...piece, offset: 0, last: false })).ok, true);
  assert.equal((await put(fast, DIGEST, data)).ok, true);
  assert.equal((await slow.ask("code-put", { ...piece, offset: 512, last: false })).ok, true);
  const left = [...Deno.readDirSync(`${workdir}/code`)].map((entry) => entry.name);
  assert.deepEqual(left, [DIGEST]);
});
