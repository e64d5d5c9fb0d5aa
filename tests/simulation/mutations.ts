/**
 * Telling ways to break UGRO. The simulation must notice every one of them: an oracle that cannot
 * fail proves nothing. Each is one replacement in one file.
 *
 * @module
 */

/** One deliberate fault in the code. */
export interface Mutation {
  /** What the code does wrong then. */
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** All of them. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: "an attempt that was given up is not killed when its node returns",
    file: "reconciler/decide.ts",
    find: "return isAlive(run) && (!current || newest.end !== undefined || misplaced);",
    replace: "return false && misplaced;",
  },
  {
    name: "a node that does not answer runs nothing",
    file: "reconciler/view.ts",
    find: 'return { kind: "unknown", node, sinceMs, reason: problem?.message ?? reason };',
    replace: 'return { kind: "absent", node };',
  },
  {
    name: "a node is given up as soon as it does not answer",
    file: "reconciler/attempt_step.ts",
    find: "now - rank.sinceMs >= policy.nodeLostAfterMs);",
    replace: "now - rank.sinceMs >= 0);",
  },
  {
    name: "an attempt is launched although it could not be recorded",
    file: "reconciler/controller.ts",
    find: "return known?.attempts.some((a) => a.attempt === action.attempt.attempt) ?? false;",
    replace: "return known !== undefined || true;",
  },
  {
    name: "a lease that has run out is ignored",
    file: "reconciler/leadership.ts",
    find: "const held = this.#deposed === undefined && this.now() < this.#heldUntilMs;",
    replace: "const held = this.#deposed === undefined;",
  },
  {
    name: "a standby takes the lease while the leader lives",
    file: "reconciler/lease.ts",
    find: "return unchangedMs >= (shown.watched ? PATIENCE_MS : ALONE_PATIENCE_MS);",
    replace: "return unchangedMs >= 0;",
  },
  {
    name: "a claim does not raise the epoch",
    file: "reconciler/lease.ts",
    find: "epoch: Math.max(held?.epoch ?? 0, before?.epoch ?? 0) + 1,",
    replace: "epoch: Math.max(held?.epoch ?? 0, before?.epoch ?? 0, 1),",
  },
  {
    name: "a job has succeeded when one rank has",
    file: "reconciler/attempt_step.ts",
    find: 'if (ranks.every((rank) => rank.kind === "ended" && isSuccess(rank.run))) {',
    replace: 'if (ranks.some((rank) => rank.kind === "ended" && isSuccess(rank.run))) {',
  },
  {
    name: "a gang that lost a rank is over before the others are stopped",
    file: "reconciler/attempt_step.ts",
    find: "if (trouble) return tearDown(input, trouble);",
    replace:
      'if (trouble) return { kind: "end", end: trouble.end, ...(trouble.failure ? { failure: trouble.failure } : {}) };',
  },
  {
    name: "a desired branch that is gone holds no jobs",
    file: "reconciler/desired.ts",
    find: "return { ...this.#last, notes };",
    replace:
      "return { ...this.#last, value: this.#last.value && { ...this.#last.value, jobs: new Map() }, notes };",
  },
  {
    name: "a manifest that does not parse means that nobody wants the job",
    file: "reconciler/intent.ts",
    find: 'if (invalid) return { kind: "keep" };',
    replace: "",
  },
  {
    name: "GPUs of a recorded attempt are not booked",
    file: "reconciler/scheduling/rooms.ts",
    find: "if (!attempt || attempt.end) continue;",
    replace: "if (attempt !== undefined || byName.size > 0) continue;",
  },
  {
    name: "a launch is completed on GPUs that somebody has taken",
    file: "reconciler/obstacle.ts",
    find: "if (missing.length === 0) return undefined;",
    replace: "if (missing.length >= 0) return undefined;",
  },
  {
    name: "failures use up no retry",
    file: "reconciler/decide_active.ts",
    find: "const retries = status.retries + (countsAsRetry(failure) ? 1 : 0);",
    replace: "const retries = status.retries;",
  },
  {
    name: "a half-written checkpoint is resumed from",
    file: "reconciler/resume.ts",
    find: ".filter((c) => c.complete);",
    replace: ";",
  },
  {
    name: "a job whose manifest was deleted runs on",
    file: "reconciler/intent.ts",
    find: 'if (!want) return stop("Cancelled", "ManifestDeleted", "its manifest was deleted");',
    replace: 'if (!want) return { kind: "keep" };',
  },
  {
    name: "a lost status branch means that nothing runs",
    file: "reconciler/queue.ts",
    find: 'if (seen?.state === "unknown" && now - seen.sinceMs < lostAfter) {',
    replace: 'if (seen?.state === "unknown" && now < 0) {',
  },
  {
    name: "a status file says how often it was written",
    file: "reconciler/status_files.ts",
    find: 'const head = "# Written by UGRO; changes here are overwritten.\\n";',
    replace:
      "const head = `# Written ${globalThis.written = (globalThis.written ?? 0) + 1} times\\n`;",
  },
  {
    name: "room that is kept for a waiting job is given to others",
    file: "reconciler/scheduling/schedule.ts",
    find: "const whole = (room: Room) => this.#timeline.whole(room, until, request.need);",
    replace: "const whole = (_: Room) => until > 0 ? Infinity : 0;",
  },
  {
    name: "an eviction is counted as a retry",
    file: "reconciler/decide_active.ts",
    find: 'if (step.end === "evicted") return afterEviction(input, next, ended, at);',
    replace: 'if (step.end === "evicted") ' +
      "return afterEviction(input, change(next, { retries: next.retries + 1 }, at), ended, at);",
  },
  {
    name: "an evicted job goes to the end of the queue",
    file: "reconciler/decide_active.ts",
    find: 'if (step.end === "evicted") return afterEviction(input, next, ended, at);',
    replace: 'if (step.end === "evicted") return afterEviction(input, ' +
      "change(next, { submittedAt: iso(at.now) }, at), ended, at);",
  },
  {
    name: "a drained job is stopped before that is recorded",
    file: "reconciler/decide_active.ts",
    find: "return { status: putEviction(noted, evicted, at), actions: [], wakeAtMs: at.now + 1 };",
    replace: "return { status: evicted ? noted : status, actions: stopAll(input, attempt, ranks, " +
      '{ kind: "stopping", graceMs: 5000, because: drained.message }), wakeAtMs: at.now + 1 };',
  },
  {
    name: "an expired cordon drains",
    file: "reconciler/drain.ts",
    find: "const cordon = node && cordonAt(node, now);",
    replace: "const cordon = node && (now > 0 ? node.cordoned : cordonAt(node, now));",
  },
  {
    name: "what a queue, a user and a group have already does not count towards their limits",
    file: "reconciler/scheduling/limits.ts",
    find: "if (limit === undefined || used + needed <= limit + 1e-6) return undefined;",
    replace: "if (limit === undefined || needed <= limit + 1e-6) return undefined;",
  },
  {
    name: "nobody waits for the jobs that it comes after",
    file: "reconciler/gates.ts",
    find: "return open[0] ?? arrayGate(job, look);",
    replace: "return arrayGate(job, look);",
  },
  {
    name: "jobs of a sweep that run already do not count towards its limit",
    file: "reconciler/families.ts",
    find: "if (status.parent !== undefined && liveAttempt(status)) hold(status.parent);",
    replace: "if (status.parent === '' && liveAttempt(status)) hold(status.parent);",
  },
  {
    name: "parts of one GPU are given away without end",
    file: "reconciler/scheduling/fit.ts",
    find: "if (!suits(slot, need) || partOf(slot, need) > slot.left) continue;",
    replace: "if (!suits(slot, need)) continue;",
  },
  {
    name: "jobs are stopped for others although they are protected",
    file: "reconciler/scheduling/preempt_policy.ts",
    find: 'if (policy === "fifo" || isProtected(holding, input)) return undefined;',
    replace: 'if (policy === "fifo" || holding.leaving) return undefined;',
  },
  {
    name: "a time of a schedule has two runs",
    file: "reconciler/instances.ts",
    find: "return due > (runs[0]?.dueMs ?? -Infinity) ? due : undefined;",
    replace: "if (due > (runs[0]?.dueMs ?? -Infinity)) return due; " +
      "return due === runs[0]?.dueMs && now > due + 90_000 ? due + 60_000 : undefined;",
  },
  {
    name: "a guess of when a job starts stands in a file",
    file: "reconciler/queue_file.ts",
    find:
      'if (!expected || expected.basis === "guess" || !Number.isFinite(expected.atMs)) return undefined;',
    replace: "if (!expected || !Number.isFinite(expected.atMs)) return undefined;",
  },
];
