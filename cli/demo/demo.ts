/**
 * `ugro demo`: the whole idea on one machine in under a minute. A bare repository and three local
 * nodes in a temporary folder, a job that trains for real, a rank killed halfway, and the restart
 * from its checkpoint. Leaves nothing behind.
 *
 * @module
 */
import type { Attempt, JobStatus } from "../../jobs/status.ts";
import type { Controller } from "../../reconciler/controller.ts";
import type { Fleet } from "../../reconciler/ports.ts";
import type { NodeName } from "../../cluster/node.ts";
import { runService, type ServiceHooks } from "../service.ts";
import { Stage } from "./stage.ts";
import { say, tellStatus } from "./voice.ts";

type Started = Parameters<NonNullable<ServiceHooks["onStarted"]>>[0];

/** The demo gives up after this long: something is broken then. */
const LIMIT_MS = 100_000;

/** Runs the demo; gives the exit code. */
export async function demo(): Promise<number> {
  const stop = new AbortController();
  const stage = await Stage.build();
  const service = Promise.withResolvers<Started>();
  let running: Promise<number> | undefined;
  try {
    introduce(stage);
    await stage.push();
    running = runService(stage.serviceOptions(), {
      signal: stop.signal,
      log: (level, msg, fields) => {
        if (level === "error" || level === "warn") {
          say(`  [${level}] ${msg} ${JSON.stringify(fields)}`);
        }
      },
      onStarted: service.resolve,
    });
    const ended = running.then((code) => {
      throw new Error(`Cannot go on: the service ended with exit code ${code}`);
    });
    ended.catch(() => {});
    return await Promise.race([play(stage, await Promise.race([service.promise, ended])), ended]);
  } catch (error) {
    say(`\nThe demo failed: ${(error as Error).message}`);
    return 1;
  } finally {
    stop.abort();
    await running?.catch(() => {});
    await stage.clear();
    say("Everything that the demo made is gone again: processes, nodes, repository.");
  }
}

function introduce(stage: Stage): void {
  say("UGRO demo: a git repository, three nodes (local ones, in folders), one training job.\n");
  say(`A bare repository and three nodes are in ${stage.dir}`);
  say(
    stage.trainer === "torch"
      ? "PyTorch was found: the job is a real DDP training under torchrun."
      : "No PyTorch here, so a small trainer of Python's standard library takes its place:\n" +
        "the same environment, the same checkpoints, real processes that average gradients.",
  );
  say("\n$ git show main:cluster.yaml main:jobs/demo.yaml\n");
  say(stage.files.get("cluster.yaml") ?? "");
  say(stage.files.get("jobs/demo.yaml") ?? "");
  say("$ git push        # this was all; from here on UGRO works by itself\n");
}

/** The story, once the service runs. */
async function play(stage: Stage, { controller, fleet }: Started): Promise<number> {
  const watch = new Watch(controller);
  await watch.until((job) => job.phase === "Running");
  await training(fleet, watch, stage.killAfterStep);
  const victim = watch.attempt.placement[1];
  say(`\nNow rank 1 on ${victim?.node} gets SIGKILL, as if the machine had a bad day:`);
  const killed = watch.attempt.attempt;
  say(`$ kill -9 ${await stage.killRank(killed, 1)}\n`);
  await watch.until((job) => job.attempt > killed && job.phase === "Running");
  say(`    resumed from step ${watch.attempt.resumedFrom?.step ?? "?"}, not from the beginning`);
  const done = await watch.until((job) => job.phase === "Succeeded" || job.phase === "Failed");
  await showEnd(stage, fleet, done, watch.attempt);
  const resumed = done.attempts.some((attempt) => (attempt.resumedFrom?.step ?? 0) > 0);
  return done.phase === "Succeeded" && resumed ? 0 : 1;
}

/** Shows what rank 0 prints until it has passed a step. */
async function training(fleet: Fleet, watch: Watch, step: number): Promise<void> {
  const shown = new Set<string>();
  await watch.poll(async () => {
    for (const line of await tail(fleet, watch.attempt)) {
      const at = Number(/step[ =](\d+)/.exec(line)?.[1] ?? 0);
      if (at > 0 && at % 10 === 0 && !shown.has(line)) say(`    rank 0: ${line}`);
      shown.add(line);
      if (at >= step) return true;
    }
    return false;
  });
}

async function tail(fleet: Fleet, attempt: Attempt): Promise<string[]> {
  const node = attempt.placement[0]?.node as NodeName;
  const run = { job: "demo", attempt: attempt.attempt, rank: 0 };
  const text = await fleet.tail(node, run, 0, "stdout", 8192);
  return text.kind === "ok" ? text.value.split("\n").filter((line) => line !== "") : [];
}

async function showEnd(
  stage: Stage,
  fleet: Fleet,
  done: JobStatus,
  attempt: Attempt,
): Promise<void> {
  const lines = await tail(fleet, attempt);
  await stage.untilRecorded(done.phase);
  say("\n$ git log --reverse --format='%h %s' ugro/status\n");
  say(await stage.statusLog());
  say("\n$ git show ugro/status:jobs/demo.yaml     # in short");
  for (const a of done.attempts) {
    const from = a.resumedFrom ? `, from step ${a.resumedFrom.step}` : "";
    say(
      `    attempt ${a.attempt} on ${a.placement.map((p) => p.node).join(", ")}${from}: ${a.end}`,
    );
  }
  say(`    result: ${done.phase}; last line of rank 0: ${lines.at(-1) ?? "(none)"}\n`);
}

/** Follows the job as the controller sees it, and tells each transition once. */
class Watch {
  #told = "";
  #status: JobStatus | undefined;
  readonly #until = Date.now() + LIMIT_MS;

  constructor(private readonly controller: Controller) {}

  /** The newest attempt. */
  get attempt(): Attempt {
    const attempt = this.#status?.attempts.at(-1);
    if (!attempt) throw new Error("the job was never launched");
    return attempt;
  }

  async until(reached: (job: JobStatus) => boolean): Promise<JobStatus> {
    await this.poll(() => {
      if (this.#status?.phase === "Failed") return true;
      return this.#status !== undefined && reached(this.#status);
    });
    return this.#status as JobStatus;
  }

  async poll(done: () => boolean | Promise<boolean>): Promise<void> {
    while (Date.now() < this.#until) {
      this.#look();
      if (await done()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`nothing happened within ${LIMIT_MS / 1000} s; the job is ${this.#told}`);
  }

  #look(): void {
    const status = this.controller.snapshot?.plan.statuses.get("demo");
    if (!status) return;
    this.#status = status;
    const text = `${status.phase}/${status.reason}/${status.attempt}`;
    if (text !== this.#told) tellStatus(status);
    this.#told = text;
  }
}
