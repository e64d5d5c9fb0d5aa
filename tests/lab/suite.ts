/**
 * Lab tests of one file: they share one lab, which is started by the first and stopped after the
 * last. What this machine cannot run is left out with a name that says what is missing, or fails
 * when `UGRO_LAB=required`.
 *
 * @example
 * const suite = await labSuite();
 * suite.test("a host answers", {}, async ({ lab }) => { … });
 *
 * @module
 */
import { Harness, type HarnessOptions } from "./harness.ts";
import { type Lab, type LabOptions, startLab } from "./lab.ts";
import { labRequired, labSupport } from "./support.ts";
import { INSTALL_TORCH, torchPython, venvOf } from "./torch.ts";

/** What a test needs beyond a lab. */
export interface Needs {
  /** PyTorch. */
  readonly torch?: true;
  /** Hosts with a cable to cut and processes of their own. */
  readonly namespaces?: true;
}

/** What a test gets. */
export interface Context {
  readonly lab: Lab;
  /** Python with PyTorch; empty unless the test needs it. */
  readonly python: string;
  /** Starts a harness that is closed after the test. */
  harness(options?: HarnessOptions): Promise<Harness>;
}

/** Declares the lab tests of one file. */
export interface Suite {
  test(name: string, needs: Needs, body: (context: Context) => Promise<void>): void;
}

/** Finds out what the machine can do; the lab itself starts with the first test that runs. */
export async function labSuite(options: Omit<LabOptions, "dir"> = {}): Promise<Suite> {
  const support = await labSupport();
  const python = support.kind === "none" ? undefined : await findTorch();
  let lab: Promise<Lab> | undefined;
  let folder = "";
  const start = async () => {
    folder = await Deno.makeTempDir({ prefix: "ugro-lab-" });
    const visible = [...options.visible ?? [], ...python === undefined ? [] : [venvOf(python)]];
    return await startLab({ ...options, dir: folder, visible });
  };
  Deno.test.afterAll(async () => {
    try {
      if (lab !== undefined) await (await lab).stop();
    } finally {
      if (folder !== "") await Deno.remove(folder, { recursive: true });
    }
  });
  return {
    test(name, needs, body) {
      const lacking = lacks(needs, support, python);
      const ignore = lacking !== undefined && !labRequired();
      Deno.test({
        name: ignore ? `${name} (left out, missing: ${lacking})` : name,
        ignore,
        // The lab outlives the test that started it.
        sanitizeOps: false,
        sanitizeResources: false,
        async fn() {
          if (lacking !== undefined) throw new Error(`Cannot run: missing ${lacking}`);
          const harnesses: Harness[] = [];
          const running = await (lab ??= start());
          try {
            await body({
              lab: running,
              python: python ?? "",
              async harness(harnessOptions = {}) {
                const harness = await Harness.start(running, harnessOptions);
                harnesses.push(harness);
                return harness;
              },
            });
          } finally {
            for (const harness of harnesses) await harness.close();
          }
        },
      });
    },
  };
}

/** A missing PyTorch is the business of the tests that need it. */
async function findTorch(): Promise<string | undefined> {
  try {
    return await torchPython();
  } catch {
    return undefined;
  }
}

function lacks(
  needs: Needs,
  support: Awaited<ReturnType<typeof labSupport>>,
  python: string | undefined,
): string | undefined {
  if (support.kind === "none") return support.missing.join(", ");
  if (needs.namespaces && support.kind !== "namespaces") return support.missing.join(", ");
  if (needs.torch && python === undefined) return `PyTorch; install it: ${INSTALL_TORCH}`;
  return undefined;
}
