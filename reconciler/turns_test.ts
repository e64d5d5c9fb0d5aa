import assert from "node:assert/strict";
import { inTurn } from "./turns.ts";

const told = (name: string, reason: string, numbers: Record<string, number> = {}) => ({
  name,
  reason,
  numbers,
});

Deno.test("who can never start comes last, and only those who compete for room count", () => {
  const waits = [
    told("never", "Unschedulable"),
    told("a", "Resources"),
    told("at-limit", "Quota", { limit: 4, used: 4, needed: 1 }),
    told("too-large", "Quota", { limit: 4, used: 0, needed: 8 }),
    told("no-hours", "Quota", { limitHours: 0, usedHours: 0 }),
    told("b", "Priority"),
    told("c", "Cordoned"),
  ];
  const listed = inTurn(waits).map(({ waits: { name }, ahead }) => `${ahead} ${name}`);
  assert.deepEqual(listed, [
    "0 a",
    "1 at-limit",
    "1 b",
    "2 c",
    "3 never",
    "3 too-large",
    "3 no-hours",
  ]);
  assert.deepEqual(inTurn([]), []);
});
