/** The lab itself: is it what the other tests take it for? */
import assert from "node:assert/strict";
import { launchByHand } from "../../bench/handmade.ts";
import { type Lab, startLab, sweep } from "./lab.ts";
import { eventually, killQuietly, liveProcesses, must, run } from "./processes.ts";
import { labSuite } from "./suite.ts";

const suite = await labSuite();

/** Copies scripts to where all hosts see them, wherever this checkout is; gives the first's path. */
async function shared(lab: Lab, ...names: string[]): Promise<string> {
  for (const name of names) {
    await Deno.copyFile(new URL(`./scripts/${name}`, import.meta.url), `${lab.shared}/${name}`);
  }
  return `${lab.shared}/${names[0]}`;
}

suite.test("each host is a machine of its own behind ssh", {}, async ({ lab }) => {
  assert.equal(lab.hosts.length, 3);
  for (const host of lab.hosts) {
    const answer = await lab.ssh(host, "cd && pwd");
    assert.equal(answer.code, 0, answer.stderr);
    if (lab.kind === "namespaces") assert.equal(answer.stdout, `${host.home}\n`);
    const gpus = await lab.ssh(
      host,
      "nvidia-smi --query-gpu=index,uuid,memory.total,fan.speed --format=csv,noheader,nounits",
    );
    const uuid = (await host.readGpus()).gpus[0]?.uuid;
    assert.equal(gpus.stdout, `0, ${uuid}, 24564, [N/A]\n`, gpus.stderr);
  }
});

suite.test(
  "names, boot ids, /tmp and processes are not shared",
  { namespaces: true },
  async (t) => {
    const ids = new Set<string>();
    for (const host of t.lab.hosts) {
      const facts = await t.lab.ssh(
        host,
        "hostname; cat /proc/sys/kernel/random/boot_id; touch /tmp/mine-$(hostname); ls /tmp; echo ~",
      );
      const [name, bootId] = facts.stdout.split("\n");
      assert.equal(name, host.name);
      ids.add(bootId ?? "");
      for (const other of t.lab.hosts) {
        assert.equal(facts.stdout.includes(`mine-${other.name}`), other === host);
      }
      assert.deepEqual(host.pids("no such text"), []);
    }
    assert.equal(ids.size, 3);
  },
);

suite.test("an unknown host key is refused", {}, async ({ lab }) => {
  const [host] = lab.hosts;
  assert(host);
  const known = await Deno.makeTempFile();
  const answer = await run([
    ...["ssh", "-F", lab.sshConfig, "-o", `UserKnownHostsFile=${known}`, host.name, "true"],
  ] as [string, ...string[]]);
  await Deno.remove(known);
  assert.equal(answer.code, 255);
  assert.match(answer.stderr, /Host key verification failed/);
});

suite.test("nvidia-smi shows ranks and foreign processes, fails and hangs", {}, async ({ lab }) => {
  const [host] = lab.hosts;
  assert(host);
  const before = await host.readGpus();
  const uuid = before.gpus[0]?.uuid ?? "";
  const query = ["nvidia-smi", "--query-compute-apps=gpu_uuid,pid,used_gpu_memory"] as const;
  const format = "--format=csv,noheader,nounits";
  const rank = host.exec(["python3", "-c", "import time; time.sleep(20)"], {
    env: { RANK: "0", LOCAL_RANK: "0", CUDA_VISIBLE_DEVICES: uuid },
  });
  const shown = await eventually("see the rank", 5_000, async () => {
    const { stdout } = await host.exec([...query, format]);
    return stdout === "" ? undefined : stdout;
  });
  const [process] = host.pids(`CUDA_VISIBLE_DEVICES=${uuid}`)
    .filter((p) => p.argv.at(-1)?.startsWith("import time"));
  assert(process);
  assert.equal(shown, `${uuid}, ${process.innerPid}, 512\n`);
  killQuietly(process.pid);
  await rank;
  const foreign = { gpu_uuid: uuid, pid: 4711, process_name: "x", used_gpu_memory: null };
  await host.changeGpus((state) => ({ ...state, processes: [foreign] }));
  assert.equal((await host.exec([...query, format])).stdout, `${uuid}, 4711, [N/A]\n`);
  await host.changeGpus((state) => ({ ...state, mode: "fail" }));
  assert.equal((await host.exec([...query, format])).code, 9);
  await host.changeGpus((state) => ({ ...state, mode: "hang" }));
  const hung = await host.exec(["timeout", "0.5", ...query, format]);
  assert.equal(hung.code, 124);
  await host.changeGpus(() => before);
  assert.equal((await host.exec(["nvidia-smi", "--query-gpu=nonsense", format])).code, 2);
});

suite.test("torchrun by hand trains over three hosts", { torch: true }, async ({ lab, python }) => {
  const args = ["--steps=6", "--step-time=0", `--checkpoint-dir=${lab.shared}/by-hand`];
  const { codes, output, firstLineMs } = await launchByHand(lab, {
    python,
    script: await shared(lab, "ddp.py", "witness.py"),
    args,
  });
  assert.deepEqual(codes, [0, 0, 0], output.join("\n"));
  for (const text of output) assert.match(text, /step 6 loss/);
  assert((await Deno.stat(`${lab.shared}/by-hand/step-6.pt`)).isFile);
  console.log(`torchrun by hand over three hosts: first lines after ${Math.round(firstLineMs)} ms`);
});

suite.test("a crash takes everything, a boot gives a new identity", {}, async ({ lab }) => {
  const host = lab.host("h2");
  const bootId = await Deno.readTextFile(`${host.dir}/boot_id`).catch(() => "");
  await lab.ssh(host, "UGRO_MARK=survivor setsid sleep 300 >/dev/null 2>&1 </dev/null &");
  await eventually("see it", 3_000, () => host.pids("UGRO_MARK=survivor")[0]);
  await host.crash();
  const left = liveProcesses((p) => p.environ.get("UGRO_MARK") === "survivor");
  assert.deepEqual(left, []);
  const dead = await run(
    ["ssh", "-F", lab.sshConfig, "-o", "ConnectTimeout=1", host.name, "true"],
  );
  assert.equal(dead.code, 255);
  await host.boot();
  const answer = await lab.ssh(host, "cat /proc/sys/kernel/random/boot_id");
  assert.equal(answer.code, 0, answer.stderr);
  if (lab.kind === "namespaces") assert.notEqual(answer.stdout, bootId);
});

suite.test("a cut host goes on and answers again", { namespaces: true }, async ({ lab }) => {
  const host = lab.host("h3");
  await lab.ssh(host, "UGRO_MARK=cut setsid sleep 300 >/dev/null 2>&1 </dev/null &");
  await host.cut();
  const away = await run(
    ["ssh", "-F", lab.sshConfig, "-o", "ConnectTimeout=1", host.name, "true"],
  );
  assert.equal(away.code, 255);
  const [process] = host.pids("UGRO_MARK=cut");
  assert(process);
  await host.restore();
  assert.equal((await lab.ssh(host, "true")).code, 0);
  killQuietly(process.pid);
});

suite.test("two labs coexist, and a killed owner leaves nothing", {}, async ({ lab }) => {
  const folder = await Deno.makeTempDir();
  const second = await startLab({ hosts: 1, dir: folder });
  const [host] = second.hosts;
  assert(host);
  assert.equal((await second.ssh(host, "true")).code, 0);
  assert.equal((await lab.ssh(lab.host("h1"), "true")).code, 0);
  await second.stop();
  await assertNothingLeft(second.id);

  const module = new URL("./lab.ts", import.meta.url).href;
  const owner = await run([
    Deno.execPath(),
    "eval",
    `
    import { startLab } from "${module}";
    const lab = await startLab({ hosts: 1, dir: "${folder}" });
    await lab.ssh(lab.hosts[0], "setsid sleep 300 >/dev/null 2>&1 </dev/null &");
    await Deno.writeTextFile("${folder}/id", lab.id);
    Deno.kill(Deno.pid, "SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 10_000));
  `,
  ]);
  assert.notEqual(owner.code, 0);
  const id = await Deno.readTextFile(`${folder}/id`);
  await eventually("end the killed owner's lab", 5_000, () => {
    return liveProcesses((p) => p.environ.get("UGRO_LAB_ID") === id).length === 0 || undefined;
  });
  await assertNothingLeft(id);
  assert.deepEqual(await sweep(), []);
  await Deno.remove(folder, { recursive: true });
});

async function assertNothingLeft(id: string): Promise<void> {
  const carries = (text: string) => text.includes(id);
  const processes = liveProcesses((p) =>
    p.pid !== Deno.pid && (p.environ.get("UGRO_LAB_ID") === id || p.argv.some(carries))
  );
  assert.deepEqual(processes.map((p) => p.argv.join(" ")), []);
  assert(!carries(await must(["cat", "/proc/self/mounts"])), "a mount is left");
  assert(!carries((await run(["ip", "link"])).stdout), "a network interface is left");
}
