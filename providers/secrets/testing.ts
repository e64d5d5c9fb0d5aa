/**
 * For tests with the real `age`.
 *
 * @module
 */
import { labRequired } from "../../tests/lab/support.ts";

/** Folder of the files that SOPS wrote, and of the identity that opens them. */
export const FIXTURES = new URL("./fixtures/", import.meta.url);

/** True when the tests must be left out: no `age`, and it may be missing. */
export async function withoutAge(): Promise<boolean> {
  try {
    await new Deno.Command("age", { args: ["--version"], stdout: "null" }).output();
    return false;
  } catch {
    if (!labRequired()) return true;
    throw new Error("Cannot run the tests of secrets: no age (Debian package age)");
  }
}

/** A private folder with the identity of the fixtures, as a controller has it. */
export async function privateFolder(): Promise<{ folder: string; identity: string }> {
  const folder = await Deno.makeTempDir({ prefix: "ugro-secrets-" });
  await Deno.chmod(folder, 0o700);
  const identity = `${folder}/age-identity.txt`;
  await write(identity, await Deno.readTextFile(new URL("identity.txt", FIXTURES)));
  return { folder, identity };
}

/** Writes a file that only its owner can read. */
export async function write(path: string, text: string, mode = 0o600): Promise<void> {
  await Deno.writeTextFile(path, text);
  await Deno.chmod(path, mode);
}

/** What `age` makes of a text, for the recipient of the fixtures' identity. */
export async function encrypt(text: string, identity: string, ...more: string[]) {
  const lines = (await Deno.readTextFile(identity)).split("\n");
  const recipient = lines.find((line) => line.startsWith("# public key: "))?.slice(14) ?? "";
  const child = new Deno.Command("age", {
    args: ["--encrypt", "--recipient", recipient, ...more],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  return (await child.output()).stdout;
}
