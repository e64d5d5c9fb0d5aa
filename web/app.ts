/**
 * The service's own address: a hint that the repository changed, and what the last pass found.
 *
 * @example
 * curl -X POST http://127.0.0.1:8420/hooks/git   # after a push: look now
 *
 * @module
 */
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import type { Stats } from "../reconciler/loop.ts";
import type { Snapshot } from "../reconciler/model.ts";
import { needsOf } from "../reconciler/queue_file.ts";
import { queueView } from "../reconciler/queue_view.ts";

/** What the page shows and asks for. */
export interface Surface {
  readonly snapshot: () => Snapshot | undefined;
  /** undefined: this one stands by. */
  readonly stats: () => Stats | undefined;
  /** The repository may have changed: look now. Cheap, and safe for anybody to call. */
  readonly hint: () => void;
  /**
   * Names under which it may be asked; undefined: any. On the loopback this keeps out web pages of
   * elsewhere whose name was made to lead here (DNS rebinding).
   */
  readonly hosts?: readonly string[];
}

/**
 * The queue at this moment, guesses included: `expected.basis` says what each time rests on. Unlike
 * the files of the status branch this changes with every look.
 */
function queueNow(snapshot: Snapshot | undefined, now: number) {
  if (!snapshot) return { waiting: [], queues: [], users: [] };
  const { desired, plan } = snapshot;
  const waiting = plan.waiting.map(({ expected, ...waits }, i) => {
    const status = plan.statuses.get(waits.job);
    const { queue, owner, priority, submittedAt, parent } = status ?? {};
    const needs = needsOf(waits.job, status, desired);
    return {
      position: i + 1,
      ...waits,
      ...{ queue, owner, priority, submittedAt, parent, needs },
      ...(expected && Number.isFinite(expected.atMs) ? { expected } : {}),
    };
  });
  return { waiting, ...queueView(desired.cluster, [...plan.statuses.values()], now) };
}

/** The routes. */
export function app(surface: Surface): Hono {
  const routes = new Hono();
  routes.use(secureHeaders());
  routes.use(async (c, next) => {
    const { hosts } = surface;
    if (!hosts || hosts.includes(new URL(c.req.url).hostname)) return await next();
    return c.text(`ask for ${hosts.join(" or ")}\n`, 421);
  });
  routes.get(
    "/healthz",
    (c) => {
      if (!surface.stats()) return c.text("ok: standing by, or about to lead\n");
      return surface.snapshot() ? c.text("ok\n") : c.text("starting: nothing is known yet\n", 503);
    },
  );
  // A webhook's body is not read: whoever sends it, it only means "poll now".
  routes.post("/hooks/git", (c) => {
    surface.hint();
    return c.body(null, 202);
  });
  routes.get("/api/stats", (c) => c.json(surface.stats() ?? { standby: true }));
  routes.get("/api/jobs", (c) => {
    const plan = surface.snapshot()?.plan;
    return c.json({ jobs: [...plan?.statuses.values() ?? []], waiting: plan?.waiting ?? [] });
  });
  routes.get("/api/queue", (c) => c.json(queueNow(surface.snapshot(), Date.now())));
  routes.get("/api/nodes", (c) => {
    const nodes = [...surface.snapshot()?.observed.nodes.values() ?? []].map((seen) =>
      seen.state === "unknown" ? seen : { ...seen, checkpoints: undefined }
    );
    return c.json({ nodes });
  });
  return routes;
}
