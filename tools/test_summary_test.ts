import assert from "node:assert/strict";
import { closingLine, counts, explain, ignoredTests } from "./test_summary.ts";

Deno.test("the counts are those of deno's closing line, colours and steps aside", () => {
  const output = "ok | 1 passed (in a test's own output)\nmore\n" +
    "\x1b[31mFAILED\x1b[0m | 3 passed (1 step) | 4 failed (1 step) | 1 ignored (1 step) (161ms)\n\n";
  assert.deepEqual(counts(output, 1), { passed: 3, failed: 4, skipped: 1 });
  assert.deepEqual(counts("\nok | 12 passed | 0 failed (6ms)\n", 0), {
    passed: 12,
    failed: 0,
    skipped: 0,
  });
});

Deno.test("a run that failed without a closing line is a failure", () => {
  assert.deepEqual(counts("error: Type checking failed.", 1), { passed: 0, failed: 1, skipped: 0 });
  assert.equal(counts("ok | 2 passed | 0 failed (1ms)\n", 1).failed, 1);
});

Deno.test("the closing line names skipped tests only where there are some", () => {
  assert.equal(closingLine({ passed: 3, failed: 0, skipped: 0 }), "3 passed, 0 failed");
  assert.equal(closingLine({ passed: 3, failed: 1, skipped: 2 }), "3 passed, 1 failed, 2 skipped");
});

Deno.test("what was left out is told with the way to include it", () => {
  const junit = `<testsuites><testsuite name="./tests/lab/crash_test.ts">
    <testcase name="a node &amp; its &lt;peer&gt;" classname="./tests/lab/crash_test.ts" time="0.0" line="1" col="6">
      <skipped/>
    </testcase>
    <testcase name="runs" classname="./tests/lab/crash_test.ts" time="0.0" line="9" col="6">
    </testcase></testsuite></testsuites>`;
  const ignored = ignoredTests(junit);
  assert.deepEqual(ignored, [{ file: "tests/lab/crash_test.ts", name: "a node & its <peer>" }]);
  const [first, second] = explain(ignored);
  assert.match(first ?? "", /^left out: 1 of tests\/lab\/crash_test\.ts; .*UGRO_LAB=required/);
  assert.equal(second, "  a node & its <peer>");
});

Deno.test("many left-out tests of one file are cut short", () => {
  const ignored = Array.from({ length: 8 }, (_, i) => ({ file: "jobs/a_test.ts", name: `t${i}` }));
  assert.equal(explain(ignored).length, 7);
  assert.equal(explain(ignored).at(-1), "  … and 3 more");
});
