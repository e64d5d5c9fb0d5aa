/**
 * From entries of `nodes:` and `pools:`, and of the earlier form, to nodes.
 *
 * @module
 */
import type { z } from "zod";
import type { Connect, Cordon, NodeName, NodeSpec } from "./node.ts";
import { NODE_NAME } from "./patterns.ts";
import { expandRange } from "./ranges.ts";
import type { Report } from "./report.ts";
import { MAX_NODES, nodeShape, poolShape } from "./schema.ts";
import { type Path, showValue } from "./show.ts";
import { didYouMean } from "./suggest.ts";

/** The fields of a shape as parsed. */
export type Fields<S extends z.core.$ZodLooseShape> = z.output<
  z.ZodObject<S, z.core.$strict>
>;

/** A node as declared, and where. */
export interface DeclaredNode {
  readonly fields: Fields<typeof nodeShape>;
  readonly path: Path;
}

/** Entries of `nodes:`; wrong ones are left out once their problems are noted. */
export function readNodes(list: unknown, report: Report): DeclaredNode[] {
  return readList(list, "nodes", nodeShape, report);
}

/** Entries of `pools:`, each name of each range a node of its own. */
export function readPools(list: unknown, report: Report): DeclaredNode[] {
  const declared: DeclaredNode[] = [];
  for (const { fields, path } of readList(list, "pools", poolShape, report)) {
    // A field that is wrong has a problem of its own and is missing here.
    const { name: pool, nodes = [], ...machine } = fields;
    const labels = { pool, ...machine.labels };
    for (const name of poolNames(nodes, [...path, "nodes"], report)) {
      declared.push({ fields: { ...machine, labels, name }, path });
    }
    // A thousand pools of ten thousand nodes are one problem, and not ten million nodes.
    if (declared.length > MAX_NODES) break;
  }
  return declared;
}

function poolNames(nodes: string | string[], path: Path, report: Report): string[] {
  const names: string[] = [];
  for (const expression of [nodes].flat()) {
    const expanded = expandRange(expression, MAX_NODES);
    if (!expanded.ok) {
      report.problem(path, `\`nodes\` has no names: ${expanded.reason}`);
      continue;
    }
    const wrong = expanded.names.find((name) => !NODE_NAME.test(name));
    if (wrong !== undefined) {
      const hint = "lower-case letters, digits, `.` and `-`, at most 63 characters";
      report.problem(path, `${showValue(wrong)} cannot be the name of a node`, hint);
    } else for (const name of expanded.names) names.push(name);
    if (names.length > MAX_NODES) break;
  }
  if (names.length <= MAX_NODES) return names;
  report.problem(path, `more than ${MAX_NODES} names`);
  return [];
}

function readList<S extends Record<string, z.ZodType>>(
  list: unknown,
  key: string,
  shape: S,
  report: Report,
): { fields: Fields<S>; path: Path }[] {
  if (list === undefined) return [];
  if (!Array.isArray(list)) {
    report.problem([key], `\`${key}\` must be a list, each item after \`- \``);
    return [];
  }
  return list.slice(0, MAX_NODES + 1).flatMap((item: unknown, i) => {
    const path = [key, i];
    if (typeof item !== "object" || item === null || Array.isArray(item)) {
      report.problem(path, `\`${key}[${i}]\` must be a map`, "write `- name: …`");
      return [];
    }
    const fields = report.fields(shape, item, path);
    // The name carries checks across nodes; other fields may be wrong and are then incomplete.
    return "name" in fields ? [{ fields: fields as Fields<S>, path }] : [];
  });
}

/** Checks across nodes: names, environments, ways to connect. */
export function checkNodes(
  nodes: readonly DeclaredNode[],
  environments: readonly string[] | undefined,
  report: Report,
): void {
  const seen = new Set<string>();
  for (const { fields, path } of nodes) {
    if (seen.has(fields.name)) {
      report.problem([...path, "name"], `two nodes are named \`${fields.name}\``);
    }
    seen.add(fields.name);
    checkConnection(fields, path, report);
    const { activate } = fields;
    if (activate !== undefined && environments && !environments.includes(activate)) {
      const hint = () => didYouMean(activate, environments) ?? "list it under `environments:`";
      report.problem([...path, "activate"], `no environment is named \`${activate}\``, hint);
    }
    if (fields.local && fields.address === undefined && nodes.length > 1) {
      const message = `\`${fields.name}\` has no address that the other nodes can use`;
      report.warn(path, message, "give `address:`, or jobs of several nodes fail here");
    }
  }
  if (nodes.length > MAX_NODES) report.problem([], `more than ${MAX_NODES} nodes`);
}

function checkConnection(fields: DeclaredNode["fields"], path: Path, report: Report): void {
  const flat = ["host", "user", "port"] as const;
  const used = flat.filter((key) => fields[key] !== undefined);
  if (fields.ssh !== undefined && used.length > 0) {
    report.problem([...path, used[0]!], `\`${used[0]}\` and \`ssh\` exclude each other`);
  } else if (fields.local && (fields.ssh !== undefined || used.length > 0)) {
    report.problem([...path, "local"], "a local node has no `host`, `user`, `port` or `ssh`");
  }
}

/** A declared node with its defaults filled in. */
export function buildNode({ fields }: DeclaredNode): NodeSpec {
  const name = fields.name as NodeName;
  const connect = connectOf(fields);
  const host = connect.kind === "ssh" ? connect.host : "127.0.0.1";
  const { interface: device, project, activate, cordoned } = fields;
  return {
    name,
    connect,
    address: fields.address?.replaceAll("{name}", name) ?? host,
    labels: texts(fields.labels ?? {}),
    hardware: fields.hardware ?? {},
    cpuSlots: fields.cpuSlots,
    workdir: fields.workdir,
    python: fields.python,
    ...(device === undefined ? {} : { interface: device }),
    ...(project === undefined ? {} : { project }),
    ...(activate === undefined ? {} : { activate }),
    ...(cordoned === undefined || cordoned === false ? {} : { cordoned: cordonOf(cordoned) }),
  };
}

function cordonOf(given: Exclude<DeclaredNode["fields"]["cordoned"], undefined | false>): Cordon {
  const reason = "cordoned in cluster.yaml";
  if (given === true) return { reason };
  if (typeof given === "string") return { reason: given };
  const { until, gpus, ...rest } = given;
  return {
    reason,
    ...rest,
    ...(until === undefined ? {} : { untilMs: until }),
    ...(gpus === undefined ? {} : { gpus: [...new Set(gpus.map(String))] }),
  };
}

function connectOf(fields: DeclaredNode["fields"]): Connect {
  if (fields.local) return { kind: "local" };
  const { host = fields.name, port, user } = fields.ssh ?? fields;
  return {
    kind: "ssh",
    host: host.replaceAll("{name}", fields.name),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
  };
}

/** A map whose numbers and truth values are text. */
export function texts(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
}
