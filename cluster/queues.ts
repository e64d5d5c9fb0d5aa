/**
 * Queues, users and groups: checks across them, and from the words of `cluster.yaml` to the types.
 *
 * @module
 */
import type { z } from "zod";
import type { Queue, Scheduling } from "./cluster.ts";
import type { Hardware } from "./node.ts";
import { queueSections } from "./queue_schema.ts";
import type { Read, Report } from "./report.ts";
import type { Path } from "./show.ts";
import { didYouMean } from "./suggest.ts";

type Sections = { [K in keyof typeof queueSections]: z.output<typeof queueSections[K]> };
type Queues = Sections["queues"];

/** What a node is declared to have, as far as quotas go. */
interface Declared {
  readonly hardware?: Hardware;
  readonly cpuSlots: number;
  readonly labels?: Readonly<Record<string, unknown>>;
}

/** Checks across queues, users, groups and nodes. A section that is wrong itself is missing. */
export function checkQueues(
  sections: Read<typeof queueSections>,
  nodes: readonly Declared[],
  report: Report,
): void {
  const { queues, users, groups, scheduling } = sections;
  checkTwice(queues, "queue", report);
  checkTwice(users, "user", report);
  checkTwice(groups, "group", report);
  const groupNames = groups && new Names(groups, "group", "groups");
  users?.forEach((user, i) =>
    user.groups.forEach((name, j) => groupNames?.check(name, ["users", i, "groups", j], report))
  );
  // Without `users:` anybody may own jobs, so any name may be one.
  const userNames = users && users.length > 0 ? new Names(users, "user", "users") : undefined;
  queues?.forEach((queue, i) => {
    queue.members?.forEach((member, j) => {
      const path = ["queues", i, "members", j];
      if (member.startsWith("@")) groupNames?.check(member.slice(1), path, report);
      else userNames?.check(member, path, report);
    });
    checkMost(queue, i, report);
  });
  if (queues) checkQuotas(queues, nodes, report);
  if (scheduling) checkTopology(scheduling.topology, nodes, report);
}

function checkTwice(
  entries: readonly { readonly name: string }[] | undefined,
  kind: "queue" | "user" | "group",
  report: Report,
): void {
  const seen = new Set<string>();
  entries?.forEach(({ name }, i) => {
    if (seen.has(name)) {
      report.problem([`${kind}s`, i, "name"], `two ${kind}s are named \`${name}\``);
    }
    seen.add(name);
  });
}

/** Names that are declared, for those who mention them. */
class Names {
  readonly #names: ReadonlySet<string>;

  constructor(
    entries: readonly { readonly name: string }[],
    readonly kind: string,
    readonly section: string,
  ) {
    this.#names = new Set(entries.map(({ name }) => name));
  }

  check(name: string, path: Path, report: Report): void {
    if (this.#names.has(name)) return;
    const hint = () => didYouMean(name, [...this.#names]) ?? `list it under \`${this.section}:\``;
    report.problem(path, `no ${this.kind} is named \`${name}\``, hint);
  }
}

function checkMost({ quota, maxGpus }: Queues[number], i: number, report: Report): void {
  if (quota === undefined || maxGpus === undefined || maxGpus >= quota) return;
  const message = `\`queues[${i}].maxGpus\` must be at least the quota, ${quota}, not ${maxGpus}`;
  report.problem(["queues", i, "maxGpus"], message, "raise it, or lower `quota`");
}

/** More is promised than there is: no mistake while nodes are away, but worth knowing. */
function checkQuotas(queues: Queues, nodes: readonly Declared[], report: Report): void {
  let declared = 0;
  for (const { hardware, cpuSlots } of nodes) {
    if (hardware?.gpus === undefined) return;
    declared += hardware.gpus || cpuSlots;
  }
  let promised = 0;
  for (const [i, { quota = 0 }] of queues.entries()) {
    const before = promised;
    promised += quota;
    if (before > declared || promised <= declared) continue;
    const message = `the quotas up to here add up to ${promised} GPUs; the nodes have ${declared}`;
    report.warn(["queues", i, "quota"], message, "not all queues can have theirs at once");
  }
}

function checkTopology(
  topology: readonly string[],
  nodes: readonly Declared[],
  report: Report,
): void {
  const labels = new Set(nodes.flatMap((node) => Object.keys(node.labels ?? {})));
  topology.forEach((key, i) => {
    const path = ["scheduling", "topology", i];
    if (topology.indexOf(key) < i) report.problem(path, `\`${key}\` is listed twice`);
    else if (!labels.has(key)) {
      report.warn(path, `no node has the label \`${key}\``, () => didYouMean(key, [...labels]));
    }
  });
}

/** Queues, with one named `default` among them. */
export function queuesOf(given: Queues): readonly Queue[] {
  const queues = given.map(({ quota, members, ...queue }): Queue => ({
    ...queue,
    ...(quota === undefined ? {} : { quotaGpus: quota }),
    ...(members === undefined ? {} : { members: [...new Set(members)] }),
  }));
  if (queues.some((queue) => queue.name === "default")) return queues;
  return [...queues, { name: "default", priority: 0 }];
}

/** How the queue is served. */
export function schedulingOf(given: Sections["scheduling"]): Scheduling {
  const { policy, halfLife, patience, reservations, topology, preemption } = given;
  const { priority, reclaim, protectFor, protectPriority } = preemption;
  return {
    policy,
    halfLifeMs: halfLife,
    patienceMs: patience,
    reservations,
    topology,
    preemption: {
      byPriority: priority,
      reclaim,
      protectMs: protectFor,
      ...(protectPriority === undefined ? {} : { protectPriority }),
    },
  };
}
