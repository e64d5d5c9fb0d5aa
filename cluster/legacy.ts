/**
 * `cluster.yaml` as the earlier Python UGRO wrote it: `cluster.master`, `workers`, `paths`,
 * `training`, `environment`. Its machines become nodes like any other; keys that only the earlier
 * UGRO used are passed over.
 *
 * @example
 * isLegacy({ cluster: { master: { hostname: "gpu-master" } } }); // true
 *
 * @module
 */
import { MAX_DURATION_MS } from "./duration.ts";
import type { Activation } from "./node.ts";
import type { DeclaredNode } from "./nodes.ts";
import { machineShape, nodeShape } from "./schema.ts";
import type { Report } from "./report.ts";
import { type Path, plain } from "./show.ts";

/** What the caller knows of this machine, for `${USER}`, `${HOME}` and the master's place. */
export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** This machine's host name: a master of that name is reached without ssh. */
  readonly hostname?: string;
}

/** What the earlier form says, in today's terms. */
export interface Legacy {
  readonly nodes: readonly DeclaredNode[];
  readonly environments: Readonly<Record<string, Activation>>;
  readonly communication: { readonly backend?: string; readonly timeoutMs?: number };
  readonly training: Readonly<Record<string, unknown>>;
}

type Values = Readonly<Record<string, unknown>>;

/** Top-level keys of the earlier form; unknown ones beside them are problems as ever. */
export const LEGACY_KEYS: readonly string[] = [
  "workers",
  "paths",
  "training",
  "environment",
  "logging",
];

/** Whether a file is written in the earlier form. */
export function isLegacy(top: Values): boolean {
  return "workers" in top || "master" in sectionOf(top, "cluster");
}

/** Reads the sections of the earlier form. */
export function readLegacy(top: Values, report: Report, around: Surroundings): Legacy {
  const cluster = sectionOf(top, "cluster");
  const environments = readEnvironment(top, report);
  const shared: Values = {
    ...(environments["default"] === undefined ? {} : { activate: "default" }),
    ...optional("project", sectionOf(top, "paths")["project"]),
  };
  const machines: { values: Values; path: Path; master: boolean }[] = [];
  if ("master" in cluster) {
    machines.push({
      values: sectionOf(cluster, "master"),
      path: ["cluster", "master"],
      master: true,
    });
  }
  const { workers = [] } = top;
  if (Array.isArray(workers)) {
    workers.forEach((worker, i) =>
      machines.push({ values: asMap(worker), path: ["workers", i], master: false })
    );
  } else if (workers !== null) report.problem(["workers"], "`workers` must be a list");
  return {
    nodes: machines.flatMap(({ values, path, master }) =>
      readMachine({ values, path, master, shared, report, around })
    ),
    environments,
    communication: readCommunication(sectionOf(cluster, "communication"), report),
    training: sectionOf(top, "training"),
  };
}

interface Machine {
  readonly values: Values;
  readonly path: Path;
  readonly master: boolean;
  readonly shared: Values;
  readonly report: Report;
  readonly around: Surroundings;
}

function readMachine(machine: Machine): DeclaredNode[] {
  const { values, path, master, shared, report, around } = machine;
  const name = nodeName(values, path, report);
  if (name === undefined) return [];
  const host = values["ip"] ?? values["hostname"];
  const here = master && isHere(values, around);
  const read = <K extends keyof typeof machineShape>(key: K, from: Path, value: unknown) => {
    const at = [...path, ...from];
    const resolved = resolve(value, at, machine);
    return resolved === undefined
      ? {}
      : { [key]: report.check(machineShape[key], resolved, at) ?? undefined };
  };
  const project = sectionOf(values, "paths")["project"];
  const fields = {
    ...(here ? { local: true } : {
      ...read("host", ["ip" in values ? "ip" : "hostname"], host),
      ...read("user", ["user"], values["user"]),
      // A master's `port` was the rendezvous port, never sshd's.
      ...read("port", ["ssh_port"], values["ssh_port"]),
    }),
    ...read("address", ["ip" in values ? "ip" : "hostname"], host),
    ...read("hardware", ["hardware"], hardwareOf(sectionOf(values, "hardware"))),
    ...(project === undefined
      ? checkShared(shared["project"], machine)
      : read("project", ["paths", "project"], project)),
    ...optional("activate", shared["activate"]),
    name,
    labels: { role: master ? "master" : "worker" },
    cpuSlots: 0,
    python: "python3",
    workdir: "~/.ugro",
  };
  return [{ fields: withoutUndefined(fields) as DeclaredNode["fields"], path }];
}

function checkShared(value: unknown, machine: Machine): Values {
  const at = ["paths", "project"];
  const resolved = resolve(value, at, machine);
  if (resolved === undefined) return {};
  return { project: machine.report.check(machineShape.project, resolved, at) };
}

/** The node's name in today's spelling; a changed one is worth a warning. */
function nodeName(values: Values, path: Path, report: Report): string | undefined {
  const key = "name" in values || !("hostname" in values) ? "name" : "hostname";
  const given = values[key];
  const at = [...path, key];
  if (typeof given !== "string") return void report.check(nodeShape.name, given, at);
  const name = given.toLowerCase().replace(/[^a-z0-9.-]+/g, "-").replace(/^[.-]+|[.-]+$/g, "");
  if (report.check(nodeShape.name, name, at) === undefined) return undefined;
  if (name !== given) {
    report.warn(at, `the node \`${plain(given)}\` is called \`${name}\` from now on`);
  }
  return name;
}

function isHere(values: Values, around: Surroundings): boolean {
  const names = [values["hostname"], values["ip"]].map((v) => String(v ?? "").toLowerCase());
  const mine = around.hostname?.toLowerCase();
  return names.some((n) => n === "localhost" || n.startsWith("127.") || (n !== "" && n === mine));
}

const HARDWARE: Readonly<Record<string, string>> = {
  gpu_model: "gpuModel",
  gpus: "gpus",
  gpu_count: "gpus",
  vram_gb: "vramGb",
  cpu_cores: "cpuCores",
  ram_gb: "ramGb",
};

function hardwareOf(old: Values): Values {
  const known = Object.entries(old).filter(([key, value]) =>
    Object.hasOwn(HARDWARE, key) && value !== null
  );
  return Object.fromEntries(known.map(([key, value]) => [HARDWARE[key]!, value]));
}

/** `${USER}` and `${HOME}`, and no other name; a home is the node's, hence `~`. */
function resolve(value: unknown, path: Path, machine: Machine): unknown {
  if (value === null || value === undefined) return undefined;
  if (typeof value !== "string") return value;
  const user = machine.around.env?.["USER"];
  // Whoever runs UGRO is also whom ssh logs in as when nobody is named.
  if (value === "${USER}" && user === undefined) return undefined;
  return value.replace(/^\$\{HOME\}(?=\/|$)/, "~").replace(/\$\{(\w*)\}/g, (whole, name) => {
    const known = name === "USER" || name === "HOME" ? machine.around.env?.[name] : undefined;
    if (known !== undefined) return known;
    machine.report.problem(path, `\`${whole}\` has no value here`, "write the value itself");
    return "unknown";
  });
}

function readEnvironment(top: Values, report: Report): Record<string, Activation> {
  const conda = sectionOf(top, "environment")["conda_env"];
  if (conda === undefined || conda === null) return {};
  if (typeof conda === "string" && /^(?!-)[\w./~+-]+$/.test(conda)) {
    return { default: { kind: "conda", env: conda } };
  }
  report.problem(["environment", "conda_env"], "`environment.conda_env` must be a name");
  return {};
}

function readCommunication(old: Values, report: Report): Legacy["communication"] {
  const { backend, timeout_seconds: seconds } = old;
  const most = MAX_DURATION_MS / 1000;
  if (seconds !== undefined && !(typeof seconds === "number" && seconds > 0 && seconds <= most)) {
    const message = "`cluster.communication.timeout_seconds` must be a number of seconds";
    report.problem(["cluster", "communication", "timeout_seconds"], message, "at most a year");
  }
  return {
    ...(typeof backend === "string" ? { backend } : {}),
    ...(typeof seconds === "number" ? { timeoutMs: seconds * 1000 } : {}),
  };
}

function sectionOf(values: Values, key: string): Values {
  return asMap(values[key]);
}

function asMap(value: unknown): Values {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Values
    : {};
}

function optional(key: string, value: unknown): Values {
  return value === undefined || value === null ? {} : { [key]: value };
}

function withoutUndefined(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
