import assert from "node:assert/strict";
import fc from "fast-check";
import type { Attempt, JobStatus } from "../jobs/status.ts";
import { ago, attempt, NOW, status } from "./testing/build.ts";
import { usageOf } from "./usage.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** An attempt on one GPU from so long ago until so long ago; without an end: it goes on. */
function used(fromMs: number, untilMs?: number, changes: Partial<Attempt> = {}): Attempt {
  const { endedAt: _, end: __, ...live } = attempt(1, ["n1"]);
  return {
    ...live,
    placement: [{ node: "n1", gpus: ["GPU-n1-0"] }],
    recordedAt: ago(fromMs),
    startedAt: ago(fromMs),
    ...(untilMs === undefined ? {} : { endedAt: ago(untilMs), end: "succeeded" as const }),
    ...changes,
  };
}

function by(owner: string, ...attempts: readonly Attempt[]): JobStatus {
  return status("a", { owner, attempts });
}

function close(found: number | undefined, expected: number, within = 1e-6): void {
  const about = Math.abs((found ?? NaN) - expected) <= within;
  assert.ok(about, `${found} is not about ${expected}`);
}

/** The integral of the weight over the span by the midpoint rule, for comparison. */
function slowly(fromMs: number, untilMs: number, halfLifeMs: number): number {
  const steps = 2_000;
  const step = (fromMs - untilMs) / steps;
  let hours = 0;
  for (let i = 0; i < steps; i++) {
    hours += 2 ** (-(fromMs - (i + 0.5) * step) / halfLifeMs) * step / HOUR;
  }
  return hours;
}

Deno.test("an hour that has just been used counts nearly whole, one a half-life back half", () => {
  const halfLife = 1_000 * DAY;
  const usage = usageOf(
    [by("ada", used(HOUR, 0)), by("bob", used(HOUR + halfLife, halfLife))],
    NOW,
    halfLife,
  );
  close(usage.decayed.get("ada"), 1, 1e-4);
  close(usage.decayed.get("bob"), 0.5, 1e-4);
});

Deno.test("what is used without end comes to halfLife / ln 2", () => {
  const usage = usageOf([by("ada", used(1_000 * DAY))], NOW, DAY);
  close(usage.decayed.get("ada"), 24 / Math.LN2);
});

Deno.test("gangs count all of their GPUs, shares a part, and several attempts all", () => {
  const gang = [{ node: "n1", gpus: ["a", "b"] }, { node: "n2", gpus: ["c", "d"] }];
  const share = [{ node: "n1", gpus: ["a"], share: 0.25 }];
  const usage = usageOf(
    [
      by("ada", used(3 * HOUR, 2 * HOUR, { placement: gang }), used(HOUR, 0)),
      by("bob", used(2 * HOUR, 0, { placement: share })),
    ],
    NOW,
    DAY,
  );
  close(usage.week.get("ada"), 5);
  close(usage.week.get("bob"), 0.5);
});

Deno.test("jobs that name nobody count together; who used nothing is not listed", () => {
  const { owner: _, ...nobody } = by("x", used(HOUR, 0));
  const usage = usageOf([nobody, nobody, by("ada"), by("bob", used(HOUR, HOUR))], NOW, DAY);
  assert.deepEqual([...usage.week], [["", 2]]);
  assert.deepEqual([...usage.decayed.keys()], [""]);
});

Deno.test("an attempt that has not started has had its GPUs since its record", () => {
  const { startedAt: _, ...launching } = used(2 * HOUR);
  close(usageOf([by("ada", launching)], NOW, DAY).week.get("ada"), 2);
});

Deno.test("only the part of an attempt that lies within seven days counts for the week", () => {
  const week = (...attempts: Attempt[]) =>
    usageOf([by("ada", ...attempts)], NOW, DAY).week.get("ada");
  close(week(used(8 * DAY, 6 * DAY)), 24);
  close(week(used(8 * DAY)), 7 * 24);
  assert.equal(week(used(9 * DAY, 7 * DAY)), 0);
  close(week(used(9 * DAY, 8 * DAY), used(HOUR, 0)), 1);
});

Deno.test("a clock that was set back makes nothing count more than once, or less than nothing", () => {
  const later = usageOf([by("ada", used(-HOUR, -2 * HOUR)), by("bob", used(-HOUR))], NOW, DAY);
  assert.deepEqual([...later.week], [["ada", 0]]);
  const status = by("ada", used(HOUR, 0));
  const now = usageOf([status], NOW, DAY).decayed.get("ada");
  assert.equal(usageOf([status], NOW - DAY, DAY).decayed.get("ada"), now);
});

Deno.test("a time that cannot be read counts for nothing and spoils nobody's sum", () => {
  const unreadable = [used(HOUR, 0, { startedAt: "?" }), used(HOUR, 0, { endedAt: "?" })];
  const usage = usageOf(
    [by("ada", ...unreadable, used(HOUR, 0)), by("bob", ...unreadable)],
    NOW,
    DAY,
  );
  close(usage.week.get("ada"), 1);
  assert.deepEqual([...usage.decayed.keys()], ["ada"]);
});

Deno.test("what is too old to count for fair share still counts for the week", () => {
  const usage = usageOf([by("ada", used(6 * DAY, 5 * DAY))], NOW, HOUR);
  assert.deepEqual([usage.decayed.get("ada"), usage.week.get("ada")], [0, 24]);
});

const span = fc.record({
  from: fc.integer({ min: 0, max: 30 * DAY }),
  length: fc.integer({ min: 0, max: 3 * DAY }),
  owner: fc.constantFrom("ada", "bob"),
});

function statusesOf(spans: readonly { from: number; length: number; owner: string }[]) {
  return spans.map(({ from, length, owner }) => {
    const until = from - length;
    return by(owner, until > 0 ? used(from, until) : used(from));
  });
}

Deno.test("property: the sum is the integral of the weight", () => {
  fc.assert(
    fc.property(
      fc.array(span, { maxLength: 5 }),
      fc.integer({ min: HOUR, max: 60 * DAY }),
      (spans, half) => {
        const expected = spans.reduce(
          (sum, { from, length, owner }) =>
            owner === "ada" ? sum + slowly(from, Math.max(0, from - length), half) : sum,
          0,
        );
        const found = usageOf(statusesOf(spans), NOW, half).decayed.get("ada") ?? 0;
        close(found, expected, 1e-3 * (1 + expected));
      },
    ),
    { numRuns: 50 },
  );
});

Deno.test("property: attempts of one job count as those of several jobs do", () => {
  fc.assert(fc.property(fc.array(span, { maxLength: 5 }), (spans) => {
    const apart = statusesOf(spans.map((one) => ({ ...one, owner: "ada" })));
    const together = by("ada", ...apart.flatMap((one) => one.attempts));
    const [many, one] = [apart, [together]].map((all) => usageOf(all, NOW, DAY));
    close(one?.decayed.get("ada") ?? 0, many?.decayed.get("ada") ?? 0);
    close(one?.week.get("ada") ?? 0, many?.week.get("ada") ?? 0);
  }));
});

Deno.test("property: a status that was seen before counts as one that was not", () => {
  const pass = fc.record({
    later: fc.integer({ min: 0, max: 40 * DAY }),
    half: fc.constantFrom(HOUR, DAY, 7 * DAY),
  });
  fc.assert(
    fc.property(
      fc.array(span, { maxLength: 5 }),
      fc.array(pass, { maxLength: 4 }),
      (spans, passes) => {
        const seen = statusesOf(spans);
        for (const { later, half } of passes) {
          assert.deepEqual(
            usageOf(seen, NOW + later, half),
            usageOf(structuredClone(seen), NOW + later, half),
          );
        }
      },
    ),
  );
});

Deno.test("property: the order of the status files never matters", () => {
  fc.assert(
    fc.property(
      fc.array(span, { maxLength: 20 }).chain((spans) =>
        fc.tuple(
          fc.constant(spans),
          fc.shuffledSubarray(spans, { minLength: spans.length }),
        )
      ),
      ([spans, shuffled]) => {
        const sorted = (
          { decayed, week }: ReturnType<typeof usageOf>,
        ) => [[...decayed].sort(), [...week].sort()];
        assert.deepEqual(
          sorted(usageOf(statusesOf(spans), NOW, DAY)),
          sorted(usageOf(statusesOf(shuffled), NOW, DAY)),
        );
      },
    ),
  );
});
