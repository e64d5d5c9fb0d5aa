/**
 * Runs `deno test` with the arguments given, and ends with one plain line: `N passed, N failed`,
 * with `, N skipped` where tests were left out. Before it stands what was left out and how to
 * include it. The exit code is that of `deno test`.
 *
 * @example
 * deno task test jobs/ --filter manifest
 *
 * @module
 */
import { closingLine, counts, explain, ignoredTests } from "./test_summary.ts";

/** Passes a stream on to stdout as it comes, and keeps its last bytes as text. */
async function tee(stream: ReadableStream<Uint8Array>, keepChars: number): Promise<string> {
  const decoder = new TextDecoder();
  let tail = "";
  for await (const chunk of stream) {
    for (let sent = 0; sent < chunk.length;) sent += await Deno.stdout.write(chunk.subarray(sent));
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-keepChars);
  }
  return tail;
}

/** Runs the tests and reports; gives the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const report = await Deno.makeTempFile({ prefix: "ugro-test-", suffix: ".xml" });
  try {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["test", `--junit-path=${report}`, ...args],
      stdout: "piped",
    }).spawn();
    const [tail, status] = await Promise.all([tee(child.stdout, 4096), child.status]);
    const ignored = ignoredTests(await Deno.readTextFile(report));
    const lines = [...explain(ignored), closingLine(counts(tail, status.code))];
    console.log(lines.join("\n"));
    return status.code;
  } finally {
    await Deno.remove(report);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
