/**
 * Ships code to a node in pieces that fit a frame.
 *
 * @module
 */
import type { CodeArchive, Outcome } from "../../reconciler/ports.ts";
import type { NodeLink } from "./link.ts";
import { codeHasReply, codePutReply } from "./replies.ts";

/**
 * Far below what a frame may hold: an observation queued behind a piece must still be answered in
 * time, which at 10 Mbit/s takes pieces of 1 MiB (1.4 MB as base64).
 */
const CHUNK_BYTES = 1024 * 1024;
/** The last piece is answered when everything is verified and unpacked. */
const PUT_DEADLINE_MS = 60_000;

/** Makes sure that the node has the code, sending it only when it has not. */
export async function shipCode(
  link: NodeLink,
  archive: CodeArchive,
  epoch: number,
): Promise<Outcome<void>> {
  const { digests } = link;
  const { digest } = archive;
  if (digests.has(digest)) return { kind: "ok", value: undefined };
  const asked = await link.ask("code-has", { digest }, codeHasReply);
  // To ask again does no harm, so a lost answer is no worse than an operation that never left.
  if (asked.kind === "unknown") return { kind: "retryable", reason: asked.reason };
  if (asked.kind !== "ok") return asked;
  const sent = asked.value.has ? asked : await sendAll(link, archive, epoch);
  if (sent.kind !== "ok") return sent;
  digests.add(digest);
  return { kind: "ok", value: undefined };
}

async function sendAll(
  link: NodeLink,
  { digest, tar }: CodeArchive,
  epoch: number,
): Promise<Outcome<unknown>> {
  const sha256 = hex(await crypto.subtle.digest("SHA-256", tar.slice()));
  let offset = 0;
  while (true) {
    const chunk = tar.subarray(offset, offset + CHUNK_BYTES);
    const last = offset + chunk.length >= tar.length;
    const fields = { epoch, digest, sha256, offset, data: chunk.toBase64(), last };
    const put = await link.ask("code-put", fields, codePutReply, PUT_DEADLINE_MS);
    if (put.kind !== "ok" || last) return put;
    offset += chunk.length;
  }
}

function hex(bytes: ArrayBuffer): string {
  return new Uint8Array(bytes).toHex();
}
