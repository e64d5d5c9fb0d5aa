/**
 * Cordons: a person keeps new work off a node, or off some of its GPUs, for good or until a time.
 *
 * @module
 */
import type { Cordon, NodeSpec } from "./node.ts";

/** The cordon of a node as it stands now; one whose time is over is none. */
export function cordonAt(node: NodeSpec, nowMs: number): Cordon | undefined {
  const { cordoned } = node;
  const untilMs = cordoned?.untilMs;
  return untilMs !== undefined && untilMs <= nowMs ? undefined : cordoned;
}

/** Whether a cordon is meant for a GPU: it names none, or this one by uuid or index. */
export function isGpuCordoned(
  cordon: Cordon,
  gpu: { readonly uuid: string; readonly index: number },
): boolean {
  const { gpus } = cordon;
  return gpus === undefined || gpus.includes(gpu.uuid) || gpus.includes(String(gpu.index));
}

/** When the next of the cordons that stand now ends by itself; undefined: none does. */
export function nextExpiryMs(nodes: readonly NodeSpec[], nowMs: number): number | undefined {
  let next: number | undefined;
  for (const { cordoned } of nodes) {
    const untilMs = cordoned?.untilMs;
    if (untilMs === undefined || untilMs <= nowMs) continue;
    next = Math.min(untilMs, next ?? untilMs);
  }
  return next;
}
