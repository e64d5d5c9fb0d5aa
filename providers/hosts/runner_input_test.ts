import assert from "node:assert/strict";
import { read, Runner, scenario } from "./fixtures/runner.ts";

scenario("what is not a request is refused and never ends the session", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const line of ["{", "[]", '"x"', '{"id":true,"op":"observe"}', "[".repeat(100_000), ""]) {
    assert.equal((await runner.refused(line)).error?.code, "invalid", line.slice(0, 40));
  }
  assert.equal((await runner.refused("x".repeat(9 << 20))).error?.code, "invalid");
  assert.equal((await runner.ask("__class__")).error?.code, "invalid");
  assert.equal((await runner.ask("observe", { checkpoints: 3 })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { args: ["nul\0"] })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { args: ["\ud800"] })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { env: { "a b": "" } })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { nodes: 1.5 })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { python: "-c" })).error?.code, "invalid");
  assert.deepEqual(await runner.runs(), []);
});

scenario("no name leads out of the work directory", async (workdir) => {
  await using runner = await Runner.open(workdir);
  for (const job of ["..", "a/b", "../../x", "A", "-a", "a".repeat(64), "a\n"]) {
    assert.equal((await runner.launch(job)).error?.code, "invalid", job);
    assert.equal((await runner.stop(job, 0)).error?.code, "invalid", job);
    assert.equal(
      (await runner.ask("clean", { job, throughAttempt: 1 })).error?.code,
      "invalid",
      job,
    );
  }
  assert.equal((await runner.launch("demo", {}, { attempt: "../1" })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", {}, { rank: -1 })).error?.code, "invalid");
  assert.equal((await runner.ask("code-has", { digest: "../../x" })).error?.code, "invalid");
  assert.equal((await runner.launch("demo", { code: "/etc" })).error?.code, "invalid");
});

scenario("no shell reads what a job says", async (workdir) => {
  await using runner = await Runner.open(workdir);
  const evil = [
    `$(touch ${workdir}/x)`,
    `\`touch ${workdir}/x\``,
    "; exit 9",
    "'\"",
    "--",
    "$$ ${x}",
  ];
  await runner.launch("demo", {
    program: { kind: "command", argv: ["printf", "%s\\n"] },
    args: evil,
    env: { EVIL: `$(touch ${workdir}/x)` },
    rendezvousId: `../$(touch ${workdir}/x)`,
  });
  const run = await runner.until("demo", "exited");
  assert.equal(run.exit?.code, 0);
  assert.equal(await runner.tail("demo"), evil.join("\n") + "\n");
  assert.equal(await read(`${workdir}/x`), undefined);
});

scenario("a work directory belongs to the state repository that used it first", async (workdir) => {
  await using first = await Runner.open(workdir);
  assert.equal((await first.ask("hello", { workdir, epoch: 1, repository: "r1" })).ok, true);
  const { error } = await first.ask("hello", { workdir, epoch: 9, repository: "other" });
  assert.equal(error?.code, "conflict");
  assert.match(error?.message ?? "", /belongs to another/);
});
