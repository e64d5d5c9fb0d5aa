/**
 * The driver: lets people push and faults happen when the scenario says so, and mends everything
 * when the calm begins.
 *
 * @module
 */
import type { VirtualClock } from "../../providers/sim/clock.ts";
import { isLive } from "../../providers/sim/run.ts";
import type { SimMachine } from "../../providers/sim/machine.ts";
import type { SimRemote } from "../../providers/sim/repository.ts";
import type { SimWorld } from "../../providers/sim/world.ts";
import { namesOf, type People } from "./people.ts";
import type { SimProcess } from "./process.ts";
import type { Fault, Scenario } from "./scenario.ts";

/** When somebody other than UGRO last changed its branches. */
export interface Tampered {
  statusAtMs: number;
  leaseAtMs: number;
  /** When the status branch was last set back to an older commit. */
  rewoundAtMs: number;
}

/** What a driver drives. */
export interface Driven {
  readonly scenario: Scenario;
  readonly startMs: number;
  readonly clock: VirtualClock;
  readonly world: SimWorld;
  readonly remote: SimRemote;
  readonly people: People;
  readonly processes: readonly SimProcess[];
  readonly tampered: Tampered;
  /** Since when a GPU is taken by a foreign process, or gone; kept by the driver. */
  readonly takenSinceMs: Map<string, number>;
  /** Something was done. */
  readonly note: (text: string) => void;
}

type Of<K extends Fault["kind"]> = Extract<Fault, { kind: K }>;
type Handlers = { readonly [K in Fault["kind"]]: (fault: Of<K>) => void };

/** Drives a scenario. */
export class Driver {
  /** Faults that happened, by kind. */
  readonly happened = new Map<string, number>();
  readonly #calmMs: number;

  constructor(private readonly d: Driven) {
    this.#calmMs = d.startMs + d.scenario.calmAtMs;
    for (const { name, atMs, doc, behaviour } of d.scenario.jobs) {
      for (const each of namesOf(name, doc)) d.world.behave(each, behaviour);
      if (atMs <= 0) d.people.add(name, doc);
      else this.#at(d.startMs + atMs, `people add ${name}`, () => d.people.add(name, doc));
    }
    for (const fault of d.scenario.faults) {
      const { atMs, ...rest } = fault;
      this.#at(d.startMs + atMs, JSON.stringify(rest), () => this.#happen(fault));
    }
    this.#at(this.#calmMs, "calm", () => this.#mendAll());
  }

  #at(atMs: number, text: string, act: () => void): void {
    this.d.clock.at(atMs, () => {
      this.d.note(text);
      act();
    });
  }

  /** Undoes something after a while, at the calm at the latest. */
  #later(forMs: number, text: string, undo: () => void): void {
    this.#at(Math.min(this.d.clock.now() + forMs, this.#calmMs), text, undo);
  }

  #happen(fault: Fault): void {
    const { kind } = fault;
    this.happened.set(kind, (this.happened.get(kind) ?? 0) + 1);
    (this.#handlers[kind] as (fault: Fault) => void)(fault);
  }

  readonly #handlers: Handlers = {
    "node-off": ({ node, forMs }) => {
      this.#machine(node).crash();
      this.#later(forMs, `${node} is switched on`, () => this.#boot(node));
    },
    reboot: ({ node }) => this.#boot(node),
    cut: ({ node, ways, forMs }) => {
      this.d.world.cut(node, ways);
      this.#later(forMs, `${node} is connected`, () => this.d.world.restore(node));
    },
    "cut-all": ({ forMs }) => {
      const names = [...this.d.world.machines.keys()];
      for (const node of names) this.d.world.cut(node);
      this.#later(forMs, "all nodes are connected", () => {
        for (const node of names) this.d.world.restore(node);
      });
    },
    slow: ({ node, latencyMs, forMs }) => {
      this.#machine(node).latencyMs = latencyMs;
      this.#later(forMs, `${node} is quick again`, () => this.#machine(node).latencyMs = 0);
    },
    drop: ({ op, loss, node }) => this.d.world.drop(op, loss, node),
    "disk-full": ({ node, forMs }) => {
      this.#machine(node).diskFull = true;
      this.#later(forMs, `${node} has room`, () => this.#machine(node).diskFull = false);
    },
    "gpu-lost": ({ node, index }) => {
      if (!this.#machine(node).gpus[index]) return;
      this.#machine(node).dropGpu(index);
      this.#noteTaken(node);
    },
    foreign: (fault) => this.#foreign(fault),
    snatch: ({ controller, forMs }) => {
      const process = this.#process(controller);
      const gate = process?.life?.gate;
      if (!gate) return;
      gate.beforeLaunch = (node, [uuid]) => {
        const index = this.#machine(node).gpus.findIndex((gpu) => gpu.uuid === uuid);
        this.#foreign({ atMs: 0, kind: "foreign", node, index, forMs });
        process.kill();
      };
    },
    "gpu-tool": ({ node, forMs }) => {
      this.#machine(node).breakGpuTool("nvidia-smi: no devices were found");
      this.#later(forMs, `nvidia-smi of ${node} works`, () => {
        this.#machine(node).breakGpuTool(undefined);
      });
    },
    "kill-supervisor": ({ node, leftover }) => {
      const run = [...this.#machine(node).runs.values()].find(isLive);
      if (run) this.#machine(node).killSupervisor(run.id, run.agentStarts > 0 ? leftover : 0);
    },
    "kill-rank": ({ node }) => {
      const run = [...this.#machine(node).runs.values()].find(isLive);
      if (run) this.#machine(node).killRank(run.id);
    },
    "node-skew": ({ node, skewMs }) => this.#machine(node).skewMs = skewMs,
    push: ({ fault, branch }) => {
      for (const { life } of this.d.processes) life?.repository.failPush(fault, branch);
      if (fault !== "timeout-late") return;
      this.#later(40_000, "late pushes arrive", () => void this.d.remote.deliverLate());
    },
    "remote-away": ({ controller, forMs }) => {
      const hit = controller === undefined ? this.d.processes : [this.#process(controller)];
      for (const process of hit) this.#setRemote(process, 1);
      this.#later(forMs, "the remote is back", () => {
        for (const process of hit) this.#setRemote(process, -1);
      });
    },
    "mirror-lost": ({ controller }) => this.#process(controller)?.life?.repository.loseMirror(),
    "desired-rewound": ({ back, forMs }) => this.#astray({ back }, forMs),
    "desired-deleted": ({ forMs }) => this.#astray("deleted", forMs),
    "desired-emptied": ({ forMs }) => this.#astray("emptied", forMs),
    "status-deleted": () => {
      this.#tamper("status", () => this.d.remote.deleteStatus());
    },
    "status-rewound": ({ back }) => {
      const commit = this.d.remote.statusLog.at(-1 - back)?.commit;
      if (commit && this.#tamper("status", () => this.d.remote.rewindStatus(commit))) {
        this.d.tampered.rewoundAtMs = this.d.clock.now();
      }
    },
    "lease-deleted": () => this.#tamper("lease", () => this.d.remote.deleteLease()),
    "lease-rewound": ({ back }) => {
      const commit = this.d.remote.leaseLog.at(-1 - back)?.commit;
      if (commit) this.#tamper("lease", () => this.d.remote.rewindLease(commit));
    },
    broken: ({ what, forMs }) => {
      this.d.people.breakFile(what, true);
      this.#later(forMs, "people repair a file", () => this.d.people.breakFile(what, false));
    },
    edit: ({ job, change }) => this.d.people.edit(job, change),
    delete: ({ job, forMs }) => {
      const doc = this.d.people.docOf(job);
      this.d.people.remove(job);
      if (forMs === undefined || !doc) return;
      this.#later(forMs, `people add ${job} again`, () => this.d.people.add(job, doc));
    },
    move: ({ job }) => this.d.people.move(job),
    "node-leaves": ({ node, forMs }) => {
      this.d.people.setOut(node, true);
      this.#later(forMs, `${node} is back in cluster.yaml`, () => {
        this.d.people.setOut(node, false);
      });
    },
    cordon: ({ node, forMs, drain, expires, index }) => {
      const untilMs = expires ? this.d.clock.now() + forMs : undefined;
      this.d.people.setCordoned(node, {
        ...(drain ? { drain } : {}),
        ...(untilMs === undefined ? {} : { untilMs }),
        ...(index === undefined ? {} : { index }),
      });
      const uncordon = () => this.d.people.setCordoned(node, undefined);
      if (!expires) this.#later(forMs, `${node} is uncordoned`, uncordon);
    },
    crash: ({ controller, effect, when }) => {
      const life = this.#process(controller)?.life;
      if (life) life.gate.crash = { left: effect, when };
    },
    kill: ({ controller }) => this.#process(controller)?.kill(),
    "stop-controller": ({ controller }) => this.#process(controller)?.terminate(),
    pause: ({ controller, forMs }) => {
      const gate = this.#process(controller)?.life?.gate;
      gate?.pause();
      this.#later(forMs, `c${controller} wakes up`, () => gate?.resume());
    },
    "controller-skew": ({ controller, skewMs }) => {
      const process = this.#process(controller);
      if (process) process.skewMs = skewMs;
    },
  };

  #machine(node: string): SimMachine {
    return this.d.world.machine(node);
  }

  #process(index: number): SimProcess | undefined {
    return this.d.processes[index];
  }

  #boot(node: string): void {
    this.#machine(node).boot();
    this.#noteTaken(node);
  }

  #foreign({ node, index, forMs, reusesPid }: Of<"foreign">): void {
    const machine = this.#machine(node);
    if (!machine.gpus[index]) return;
    const last = [...machine.runs.values()].at(-1);
    const pid = reusesPid && last ? last.pid : 4711;
    machine.occupy(index, 9000, pid);
    this.#noteTaken(node);
    this.#later(forMs, `a foreign process leaves ${node}`, () => {
      machine.occupy(index, 0, pid);
      this.#noteTaken(node);
    });
  }

  #noteTaken(node: string): void {
    const { takenSinceMs, clock } = this.d;
    for (const gpu of this.#machine(node).gpus) {
      const key = `${node} ${gpu.uuid}`;
      const taken = gpu.foreign.size > 0 || !gpu.present;
      if (!taken) takenSinceMs.delete(key);
      else if (!takenSinceMs.has(key)) takenSinceMs.set(key, clock.now());
    }
  }

  #setRemote(process: SimProcess | undefined, change: number): void {
    if (!process) return;
    process.remoteAway = Math.max(0, process.remoteAway + change);
    process.setRemote();
  }

  #astray(astray: Parameters<People["lead"]>[0], forMs: number): void {
    try {
      this.d.people.lead(astray);
    } catch {
      // So old a commit is not kept any more: then the branch stays as it is.
    }
    this.#later(forMs, "the desired branch is whole again", () => this.d.people.mend());
  }

  /** Never with both branches at once: which repository this is would be forgotten for good. */
  #tamper(branch: "status" | "lease", act: () => void): boolean {
    const { statusLog, leaseLog } = this.d.remote;
    if ((branch === "lease" ? statusLog : leaseLog).at(-1)?.by === "person") return false;
    try {
      act();
    } catch {
      return false;
    }
    const { tampered, clock } = this.d;
    if (branch === "status") tampered.statusAtMs = clock.now();
    else tampered.leaseAtMs = clock.now();
    return true;
  }

  #mendAll(): void {
    const { world, people, processes, remote } = this.d;
    for (const machine of world.machines.values()) {
      if (!machine.up || machine.gpus.some((gpu) => !gpu.present)) machine.boot();
      if (machine.requestsCut || machine.repliesCut) world.restore(machine.name);
      machine.latencyMs = 0;
      machine.diskFull = false;
      machine.breakGpuTool(undefined);
      for (const gpu of machine.gpus) {
        for (const pid of [...gpu.foreign.keys()]) machine.occupy(gpu.index, 0, pid);
      }
      this.#noteTaken(machine.name);
    }
    world.forgetDrops();
    remote.deliverLate();
    people.mendAll();
    for (const process of processes) {
      process.remoteAway = 0;
      process.setRemote();
      if (process.life) process.revive();
    }
    if (!processes.some((process) => process.life)) processes[0]?.revive();
  }
}
