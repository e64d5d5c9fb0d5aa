import assert from "node:assert/strict";
import { formatProblem } from "../../jobs/problem.ts";
import { formatTrace, parseTrace } from "./trace.ts";

function rows(text: string) {
  const parsed = parseTrace("t.csv", text);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value.map(({ line: _, ...row }) => row);
}

function problems(text: string): string[] {
  const parsed = parseTrace("t.csv", text);
  assert.ok(!parsed.ok);
  return parsed.problems.map(formatProblem);
}

Deno.test("three columns are enough, in any order, with either line end", () => {
  const text = "\ufeffnum_gpus,submit_time,duration\r\n8,0,3600\r\n\r\n1,1.5,60\r\n";
  assert.deepEqual(rows(text), [
    { submitSeconds: 0, durationSeconds: 3600, gpus: 8, user: "", priority: 0 },
    { submitSeconds: 1.5, durationSeconds: 60, gpus: 1, user: "", priority: 0 },
  ]);
});

Deno.test("each job knows its line, empty ones counted", () => {
  const parsed = parseTrace("t.csv", "submit_time,duration,num_gpus\n\n0,9,1\n1,9,1\n");
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.map(({ line }) => line), [3, 4]);
});

Deno.test("optional cells may be empty; priorities are words or numbers; quotes hold commas", () => {
  const text = "submit_time,duration,num_gpus,num_nodes,user,priority,vram_gb\n" +
    '0,60,16,2,"Lovelace, ""Ada""",high,40\n' +
    "5,60,1,,bob,-7,\n";
  const first = { submitSeconds: 0, durationSeconds: 60, gpus: 16, nodes: 2, vramGb: 40 };
  const second = { submitSeconds: 5, durationSeconds: 60, gpus: 1, user: "bob", priority: -7 };
  const read = rows(text);
  assert.deepEqual(read, [{ ...first, user: 'Lovelace, "Ada"', priority: 100 }, second]);
  assert.deepEqual(rows(formatTrace(read)), read);
});

Deno.test("what is wrong is told with its file, line and column", () => {
  const header = "submit_time,duration,num_gpus,user,priority\n";
  for (
    const [text, expected] of [
      ["", /^t.csv:1:1: the header lacks|^t.csv:1:1: the header names/],
      ["0,60,1\n", /^t.csv:1:1: the header names "0"/],
      ["submit_time,duration\n0,1\n", /^t.csv:1:1: the header lacks num_gpus/],
      [
        "submit_time,duraton,num_gpus\n0,1,1\n",
        /^t.csv:1:13: the header names "duraton" \(did you mean `duration`\?\)/,
      ],
      ["duration,duration\n", /^t.csv:1:10: the header names duration twice/],
      [`${header}0,60,1\n`, /^t.csv:2:1: 3 cells under a header of 5$/],
      [`${header}\n0,,1,a,0\n`, /^t.csv:3:3: duration is empty$/],
      [`${header}0, soon,1,a,0\n`, /^t.csv:2:4: duration must be a number greater than 0, not "so/],
      [
        `${header}-1,60,1,a,0\n`,
        /^t.csv:2:1: submit_time must be a number of at least 0, not "-1"/,
      ],
      [`${header}0,0,1,a,0\n`, /^t.csv:2:3: duration must be a number greater than 0/],
      [`${header}0,1e99,1,a,0\n`, /^t.csv:2:3: duration must be/],
      [`${header}0,60,1.5,a,0\n`, /^t.csv:2:6: num_gpus must be a whole number of at least 1/],
      [`${header}0,60,0,a,0\n`, /^t.csv:2:6: num_gpus must be/],
      [`${header}0,60,1,a,toString\n`, /^t.csv:2:10: priority must be a whole number from -1000/],
      [`${header}0,60,1,"a,0\n`, /^t.csv:2:8: a quote has no partner/],
      [header, /^t.csv:2:1: the trace has no jobs/],
      ["submit_time,duration,num_gpus,num_nodes\n0,9,9,2\n", /^t.csv:2:5: 9 GPUs cannot be spread/],
    ] as const
  ) assert.match(problems(text)[0] ?? "", expected);
});

Deno.test("all bad lines are told, but no more than twenty problems", () => {
  const bad = "submit_time,duration,num_gpus\n" + "x,1,1\n".repeat(100);
  assert.equal(problems(bad).length, 20);
  assert.deepEqual(problems("submit_time,duration,num_gpus\nx,1,1\n0,1,1\n0,1,y\n"), [
    't.csv:2:1: submit_time must be a number of at least 0, not "x"',
    't.csv:4:5: num_gpus must be a whole number of at least 1, not "y"',
  ]);
});

Deno.test("a trace of more than a million jobs is refused where it gets too long", () => {
  const long = "submit_time,duration,num_gpus\n" + "0,1,1\n".repeat(1_000_001);
  assert.deepEqual(problems(long), [
    "t.csv:1000002:1: more than 1000000 jobs (cut the trace into parts)",
  ]);
});
