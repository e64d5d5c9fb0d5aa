/**
 * Decrypts with the real `age`. The ciphertext goes in on stdin and the value comes out on stdout;
 * nothing is on the command line but the path of the identity.
 *
 * @example
 * const found = await ageDecrypt(ciphertext, { program: "age", identity: "/…/age-identity.txt" });
 *
 * @module
 */
import { type Bytes, type Missing, phrase } from "./found.ts";
import { fileProblem } from "./private_file.ts";

/** Which `age`, with which key. */
export interface AgeOptions {
  readonly program: string;
  /** File with the controller's identity, as `age-keygen` writes it. */
  readonly identity: string;
}

const MAX_PLAIN_BYTES = 64 * 1024;
const MAX_COMPLAINT_BYTES = 4096;
const DEADLINE_MS = 10_000;
const USUAL_PATH = "/usr/local/bin:/usr/bin:/bin";

/** Why an identity is not to be used. */
export async function identityProblem(identity: string): Promise<Missing | undefined> {
  const problem = await fileProblem(identity);
  return problem && { why: `the controller's age identity ${problem.why}` };
}

/** The plaintext, or why there is none. */
export async function ageDecrypt(ciphertext: Uint8Array, options: AgeOptions): Promise<Bytes> {
  const { program, identity } = options;
  const problem = await identityProblem(identity);
  if (problem) return problem;
  const started = start(program, identity);
  if ("why" in started) return started;
  let why = "";
  const stop = (because: string) => {
    why ||= because;
    kill(started);
  };
  const deadline = setTimeout(() => stop("age did not end within 10 s"), DEADLINE_MS);
  try {
    const [bytes, complaint, { code }] = await Promise.all([
      readAll(started.stdout, MAX_PLAIN_BYTES, () => stop("what it holds is too long")),
      readAll(started.stderr, MAX_COMPLAINT_BYTES, () => {}),
      started.status,
      feed(started.stdin, ciphertext),
    ]);
    if (why) return { why };
    if (code === 0) return { bytes };
    const said = phrase(new TextDecoder().decode(complaint).split("\n")[0] ?? "");
    return { why: `cannot be decrypted (${said || `age ended with exit code ${code}`})` };
  } finally {
    clearTimeout(deadline);
  }
}

function start(program: string, identity: string): Deno.ChildProcess | Missing {
  try {
    return new Deno.Command(program, {
      args: ["--decrypt", "--identity", identity],
      clearEnv: true,
      env: { PATH: searchPath(), LC_ALL: "C" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    const absent = error instanceof Deno.errors.NotFound;
    return {
      why: absent
        ? "the program `age` is not installed on the controller's machine"
        : "the controller may not start the program `age`",
    };
  }
}

function searchPath(): string {
  try {
    return Deno.env.get("PATH") || USUAL_PATH;
  } catch {
    return USUAL_PATH; // not among the permissions given
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** `age` may end before it has read all. */
async function feed(stdin: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = stdin.getWriter();
  await writer.write(bytes).catch(() => {});
  await writer.close().catch(() => {});
}

/** At most `max` bytes; what follows is thrown away, after `onMore`. */
async function readAll(
  stream: ReadableStream<Uint8Array>,
  max: number,
  onMore: () => void,
): Promise<Uint8Array> {
  const all = new Uint8Array(max);
  let filled = 0;
  for await (const chunk of stream) {
    const part = chunk.subarray(0, max - filled);
    all.set(part, filled);
    filled += part.length;
    if (part.length < chunk.length) onMore();
  }
  return all.slice(0, filled);
}
