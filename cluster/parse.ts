/**
 * Reads `cluster.yaml`: the form of today, and the one of the earlier Python UGRO as it is.
 *
 * @example
 * const parsed = parseCluster("cluster.yaml", bytes, { env: Deno.env.toObject() });
 * if (!parsed.ok) for (const problem of parsed.problems) console.error(formatProblem(problem));
 *
 * @module
 */
import type { Cluster, Policy } from "./cluster.ts";
import { isLegacy, type Legacy, LEGACY_KEYS, readLegacy, type Surroundings } from "./legacy.ts";
import type { Activation } from "./node.ts";
import { buildNode, checkNodes, type Fields, readNodes, readPools, texts } from "./nodes.ts";
import type { Parsed } from "./problem.ts";
import { checkQueues, queuesOf, schedulingOf } from "./queues.ts";
import { Report, topMap } from "./report.ts";
import { clusterSchema, identityShape, sectionShape } from "./schema.ts";
import { parseYaml, type YamlFile } from "./yaml.ts";

const NO_LEGACY: Legacy = { nodes: [], environments: {}, communication: {}, training: {} };

/** The cluster that a file declares, or everything that is wrong with the file. */
export function parseCluster(
  file: string,
  bytes: Uint8Array,
  around: Surroundings = {},
): Parsed<Cluster> {
  const read = parseYaml(file, bytes);
  if (!read.ok) return read;
  const report = new Report(read.value);
  const top = topMap(report);
  if (top === undefined) return report.finish<Cluster>(noValue);
  const legacyForm = isLegacy(top);
  const legacy = legacyForm ? readLegacy(top, report, around) : NO_LEGACY;
  const identity = readIdentity(top, legacyForm, report);
  const sections = report.fields(sectionShape, sectionsOf(top, legacyForm, report), []);
  const nodes = [
    ...legacy.nodes,
    ...readNodes(top["nodes"], report),
    ...readPools(top["pools"], report),
  ];
  const environments = sections.environments &&
    { ...legacy.environments, ...activations(sections.environments) };
  checkNodes(nodes, environments && Object.keys(environments), report);
  checkQueues(sections, nodes.map(({ fields }) => fields), report);
  if (nodes.length === 0 && report.clean) {
    report.problem([], "no nodes", "list machines under `nodes:`");
  }
  return report.finish<Cluster>(() => {
    const full = sections as Fields<typeof sectionShape>;
    return {
      name: identity.name ?? "cluster",
      ...(identity.description === undefined ? {} : { description: identity.description }),
      nodes: nodes.map(buildNode),
      environments: environments ?? {},
      queues: queuesOf(full.queues),
      users: full.users,
      groups: full.groups,
      scheduling: schedulingOf(full.scheduling),
      policy: policyOf(full.policy),
      communication: { ...legacy.communication, ...communicationOf(full.communication) },
      env: writtenTexts(read.value, full.env),
      training: legacy.training,
    };
  });
}

function noValue(): never {
  throw new Error("Cannot build a cluster: the file has problems");
}

function readIdentity(top: Readonly<Record<string, unknown>>, legacy: boolean, report: Report) {
  const { cluster = {} } = top;
  if (typeof cluster !== "object" || cluster === null || Array.isArray(cluster)) {
    report.problem(["cluster"], "`cluster` must be a map", "write `cluster: {name: home}`");
    return {};
  }
  const given = cluster as Record<string, unknown>;
  const known = Object.entries(given).filter(([key]) => !legacy || key in identityShape);
  return report.fields(identityShape, Object.fromEntries(known), ["cluster"]);
}

/** The sections that are read by their own schema; unknown keys are noted here. */
function sectionsOf(top: Readonly<Record<string, unknown>>, legacy: boolean, report: Report) {
  const sections: Record<string, unknown> = {};
  const unknown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(top)) {
    if (key in sectionShape) sections[key] = value;
    else if (legacy && LEGACY_KEYS.includes(key)) continue;
    else if (!(key in clusterSchema.shape)) unknown[key] = null;
  }
  const known = [...Object.keys(clusterSchema.shape), ...legacy ? LEGACY_KEYS : []];
  report.unknownKeys(unknown, known);
  return sections;
}

function activations(
  environments: Fields<typeof sectionShape>["environments"],
): Record<string, Activation> {
  return Object.fromEntries(
    Object.entries(environments).map(([name, given]) => [name, activationOf(given)]),
  );
}

function activationOf(given: Fields<typeof sectionShape>["environments"][string]): Activation {
  if ("venv" in given) return { kind: "venv", path: given.venv };
  if ("shell" in given) return { kind: "shell", line: given.shell };
  if ("conda" in given) {
    const { conda: env, root } = given;
    return { kind: "conda", env, ...(root === undefined ? {} : { root }) };
  }
  const { pixi: project, env } = given;
  return { kind: "pixi", project, ...(env === undefined ? {} : { env }) };
}

function policyOf(policy: Fields<typeof sectionShape>["policy"]): Policy {
  return {
    pollIntervalMs: policy.pollInterval,
    statusMinIntervalMs: policy.statusMinInterval,
    nodeLostAfterMs: policy.nodeLostAfter,
    maxStopsPerPass: policy.maxStopsPerPass,
    maxLaunchesPerPass: policy.maxLaunchesPerPass,
    graceMs: policy.grace,
  };
}

function communicationOf(given: Fields<typeof sectionShape>["communication"]) {
  const { backend, timeout } = given;
  return {
    ...(backend === undefined ? {} : { backend }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  };
}

/** Variables as text: unquoted numbers as they are written, `1.10` and not `1.1`. */
function writtenTexts(source: YamlFile, env: Readonly<Record<string, unknown>>) {
  const values = Object.entries(env).map((
    [name, value],
  ) => [name, source.written(["env", name]) ?? value]);
  return texts(Object.fromEntries(values));
}
