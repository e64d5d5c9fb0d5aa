/**
 * The schema of `cluster.yaml`. Descriptions are what editors show; see `schemas/`.
 *
 * @module
 */
import { z } from "zod";
import { choice, duration, flag, line, list, map, positiveNumber } from "./fields.ts";
import { record, text, textual, time, wholeNumber } from "./fields.ts";
import * as like from "./patterns.ts";
import { queueSections } from "./queue_schema.ts";

/** The most nodes of one cluster. */
export const MAX_NODES = 10_000;

const hostWords = "a host name or address that does not begin with `-`";
const host = (description: string) => text(description, hostWords, like.HOST, 253);
const user = () => text("Login name; what ssh chooses when absent.", "a login name", like.USER);
const port = () => wholeNumber("Port of sshd.", { min: 1, max: 65_535 });
const nodePath = (description: string) => text(description, like.NODE_PATH_WORDS, like.NODE_PATH);
const word = (description: string, wanted: string) => text(description, wanted, like.WORD, 63);

/** Variables for every rank, in `cluster.yaml` and in manifests. */
export const envSchema = record(
  like.ENV_NAME,
  like.ENV_NAME_WORDS,
  textual("A value; numbers and truth values become text.", "text", like.ENV_VALUE, 32_768),
).refine((env) => Object.keys(env).length <= 1000, { error: "a map of at most 1000 variables" })
  .meta({ description: "Environment variables for every rank." });

/** Labels of nodes, and what a job selects nodes by. */
export const labelsSchema = record(
  like.LABEL_KEY,
  "a word of letters, digits, `.`, `_`, `-` and `/`",
  textual(
    "A label's value.",
    "at most 63 letters, digits, `.`, `_`, `:`, `-`",
    like.LABEL_VALUE,
    63,
  ),
).refine((labels) => Object.keys(labels).length <= 64, { error: "a map of at most 64 labels" });

/** What a node is declared to have. */
const hardwareShape = {
  gpuModel: line("Model of the GPUs, such as `RTX 4070`.", 100).exactOptional(),
  gpus: wholeNumber("Number of GPUs.", { min: 0, max: 64 }).exactOptional(),
  vramGb: positiveNumber("Memory of one GPU in GB.").exactOptional(),
  cpuCores: wholeNumber("Number of CPU cores.", { min: 1, max: 10_000 }).exactOptional(),
  ramGb: positiveNumber("Main memory in GB.").exactOptional(),
};

const sshShape = {
  host: host("Host name, address, or a name from your ssh configuration."),
  port: port().exactOptional(),
  user: user().exactOptional(),
};

const CORDONED_WORDS = "true or false, or the reason as text";
const GPU_WORDS = "the index or the uuid of a GPU";
const cordonSchema = map({
  reason: line("Why.", 200).exactOptional(),
  until: time("When the cordon ends by itself.").exactOptional(),
  drain: flag("Jobs that run there are asked to save, stopped, and placed elsewhere.")
    .exactOptional(),
  gpus: list(
    z.union([
      z.int({ error: GPU_WORDS }).min(0, { error: GPU_WORDS }).max(999, { error: GPU_WORDS }),
      z.string().regex(like.GPU, { error: GPU_WORDS }),
    ], { error: GPU_WORDS }),
    64,
  ).min(1, { error: "a list of at least one GPU" })
    .meta({ description: "These GPUs alone, by index or uuid." }).exactOptional(),
});
const NAMES_WORDS = "node names such as `gpu[001-128]`, or a list of them";
const names = z.string({ error: NAMES_WORDS }).max(1000, { error: NAMES_WORDS });

/** Everything that a node and a pool of nodes have in common. */
export const machineShape = {
  host: host("Host name, address or ssh alias; default: the node's name. `{name}` is replaced.")
    .exactOptional(),
  user: user().exactOptional(),
  port: port().exactOptional(),
  ssh: map(sshShape).meta({ description: "`host`, `port` and `user` in one place." })
    .exactOptional(),
  address: host("Address that the other nodes use; default: the host. `{name}` is replaced.")
    .exactOptional(),
  interface: text("Network interface for NCCL and Gloo.", "an interface name", like.INTERFACE)
    .exactOptional(),
  labels: labelsSchema.meta({ description: "Labels that jobs select nodes by." }).exactOptional(),
  hardware: map(hardwareShape)
    .meta({ description: "What the node has; what UGRO sees there counts more." }).exactOptional(),
  cpuSlots: wholeNumber("Ranks that a node without GPUs may run at once.", { min: 0, max: 1024 })
    .prefault(0),
  python: text("Python 3.10 or later.", "a program name or path", like.PROGRAM)
    .prefault("python3"),
  activate: word("Environment of its jobs, by name.", "the name of an environment")
    .exactOptional(),
  workdir: nodePath("Where UGRO keeps runs, code and checkpoints.").prefault("~/.ugro"),
  project: nodePath("Folder in which relative `script:` paths are looked up.").exactOptional(),
  cordoned: z.union([
    z.boolean(),
    line("The reason.", 200).regex(/^(?!(?:on|off|yes|no)$)/i, { error: CORDONED_WORDS }),
    cordonSchema,
  ], { error: CORDONED_WORDS })
    .meta({ description: "No new work starts here; true, the reason, or more." }).exactOptional(),
};

/** One entry of `nodes:`. */
export const nodeShape = {
  name: text(
    "Name of the node.",
    "a name of lower-case letters, digits, `.` and `-`",
    like.NODE_NAME,
    63,
  ),
  local: flag("This machine, without ssh.").exactOptional(),
  ...machineShape,
};

/** One entry of `pools:`. */
export const poolShape = {
  name: word("Name of the pool; its nodes get the label `pool`.", "a name"),
  nodes: z.union([
    names,
    list(names, 1000).min(1, { error: NAMES_WORDS }),
  ], { error: NAMES_WORDS })
    .meta({ description: "Names with ranges: `gpu[001-128]`, `rack[1-2]-[01-16]`." }),
  ...machineShape,
};

const activationSchema = z.union([
  map({ venv: nodePath("Folder of the virtual environment.") }),
  map({
    conda: text(
      "Name or folder of a conda environment.",
      "an environment name",
      /^(?!-)[\w./~+-]+$/,
    ),
    root: nodePath("Where conda is installed.").exactOptional(),
  }),
  map({
    pixi: nodePath("Folder of the pixi project."),
    env: word("Environment of the project.", "a name").exactOptional(),
  }),
  map({ shell: line("A line that a POSIX shell runs before the program.") }),
], { error: "a map with one of `venv`, `conda`, `pixi` or `shell`" });

const policyShape = {
  pollInterval: duration("How often the state repository is polled.", { minMs: 10 })
    .prefault("10s"),
  statusMinInterval: duration("Least time between two status commits.").prefault("5s"),
  nodeLostAfter: duration("How long a node may be unknown before its jobs move.", { minMs: 10 })
    .prefault("60s"),
  maxStopsPerPass: wholeNumber("Most jobs that one pass may stop.", { min: 0, max: 100_000 })
    .prefault(10),
  maxLaunchesPerPass: wholeNumber("Most jobs that one pass starts.", { min: 0, max: 100_000 })
    .prefault(500),
  grace: duration("Time between SIGTERM and SIGKILL where a job does not say.").prefault("30s"),
};

/** Sections of `cluster.yaml` other than the machines. */
export const sectionShape = {
  environments: record(like.WORD, "a name", activationSchema)
    .meta({ description: "Python environments by name." }).prefault({}),
  ...queueSections,
  policy: map(policyShape).meta({ description: "How UGRO behaves." }).prefault({}),
  communication: map({
    backend: choice("Communication backend.", ["nccl", "gloo", "mpi"]).exactOptional(),
    timeout: duration("How long a collective operation may take.").exactOptional(),
  }).meta({ description: "How ranks talk to each other." }).prefault({}),
  env: envSchema.prefault({}),
};

/** The section `cluster:`. */
export const identityShape = {
  name: line("Name of the cluster.", 100).prefault("cluster"),
  description: line("What it is.", 1000).exactOptional(),
};

/** All of `cluster.yaml`; parsing goes section by section, editors get the whole. */
export const clusterSchema = map({
  cluster: map(identityShape).meta({ description: "The cluster itself." }).exactOptional(),
  nodes: list(map(nodeShape), MAX_NODES).meta({ description: "Machines, one by one." })
    .exactOptional(),
  pools: list(map(poolShape), 1000).meta({ description: "Many machines that are alike." })
    .exactOptional(),
  ...sectionShape,
}).meta({ title: "UGRO cluster", description: "Machines, queues and policy of a UGRO cluster." });
