/**
 * Reads what `deno test` printed and reported: how many tests passed, failed and were left out,
 * and which were left out.
 *
 * @module
 */

/** How a test run ended. */
interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A test that was not run. */
interface Ignored {
  readonly file: string;
  readonly name: string;
}

/** How the tests of a folder are made to run where they were left out. */
const HOW_TO_RUN: readonly { readonly folder: string; readonly how: string }[] = [
  {
    folder: "tests/lab/",
    how: "they need Linux, root, sshd, ip (iproute2) and a PyTorch in .ugro/venv; " +
      "CONTRIBUTING.md says how to set that up, and UGRO_LAB=required makes a lack of it an error",
  },
  { folder: "providers/secrets/", how: "they need age: apt-get install age" },
  {
    folder: "web/",
    how: "they need Chromium: apt-get install chromium",
  },
];

/** Most names of left-out tests that are printed of one file. */
const MAX_NAMES = 5;

/**
 * The counts of the closing line of `deno test` (`ok | 3 passed (2 steps) | 0 failed | 1 ignored`).
 * A run that failed without such a line (a type error, say) counts as one failure.
 */
export function counts(output: string, exitCode: number): Counts {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  const line = plain.split("\n").findLast((l) => /^(ok|FAILED) \| \d+ passed/.test(l)) ?? "";
  const number = (word: string) => Number(line.match(new RegExp(`(\\d+) ${word}`))?.[1] ?? 0);
  const failed = number("failed");
  return {
    passed: number("passed"),
    failed: exitCode !== 0 ? Math.max(1, failed) : failed,
    skipped: number("ignored"),
  };
}

/** The tests marked as skipped in a JUnit report of `deno test`; steps are told with their test. */
export function ignoredTests(junit: string): Ignored[] {
  const cases = junit.matchAll(/<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*<skipped\/>/g);
  return [...cases].map(([, name = "", file = ""]) => ({
    file: unescapeXml(file).replace(/^\.\//, ""),
    name: unescapeXml(name),
  }));
}

/** Says what was left out, file by file, and how to include it. */
export function explain(ignored: readonly Ignored[]): string[] {
  const byFile = Map.groupBy(ignored, (test) => test.file);
  return [...byFile].flatMap(([file, tests]) => {
    const how = HOW_TO_RUN.find(({ folder }) => file.startsWith(folder))?.how ??
      "the file says beside `ignore` what they need";
    const more = tests.length > MAX_NAMES ? [`  … and ${tests.length - MAX_NAMES} more`] : [];
    const names = tests.slice(0, MAX_NAMES).map((test) => `  ${test.name}`);
    return [`left out: ${tests.length} of ${file}; ${how}`, ...names, ...more];
  });
}

/** The plain line that ends every run. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => named[name] ?? "");
}
