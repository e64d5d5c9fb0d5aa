/**
 * Who may use which queue, and up to which priority: what `users`, `groups` and `queues` of
 * `cluster.yaml` allow the owner of a manifest.
 *
 * @module
 */
import type { Cluster, Group, Queue, User } from "../cluster/cluster.ts";
import type { Report } from "../cluster/report.ts";
import { didYouMean } from "../cluster/suggest.ts";

/** What of a manifest is allowed or not. */
export interface Claim {
  /** undefined: it names nobody. */
  readonly owner: string | undefined;
  readonly queue: string;
  readonly priority: number;
}

/** Notes what the owner of a manifest may not do. */
export function checkPermissions(claim: Claim, cluster: Cluster, report: Report): void {
  const queue = cluster.queues.find(({ name }) => name === claim.queue);
  const people = peopleOf(cluster);
  const user = people.users.get(claim.owner ?? "");
  if (queue) checkMember(claim.owner, user, queue, cluster, report);
  checkPriority(claim.priority, user, queue, people, report);
}

/** Users and groups by name. */
interface People {
  readonly users: ReadonlyMap<string, User>;
  readonly groups: ReadonlyMap<string, Group>;
}

const known = new WeakMap<Cluster, People>();

/** Ten thousand manifests and as many users are not compared one by one. */
function peopleOf(cluster: Cluster): People {
  const found = known.get(cluster) ?? {
    users: new Map(cluster.users.map((user) => [user.name, user])),
    groups: new Map(cluster.groups.map((group) => [group.name, group])),
  };
  known.set(cluster, found);
  return found;
}

function checkMember(
  owner: string | undefined,
  user: User | undefined,
  queue: Queue,
  { users }: Cluster,
  report: Report,
): void {
  const { name, members } = queue;
  if (members === undefined) return;
  const allowed = `the queue \`${name}\` is for ${shown(members)}`;
  if (owner === undefined) {
    const message = `${allowed}, and the manifest names no owner`;
    report.problem(["queue"], message, "write `owner:`, or choose another queue");
  } else if (users.length > 0 && user === undefined) {
    const hint = () =>
      didYouMean(owner, users.map((one) => one.name)) ?? "list the user in cluster.yaml";
    report.problem(["owner"], `no user is named \`${owner}\`, and ${allowed}`, hint);
  } else if (!isMember(owner, user, members)) {
    report.problem(["queue"], `${allowed}, not for \`${owner}\``, "choose another queue");
  }
}

function isMember(owner: string, user: User | undefined, members: readonly string[]): boolean {
  const groups = user?.groups ?? [];
  return members.some((member) =>
    member === owner || (member.startsWith("@") && groups.includes(member.slice(1)))
  );
}

function checkPriority(
  priority: number,
  user: User | undefined,
  queue: Queue | undefined,
  { groups }: People,
  report: Report,
): void {
  const limits = [
    { whose: `the queue \`${queue?.name}\``, max: queue?.maxPriority },
    { whose: `the user \`${user?.name}\``, max: user?.maxPriority },
    ...(user?.groups ?? []).map((name) => ({
      whose: `the group \`${name}\``,
      max: groups.get(name)?.maxPriority,
    })),
  ];
  for (const { whose, max = Infinity } of limits) {
    if (priority <= max) continue;
    const message = `\`priority\` is ${priority}; ${whose} may have at most ${max}`;
    report.problem(["priority"], message, `write \`priority: ${max}\` or less`);
  }
}

/** The first of a long list. */
function shown(members: readonly string[]): string {
  if (members.length === 0) return "nobody";
  const first = members.slice(0, 5).map((member) => `\`${member}\``).join(", ");
  return members.length > 5 ? `${first} and ${members.length - 5} more` : first;
}
