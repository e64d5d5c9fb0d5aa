/**
 * Secrets of a manifest: names and where their values are, never the values.
 *
 * @example
 * // secrets: {HF_TOKEN: {file: hf-token}}
 * secretsOf(fields, context, report); // { HF_TOKEN: { kind: "file", name: "hf-token" } }
 *
 * @module
 */
import type { Report } from "../cluster/report.ts";
import { plain } from "../cluster/show.ts";
import type { SecretSource } from "./job.ts";
import { SECRET_WORDS } from "./schema.ts";

/** One entry of `secrets:` as the schema reads it. */
type Written =
  | { readonly env: string }
  | { readonly file: string }
  | { readonly age: string }
  | { readonly sops: string; readonly key: string };

/** The keys of a manifest that matter here. */
interface SecretFields {
  readonly env?: Readonly<Record<string, unknown>>;
  readonly secrets?: Readonly<Record<string, Written>>;
}

/**
 * `top` without entries of `secrets:` that are plain values: most likely the values themselves. They are
 * noted here, since what the schema says of a wrong value repeats it.
 */
export function withoutValues(
  top: Readonly<Record<string, unknown>>,
  report: Report,
): Readonly<Record<string, unknown>> {
  const { secrets } = top;
  if (typeof secrets !== "object" || secrets === null || Array.isArray(secrets)) return top;
  const kept = Object.entries(secrets).filter(([name, written]) => {
    if (typeof written === "object") return true;
    const message = `\`secrets.${plain(name)}\` must be ${SECRET_WORDS}, never a value`;
    const hint = "if this is the value, it is in git now: make a new one";
    report.problem(["secrets", name], message, hint);
    return false;
  });
  return { ...top, secrets: Object.fromEntries(kept) };
}

/** The sources by name; undefined when the manifest names none. Notes what is wrong with them. */
export function secretsOf(
  { env = {}, secrets = {} }: SecretFields,
  hasPath: (path: string) => boolean,
  report: Report,
): Readonly<Record<string, SecretSource>> | undefined {
  const entries = Object.entries(secrets).map(([name, written]) => {
    if (Object.hasOwn(env, name)) {
      report.problem(["secrets", name], `\`${name}\` is in \`env\`, too`, "keep one", "key");
    }
    const source = sourceOf(written);
    // The file may come with a later commit: the job waits for it.
    if ((source.kind === "age" || source.kind === "sops") && !hasPath(source.path)) {
      const message = `no file \`${plain(source.path)}\` in the state repository`;
      report.warn(["secrets", name, source.kind], message, "the job waits until it is there");
    }
    return [name, source] as const;
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function sourceOf(written: Written): SecretSource {
  if ("env" in written) return { kind: "env", name: written.env };
  if ("file" in written) return { kind: "file", name: written.file };
  if ("age" in written) return { kind: "age", path: written.age };
  return { kind: "sops", path: written.sops, key: written.key.split(".") };
}

/** Where the value is, in the words of the manifest: `sops: secrets/lab.yaml, key: hf.token`. */
export function describeSource(source: SecretSource): string {
  switch (source.kind) {
    case "env":
      return `the controller's variable UGRO_SECRET_${source.name}`;
    case "file":
      return `the file ${source.name} of the controller's secrets folder`;
    case "age":
      return source.path;
    case "sops":
      return `${source.path}, key ${source.key.join(".")}`;
  }
}
