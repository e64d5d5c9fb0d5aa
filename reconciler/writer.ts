/**
 * `writer.yaml` of the status branch: which claim wrote it last. Should the branch `ugro/lease` be
 * deleted while no controller works, this is how the next one goes on with the same repository id
 * and a higher epoch. It is written along with other changes, never by itself.
 *
 * @module
 */
import { parse, stringify } from "yaml";
import { z } from "zod";
import { fileAt } from "./files.ts";
import type { Claim, Outcome, StateRepository } from "./ports.ts";

/** Its path. */
export const WRITER_FILE = "writer.yaml";

const MAX_BYTES = 64 * 1024;

const WriterSchema = z.object({
  repository: z.string().min(1).max(64),
  epoch: z.int().positive(),
});

/** The file for a claim. */
export function renderWriter({ repository, epoch }: Claim): string {
  return `# Written by UGRO; changes here are overwritten.\n${stringify({ repository, epoch })}`;
}

/** The claim that wrote the status branch last; undefined: none that can be read. */
export async function lastWriter(
  repository: Pick<StateRepository, "refresh" | "listTree" | "readBlobs">,
): Promise<Outcome<Claim | undefined>> {
  const heads = await repository.refresh();
  if (heads.kind !== "ok") return heads;
  const { status } = heads.value;
  if (status === undefined) return { kind: "ok", value: undefined };
  try {
    const bytes = await fileAt(repository, status, WRITER_FILE, MAX_BYTES);
    return { kind: "ok", value: bytes && parseWriter(new TextDecoder().decode(bytes)) };
  } catch (error) {
    return { kind: "unknown", reason: `Cannot read ${WRITER_FILE}: ${(error as Error).message}` };
  }
}

function parseWriter(text: string): Claim | undefined {
  try {
    return WriterSchema.safeParse(parse(text, { maxAliasCount: 0 })).data;
  } catch {
    return undefined;
  }
}
